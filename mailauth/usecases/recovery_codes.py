"""Recovery codes: a set for each account that is enrolled, issued, proved and counted.

A new set voids the one before it and raises the account's epoch; its owner is told by a mail that is queued in the
same transaction, with the codes in it. Logins by a recovery code are `login/settlement.py`. Works on threads, not on
the event loop.
"""

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from mailauth.core import alphabet, limiter, recovery, typed
from mailauth.core.clock import Clock
from mailauth.effects import name_bound
from mailauth.effects.keyring import Keyring, Purpose
from mailauth.effects.store import accounts, factors, familiar_networks
from mailauth.effects.store.database import Database
from mailauth.usecases import changing
from mailauth.usecases.accounts import find
from mailauth.usecases.mailed_links import MailedLinks
from mailauth.usecases.notices import Notices
from mailauth.usecases.portal_sessions import Session
from mailauth.usecases.shutting_out import replace_links
from mailauth.vocabulary.errors import NotEnrolled
from mailauth.vocabulary.model import Account, AccountName
from mailauth.vocabulary.notices import ADMINISTRATOR, NoticeKind, Origin
from mailauth.vocabulary.secret import Secret


class RecoveryCodes:
    """Issues, proves and counts recovery codes.

    `origin` says to the owner who did it. `in_session`: the session of the portal in which it was done goes on, while
    the account's other sessions end; where that one is over, SessionOver is raised and nothing is done.
    """

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        notices: Notices,
        links: MailedLinks,
        default_domain: str,
        clock: Clock,
        draw: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._notices = notices
        self._links = links
        self._default_domain = default_domain
        self._clock = clock
        self._draw = draw

    def issue(
        self, account: str, origin: Origin = ADMINISTRATOR, in_session: Session | None = None
    ) -> tuple[AccountName, tuple[str, ...]]:
        """Make a new set of recovery codes, grouped for people, and void the old set. Raises NotEnrolled."""
        codes = recovery.generate_set(self._draw)
        shown = tuple(alphabet.grouped(code) for code in codes)

        def put_in_force(connection: Connection) -> AccountName:
            found = changing.whose_state(connection, account, in_session, self._default_domain)
            if found.totp is None:
                raise NotEnrolled(
                    f"{found.name} has no authenticator that a recovery code could stand in for; enrol it first"
                )
            now = self._clock()
            self._links.void_confirming(connection, found.id, now)
            had_some = factors.recovery_codes_left(connection, found.id) > 0  # a first set shuts nobody out
            undoing = replace_links(connection, self._links, found.id, origin, now) if had_some else {}
            self._put_in_force(connection, found, codes, now)
            if in_session is not None and origin.client is not None:
                network = limiter.source_of(origin.client, ()).network
                familiar_networks.carry_over(connection, found.id, found.epoch, network, now)
            accounts.raise_epoch(connection, found.id)
            facts: dict[str, Any] = {"codes": list(shown), "first": False, **undoing}
            self._notices.tell(connection, found.id, NoticeKind.RECOVERY_CODES, origin, now, **facts)
            return found.name

        return self._database.write(put_in_force), shown

    def put_first_set_in_force(
        self, connection: Connection, account: Account, origin: Origin, now: datetime
    ) -> tuple[str, ...]:
        """Issue the codes that come with a first enrolment, in its transaction; return them, grouped for people.

        Whoever calls this raises the epoch.
        """
        codes = recovery.generate_set(self._draw)
        shown = tuple(alphabet.grouped(code) for code in codes)
        self._put_in_force(connection, account, codes, now)
        facts: dict[str, Any] = {"codes": list(shown), "first": True}
        self._notices.tell(connection, account.id, NoticeKind.RECOVERY_CODES, origin, now, **facts)
        return shown

    def prove(self, account: str, code: Secret) -> bool:
        """Spend one recovery code of an account, which shows that its owner has kept them; False for a wrong one.

        Nothing is mailed: it is no login, and whoever does it has just been shown the codes.
        """
        folded = alphabet.fold(typed.code(code.reveal().decode("utf-8", "replace")).encode())
        now = self._clock()

        def spend(connection: Connection) -> bool:
            found = find(connection, account, self._default_domain)
            purpose = Purpose.RECOVERY_CODE
            digests = name_bound.digests(self._keyring, purpose, found.name, found.former_names, folded)
            row_id = factors.find_recovery_code(connection, found.id, digests)
            return row_id is not None and factors.spend_recovery_code(connection, found.id, row_id, found.epoch, now)

        return self._database.write(spend)

    def left(self, account: str) -> int:
        """Return how many recovery codes of an account still work."""
        return self._database.read(
            lambda connection: factors.recovery_codes_left(
                connection, find(connection, account, self._default_domain).id
            )
        )

    def _put_in_force(self, connection: Connection, account: Account, codes: Sequence[str], now: datetime) -> None:
        digests = [self._keyring.mac(Purpose.RECOVERY_CODE, account.name, code) for code in codes]
        factors.issue_recovery_codes(connection, account.id, self._keyring.current_id, digests, now)
