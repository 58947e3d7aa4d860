"""What password sources answer, and which of several is asked next. Values in, values out.

Several sources stand in an order. Only "no such user" lets the next one be asked: whoever is known to a source is
judged by it alone, or a password that one of them has replaced would go on opening the account by another. A source
that could not answer ends the chain as well, for it might have been the one that knows the user; the login is told to
try again later, and nothing is granted (`Unanswered` is doubt, and doubt is never success).

Must not know how a source is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mailauth.vocabulary.errors import MailauthError
from mailauth.vocabulary.model import AccountName


@dataclass(frozen=True, slots=True)
class Right:
    """The password is right. `source`: by whose word.

    `name`: what the source calls the user, where it has a name of its own for them. `fingerprint`: of what is stored
    there, which changes with the password; None where the source does not tell. `renewed_hash`: what is to be stored
    in place of the hash that was compared with, which is another system's.
    """

    source: str
    name: AccountName | None = None
    fingerprint: bytes | None = None
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


Answer = Right | Wrong | UnknownUser | Disabled | Expired | Unanswered


@dataclass(frozen=True, slots=True)
class AskNext:
    """The source in this place is to be asked."""

    place: int


def next_step(sources: int, answers: Sequence[Answer]) -> AskNext | Answer:
    """Return which of so many sources is to be asked after these answers, in order; or what they come to.

    Raises ValueError without a source, and for answers behind one that ended the chain.
    """
    if sources < 1 or any(not isinstance(answer, UnknownUser) for answer in answers[:-1]) or len(answers) > sources:
        raise ValueError(f"no chain of {sources} sources gave these answers")
    if not answers:
        return AskNext(0)
    last = answers[-1]
    if isinstance(last, UnknownUser) and len(answers) < sources:
        return AskNext(len(answers))
    return last
