"""The named errors: broken input, configuration or environment.

A denied login is not among them; that is a verdict (`model.Denied`). Errors are caught at the edges, which
turn them into words for a person, or into "temporarily unavailable" for a mail client.
"""

from dataclasses import dataclass


class MailauthError(Exception):
    """The root of all errors that this package raises on purpose."""


class InvalidName(MailauthError):
    """An account name that cannot be brought into its canonical form."""


class InvalidValue(MailauthError):
    """A value given by a person that does not mean anything: a service, a network, a time, a password."""


class ProtocolViolation(MailauthError):
    """A peer broke the authentication protocol; the connection is not worth keeping."""


class AccountUnknown(MailauthError):
    """An administrator named an account that does not exist."""


class AccountExists(MailauthError):
    """An account or alias of that name is there already."""


class NotEnrolled(MailauthError):
    """The account has no authenticator, and what was asked for needs one."""


class NothingToConfirm(MailauthError):
    """No enrolment is waiting for its code, or it waited too long."""


class NotProved(MailauthError):
    """What somebody has proved does not suffice for what they are about to do."""


class SessionOver(MailauthError):
    """A session of the portal ended, or its account changed, while something was done in it."""


class TooMany(MailauthError):
    """A cap was reached."""


class TooManyToday(TooMany):
    """A cap was reached that is of a day."""


class KeyUnusable(MailauthError):
    """The key file is missing, malformed or readable by others; or a key id in the database is not in it."""


class SealBroken(MailauthError):
    """A sealed value does not open: another key, another row, or altered bytes."""


class HashUnreadable(MailauthError):
    """A stored password hash is of a scheme or shape that this installation cannot check."""


class SourceUnavailable(MailauthError):
    """Who checks passwords could not say whether one is right."""


class StoreUnavailable(MailauthError):
    """The database could not be read or written; nothing of what was attempted is in force."""


class StoreMissing(StoreUnavailable):
    """There is no database yet, or no more."""


class SchemaMismatch(MailauthError):
    """The database has no tables yet, or they are of another version of mailauth."""


class Overloaded(MailauthError):
    """A bounded queue is full."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in a configuration: where it is (`cutover.date`) and what is wrong, in words."""

    place: str
    problem: str


class InvalidConfiguration(MailauthError):
    """The configuration cannot be used. Carries every mistake, not just the first."""

    def __init__(self, source: str, mistakes: tuple[Mistake, ...]) -> None:
        self.source = source
        self.mistakes = mistakes
        super().__init__(f"{source}: " + "; ".join(f"{m.place}: {m.problem}" for m in mistakes))
