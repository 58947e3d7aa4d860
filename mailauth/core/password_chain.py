"""What password sources answer, and which of several is asked next. Values in, values out.

Several sources stand in an order. Only "no such user" lets the next one be asked, and only where the source says so
(`goes_on`): whoever is known to a source is judged by it alone, or a password that one of them has replaced would go
on opening the account by another. A source that could not answer ends the chain as well, for it might have been the
one that knows the user; the login is told to try again later, and nothing is granted (`Unanswered` is doubt, and doubt
is never success).

Must not know how a source is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mailauth.core.source_entry import SourceEntry
from mailauth.vocabulary.errors import MailauthError


@dataclass(frozen=True, slots=True)
class Right:
    """The password is right. `source`: by whose word.

    `entry`: what the source knows of the user, where it can be looked up there. `renewed_hash`: what is to be stored
    in place of the hash that was compared with, which is another system's.
    """

    source: str
    entry: SourceEntry | None = None
    renewed_hash: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Wrong:
    """The user is known, and this is not their password."""

    source: str


@dataclass(frozen=True, slots=True)
class UnknownUser:
    """The source knows nobody of that name."""

    source: str


@dataclass(frozen=True, slots=True)
class Disabled:
    """The user is known, and may not log in: locked, or not allowed to."""

    source: str


@dataclass(frozen=True, slots=True)
class Expired:
    """The user is known, and the account or its password is over: it has to be renewed elsewhere."""

    source: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The source could not say. `error`: why, as the login's reason and the log have it."""

    source: str
    error: MailauthError


@dataclass(frozen=True, slots=True)
class NotLookedUp:
    """The source has no look-up without a password: it may know the user."""

    source: str


Answer = Right | Wrong | UnknownUser | Disabled | Expired | Unanswered


@dataclass(frozen=True, slots=True)
class AskNext:
    """The source in this place is to be asked."""

    place: int


def next_step(goes_on: Sequence[bool], answers: Sequence[Answer]) -> AskNext | Answer:
    """Return which source is to be asked after these answers, in order; or what they come to.

    `goes_on`: of each source, whether the next one is asked where this one does not know the user.
    Raises ValueError without a source, and for answers behind one that ended the chain.
    """
    earlier = zip(goes_on, answers[:-1], strict=False)
    if not goes_on or len(answers) > len(goes_on) or not all(_leads_on(*each) for each in earlier):
        raise ValueError(f"no chain of {len(goes_on)} sources gave these answers")
    if not answers:
        return AskNext(0)
    last = answers[-1]
    is_last = len(answers) == len(goes_on)
    return last if is_last or not _leads_on(goes_on[len(answers) - 1], last) else AskNext(len(answers))


def _leads_on(goes_on: bool, answer: Answer) -> bool:
    return goes_on and isinstance(answer, UnknownUser)
