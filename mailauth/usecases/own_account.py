"""What somebody changes about their own account, beside its factors: language, another address; and mailed links.

A link is followed once, by compare-and-set, and what it is for is done in the same transaction as the mail about it.
Works on threads, not on the event loop.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from mailauth.core import mail_address, typed
from mailauth.core.clock import Clock
from mailauth.effects.store import accounts, app_passwords, factors, mail_links, sessions
from mailauth.effects.store.database import Database
from mailauth.effects.store.mail_links import StoredLink
from mailauth.usecases import recovery_address
from mailauth.usecases.mailed_links import LinkPurpose, MailedLinks
from mailauth.usecases.notices import Notices
from mailauth.usecases.portal_sessions import Session, account_of
from mailauth.usecases.shutting_out import mail_new_link
from mailauth.vocabulary.errors import InvalidValue, SessionOver, TooMany
from mailauth.vocabulary.model import AccountName
from mailauth.vocabulary.notices import NoticeKind, Origin

MAX_ASKED_A_DAY = 5
"""How many links to confirm an address may be mailed for one account: they go to people who did not ask for them."""


@dataclass(frozen=True, slots=True)
class MailLink:
    """A link that may be followed, or has just been. `address`: the one that it confirms, else empty."""

    purpose: LinkPurpose
    account: AccountName
    expires_at: datetime
    address: str


class OwnAccount:
    """Changes that an account's owner makes in the portal."""

    def __init__(self, database: Database, notices: Notices, links: MailedLinks, clock: Clock) -> None:
        self._database = database
        self._notices = notices
        self._links = links
        self._clock = clock

    def set_language(self, session: Session, language: str) -> None:
        """Keep the language that was chosen, for pages and mails; for this browser alone where the session is over."""

        def set_language(connection: Connection) -> None:
            with suppress(SessionOver):
                accounts.set_language(connection, account_of(connection, session).id, language)

        self._database.write(set_language)

    def ask_for_address(self, session: Session, address: str, origin: Origin) -> None:
        """Mail a link to a new recovery address; it counts when the link was followed.

        Raises InvalidValue for what is no address or leads to the mailbox itself, TooMany after five in a day,
        SessionOver.
        """
        wanted, now = checked_address(address), self._clock()

        def ask_for_address(connection: Connection) -> None:
            account_of(connection, session)
            if recovery_address.is_own(connection, session.account_id, wanted):
                raise InvalidValue("this leads to the account's own mailbox; take an address of another one")
            purpose = LinkPurpose.CONFIRM_ADDRESS
            asked = mail_links.count_since(connection, session.account_id, purpose, now - timedelta(days=1))
            if asked >= MAX_ASKED_A_DAY:
                raise TooMany(f"{session.account} was mailed {asked} links to confirm an address within a day")
            mail_links.void(connection, session.account_id, purpose, now)
            link = self._links.make(connection, session.account_id, purpose, wanted, now)
            kind = NoticeKind.CONFIRM_ADDRESS
            self._notices.tell(connection, session.account_id, kind, origin, now, address=wanted, link=link)

        self._database.write(ask_for_address)

    def remove_address(self, session: Session, origin: Origin) -> None:
        """Forget the recovery address; it is told so, as the mailbox is. Raises SessionOver."""

        def remove_address(connection: Connection) -> None:
            account_of(connection, session)
            now = self._clock()
            recovery_address.forget(connection, self._notices, session.account_id, origin, now)
            mail_new_link(connection, self._links, self._notices, session.account_id, origin, now)

        self._database.write(remove_address)

    def sign_out_everywhere(self, session: Session, origin: Origin) -> int:
        """End every session of the account, this one as well; return how many there were.

        Nor does a link serve any more that was mailed before, as for every change against an intruder. Nothing where
        this session has ended meanwhile: whoever pressed the button twice gets one new link, not one that is dead.
        """

        def sign_out_everywhere(connection: Connection) -> int:
            # By its id: another request may have renewed its cookie meanwhile.
            if not sessions.is_good(connection, session.id, session.epoch):
                return 0
            mail_new_link(connection, self._links, self._notices, session.account_id, origin, self._clock())
            return sessions.remove_all(connection, session.account_id)

        return self._database.write(sign_out_everywhere)

    def open_link(self, token: str) -> MailLink | None:
        """Return what a link is for, without doing it; None for one that serves no more."""
        found = self._database.read(lambda connection: self._links.find(connection, token, self._clock()))
        return None if found is None else _link(found)

    def follow_link(self, token: str, origin: Origin) -> MailLink | None:
        """Do what a link is for, once; None for one that serves no more."""
        now = self._clock()

        def follow(connection: Connection) -> MailLink | None:
            found = self._links.find(connection, token, now)
            if found is None or not mail_links.use(connection, found.id, now):
                return None
            link = _link(found)
            if link.address and recovery_address.is_own(connection, found.account_id, link.address):
                return None  # an alias by now
            match link.purpose:
                case LinkPurpose.CONFIRM_ADDRESS:
                    self._confirm_address(connection, found, origin, now)
                case LinkPurpose.UNDO_ENROLMENT:
                    self._undo_enrolment(connection, found, origin, now)
            return link

        return self._database.write(follow)

    def _confirm_address(self, connection: Connection, link: StoredLink, origin: Origin, now: datetime) -> None:
        had_one = accounts.recovery_address(connection, link.account_id) is not None
        kind = NoticeKind.ADDRESS_CHANGED  # told before the row changes, so that the address that goes hears of it
        self._notices.tell(connection, link.account_id, kind, origin, now, address=link.subject)
        accounts.set_recovery_address(connection, link.account_id, link.subject)
        if had_one:  # which was mailed whatever the mailbox was
            mail_new_link(connection, self._links, self._notices, link.account_id, origin, now)

    def _undo_enrolment(self, connection: Connection, link: StoredLink, origin: Origin, now: datetime) -> None:
        """Take away what came with an enrolment: authenticator, codes, sessions, app passwords made since.

        And the recovery address, which only who is enrolled can set: the next codes must not go to an intruder.
        """
        since = datetime.fromtimestamp(int(link.subject), UTC)
        factors.remove_totp(connection, link.account_id)
        factors.void_recovery_codes(connection, link.account_id, now)
        app_passwords.revoke(connection, link.account_id, None, now, made_since=since)
        self._links.void_undoing(connection, link.account_id, now)
        recovery_address.forget(connection, self._notices, link.account_id, origin, now)
        sessions.remove_all(connection, link.account_id)
        accounts.raise_epoch(connection, link.account_id)
        self._notices.tell(connection, link.account_id, NoticeKind.ENROLMENT_UNDONE, origin, now)


def checked_address(address: str) -> str:
    """Return an address for recovery mails, out of what somebody pasted. Raises InvalidValue for what is none."""
    return mail_address.checked(mail_address.in_ascii(typed.address(address.strip())))


def _link(stored: StoredLink) -> MailLink:
    purpose = LinkPurpose(stored.purpose)
    address = stored.subject if purpose is LinkPurpose.CONFIRM_ADDRESS else ""
    return MailLink(purpose, stored.account, stored.expires_at, address)
