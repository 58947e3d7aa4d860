"""An authenticator that its first code has proved, and what it puts in force.

Where it waits for that code is another's business: in the account for the command line (`enrolment.py`), in a session
for the portal (`set_up.py`). Both hand it over here, in the transaction in which the code was right.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from mailauth.core import otp, typed
from mailauth.effects.keyring import Keyring, Purpose
from mailauth.effects.store import factors
from mailauth.usecases.mailed_links import MailedLinks
from mailauth.usecases.notices import Notices
from mailauth.usecases.shutting_out import replace_links
from mailauth.vocabulary.model import Account, TotpParameters
from mailauth.vocabulary.notices import ADMINISTRATOR, NoticeKind, Origin
from mailauth.vocabulary.secret import Secret


@dataclass(frozen=True, slots=True)
class WrongCode:
    """The code proved nothing. `steps_off` says by how much the app's clock is off, where that explains it."""

    steps_off: int | None


class Authenticators:
    """Judges first codes, and puts authenticators in force."""

    def __init__(self, keyring: Keyring, notices: Notices, links: MailedLinks) -> None:
        self._keyring = keyring
        self._notices = notices
        self._links = links

    def put_in_force(
        self, connection: Connection, account: Account, seed: bytes, step: int, origin: Origin, now: datetime
    ) -> None:
        """Store an authenticator in place of any other of the account, its first step spent, and tell the owner.

        `account`: as it is before. Whoever calls this raises its epoch.
        """
        factors.put_in_force(
            connection, account.id, self._keyring.seal(Purpose.TOTP_SEED, account.name, seed), step, now
        )
        if account.totp is not None:
            undoing = replace_links(connection, self._links, account.id, origin, now)
            self._notices.tell(connection, account.id, NoticeKind.AUTHENTICATOR_REPLACED, origin, now, **undoing)
            return
        self._links.void_confirming(connection, account.id, now)
        link = self._links.undo_enrolment(connection, account.id, now)
        self._notices.tell(connection, account.id, NoticeKind.AUTHENTICATOR_SET, origin, now, link=link)

    def take_over(
        self,
        connection: Connection,
        account: Account,
        seed: bytes,
        parameters: TotpParameters,
        now: datetime,
        *,
        is_told: bool,
    ) -> None:
        """Store the authenticator that an account without one has had elsewhere. Whoever calls this raises its epoch.

        No code of it is spent here: what it has shown elsewhere is not known. `is_told`: its owner is, as of
        a new one.
        """
        sealed = self._keyring.seal(Purpose.TOTP_SEED, account.name, seed)
        factors.put_in_force(connection, account.id, sealed, 0, now, parameters)
        self._links.void_confirming(connection, account.id, now)
        if is_told:
            link = self._links.undo_enrolment(connection, account.id, now)
            self._notices.tell(connection, account.id, NoticeKind.AUTHENTICATOR_SET, ADMINISTRATOR, now, link=link)


def digits(code: Secret) -> bytes:
    """Return the digits of a code as somebody typed it: spaces and dashes in it don't matter."""
    return typed.code(code.reveal().decode("utf-8", "replace")).encode()


def first_match(seed: bytes, code: bytes, now: datetime) -> otp.CodeMatch | WrongCode:
    """Return which step of a seed a code is of, of which none is spent yet."""
    return otp.match(seed, code, now, last_step=0) or WrongCode(otp.drift(seed, code, now))
