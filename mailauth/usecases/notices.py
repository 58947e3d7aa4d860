"""What account owners are told by mail: queueing it, in the transaction of what it is about.

Nothing is rendered here, nothing is sent: a row with sealed facts waits for the worker (`delivery.py`), so that
telling costs a login or a change of factors next to nothing, and is in force if and only if the change is.
"""

import json
import os
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from mailauth.core import mail_address
from mailauth.effects.keyring import Keyring, Purpose
from mailauth.effects.store import outbox
from mailauth.effects.store.outbox import Addressee, NewMail
from mailauth.effects.store.outbox_leases import LeasedMail
from mailauth.vocabulary.errors import InvalidValue
from mailauth.vocabulary.model import AccountName
from mailauth.vocabulary.notices import ADMINISTRATOR, Notice, NoticeKind, Origin

_TO_MAILBOX_ONLY = frozenset(
    {
        NoticeKind.RIGHT_PASSWORD_WRONG_CODE,
        NoticeKind.PASSWORD_ALONE_REFUSED,
        NoticeKind.CODE_SET_APART,
        NoticeKind.ANNOUNCEMENT,
        NoticeKind.UNDO_LINK_REPLACED,
    }
)
"""About logins, or a link that is for the mailbox, and not about changes of what the account holds."""
_REPLACED_LINK = frozenset({"link", "since", "until"})
"""What of a change undoes the enrolment. An address that was confirmed since may be an intruder's, who would be shut
out by the change, and would let themselves in by the link again."""
_AT_MAILBOX, _AT_RECOVERY_ADDRESS = "", " recovery-address"
"""Where a mail goes, as it stands behind the key that it is queued under once."""
_ID_BYTES = 16
_MAX_ID_DOMAIN = 160
"""So that a Message-ID fits its column."""


class Notices:
    """Queues mails to account owners."""

    def __init__(
        self,
        keyring: Keyring,
        sender: str,
        default_language: str,
        draw: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._keyring = keyring
        self._domain = _short(mail_address.domain_in_ascii(sender.rpartition("@")[2]))
        self._default_language = default_language
        self._draw = draw

    def tell(
        self,
        connection: Connection,
        account_id: int,
        kind: NoticeKind,
        origin: Origin,
        now: datetime,
        *,
        once_key: str | None = None,
        due_at: datetime | None = None,
        **facts: Any,
    ) -> int:
        """Queue what an owner is to be told, in the caller's transaction; return how many mails that are.

        `facts` are JSON values, by kind as in `vocabulary/notices.py`. Every kind goes to the mailbox, whose address
        is the account's name; those about a change of what the account holds also go to its recovery address, as
        the row has it at this moment (so ADDRESS_CHANGED is told before the row changes, and reaches the address
        that goes). Codes go to the recovery address alone where there is one; the mailbox is told without them. A link
        in place of another one, with its `since` and `until`, goes to the mailbox alone.
        CONFIRM_ADDRESS goes to its fact `address` and nowhere else.

        Where something with the same `once_key` was queued before, nothing happens; until `due_at` it waits, and may
        be withdrawn by that key. An account that does not exist
        is told nothing. Raises InvalidValue for an address that no mail can go to.
        """
        to = outbox.addressee(connection, account_id)
        if to is None:
            return 0
        count = 0
        for place, recipient, its_facts in _recipients(kind, to, facts):
            key = None if once_key is None else once_key + place
            mail = self._sealed(to, recipient, kind, origin, now, its_facts, key, due_at)
            count += outbox.enqueue(connection, mail)
        return count

    def tell_administrators(
        self, connection: Connection, address: str, kind: NoticeKind, now: datetime, once_key: str, **facts: Any
    ) -> int:
        """Queue a mail to whoever looks after this server, in the caller's transaction; once for each `once_key`."""
        to = Addressee(AccountName(address), None, None, None)
        mail = self._sealed(to, address, kind, ADMINISTRATOR, now, facts, once_key, None)
        return int(outbox.enqueue(connection, mail))

    def announcement(self, to: Addressee, origin: Origin, now: datetime, once_key: str) -> NewMail:
        """Return the announcement to an owner, to be queued. Touches no database."""
        return self._sealed(to, to.account, NoticeKind.ANNOUNCEMENT, origin, now, {}, once_key + _AT_MAILBOX, None)

    def _sealed(
        self,
        to: Addressee,
        recipient: str,
        kind: NoticeKind,
        origin: Origin,
        now: datetime,
        facts: dict[str, Any],
        once_key: str | None,
        due_at: datetime | None,
    ) -> NewMail:
        notice = {
            "account": to.account,
            "service": origin.service,
            "client": "" if origin.client is None else str(origin.client),
            "agent": origin.agent,
            "facts": facts,
        }
        message_id = f"<{self._draw(_ID_BYTES).hex()}@{self._domain}>"
        content = json.dumps(notice, ensure_ascii=False, separators=(",", ":")).encode()
        return NewMail(
            message_id=message_id,
            account_id=to.account_id,
            recipient=recipient,
            language=to.language or self._default_language,
            kind=kind,
            content=self._keyring.seal(Purpose.OUTBOX, message_id, content),
            created_at=now,
            once_key=once_key,
            due_at=due_at,
        )

    def withdraw(self, connection: Connection, once_key: str) -> None:
        """Take back what was queued under a key and has not become due: it turned out not to be so."""
        outbox.withdraw(connection, [once_key + place for place in (_AT_MAILBOX, _AT_RECOVERY_ADDRESS)])

    def opened(self, mail: LeasedMail) -> Notice:
        """Return what a queued mail says. Raises SealBroken, KeyUnusable; InvalidValue for another version's."""
        content = self._keyring.unseal(Purpose.OUTBOX, mail.message_id, mail.content)
        try:
            notice = json.loads(content)
            return Notice(
                kind=NoticeKind(mail.kind),
                account=notice["account"],
                moment=mail.created_at,
                service=notice["service"],
                client=notice["client"],
                agent=notice["agent"],
                facts=notice["facts"],
            )
        except (ValueError, KeyError, TypeError) as error:
            # Not `from error`: what it is about may be a secret.
            what = f"kind {mail.kind!a}, {type(error).__name__}"
            raise InvalidValue(f"not a mail that this version of mailauth can read ({what})") from None


def _short(domain: str) -> str:
    """Return a domain, or what of its end is short enough: an id has to be unique, not to be found."""
    while len(domain) > _MAX_ID_DOMAIN:
        domain = domain.partition(".")[2]
    return domain


def _recipients(kind: NoticeKind, to: Addressee, facts: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return place, address and facts of each mail; the place tells apart what one once_key stands for."""
    if kind is NoticeKind.CONFIRM_ADDRESS:
        return [(_AT_MAILBOX, facts["address"], facts)]
    if to.recovery_address is None or kind in _TO_MAILBOX_ONLY:
        return [(_AT_MAILBOX, to.account, facts)]
    for_mailbox = {**facts, "codes": []} if "codes" in facts else facts
    is_replaced = facts.keys() >= _REPLACED_LINK
    for_other = {fact: facts[fact] for fact in facts.keys() - _REPLACED_LINK} if is_replaced else facts
    return [(_AT_MAILBOX, to.account, for_mailbox), (_AT_RECOVERY_ADDRESS, to.recovery_address, for_other)]
