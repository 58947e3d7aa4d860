"""Asking the password sources about one login, in their order, as `core.password_chain` says. On the event loop.

First the user is looked up, without the password; then the one source that has them checks it. An account belongs to
one source: no other one is asked about it, or whoever can make a user there would open it.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mailauth.core import app_password
from mailauth.core.password_chain import Answer, AskNext, NotLookedUp, Right, Unanswered, UnknownUser, Wrong, next_step
from mailauth.core.source_entry import Asked, DomainPatterns, SourceEntry
from mailauth.core.wrong_secrets import WrongSecrets
from mailauth.effects.sources import Found, PasswordSource, RenewingSource
from mailauth.effects.sources.own import OwnTable
from mailauth.vocabulary.errors import SourceUnavailable
from mailauth.vocabulary.model import Account

log = logging.getLogger(__name__)


class Link(NamedTuple):
    """A source in its place. `goes_on`: whether the next one is asked where this one does not know the user.

    `makes_accounts`: whoever it lets in gets an account. `hard_limit`: how many wrong passwords of an account it is
    asked about in half an hour, 0 for any number; None for one that counts none.
    """

    source: PasswordSource
    covers: DomainPatterns
    goes_on: bool = True
    makes_accounts: bool = False
    hard_limit: int | None = None


class Located(NamedTuple):
    """Where a user is to be checked. `answers`: of the sources before, in `chain`; `entry`: what the last one found.

    `ends_with`: the look-up's own end, where nobody knows the user or somebody could not say.
    """

    chain: tuple[Link, ...]
    answers: tuple[Answer, ...] = ()
    entry: SourceEntry | None = None
    ends_with: Answer | None = None


class PasswordCheck:
    """Checks first factors. `links`: who is asked, in order, at least one.

    `fallback`: does the work for who is unknown to all. `digest`: a keyed one, by which a wrong secret is remembered.
    """

    def __init__(
        self,
        links: Sequence[Link],
        fallback: OwnTable,
        digest: Callable[[bytes], bytes],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if not links:
            raise ValueError("a password is checked by one source at least")
        self.links = tuple(links)
        self._fallback = fallback
        self._digest = digest
        self._monotonic = monotonic
        self._wrong = WrongSecrets()

    @property
    def sources(self) -> tuple[PasswordSource, ...]:
        """The sources, in order."""
        return tuple(link.source for link in self.links)

    def described(self, account: Account | None = None) -> str:
        """Who checks passwords, or the one of an account, for people: each source, in order."""
        links = self.links if account is None else self.chain(Asked(account.name), account)
        return ", then ".join(link.source.described for link in links) or "no password source"

    def chain(self, asked: Asked, account: Account | None) -> tuple[Link, ...]:
        """Return the sources that are asked about a user, in order."""
        if account is not None and account.source:
            return tuple(link for link in self.links if link.source.name == account.source)
        own = tuple(link for link in self.links if isinstance(link.source, OwnTable))
        if account is not None and account.password_hash is not None and own:
            return own
        return tuple(link for link in self.links if link.covers.include(asked.name))

    def is_own(self, source: str) -> bool:
        """Tell whether a source is mailauth's own table."""
        return any(isinstance(each, OwnTable) and each.name == source for each in (*self.sources, self._fallback))

    def is_by_service(self, source: str) -> bool:
        """Tell whether what a source says depends on the service that is logged in to."""
        return any(each.is_by_service for each in self.sources if each.name == source)

    def makes_accounts(self, source: str) -> bool:
        """Tell whether whoever a source lets in gets an account."""
        return any(link.makes_accounts for link in self.links if link.source.name == source)

    async def locate(self, asked: Asked, account: Account | None) -> Located:
        """Look the user up in one source after the other, until one has them or may have them."""
        chain = self.chain(asked, account)
        if not chain and account is not None and account.source:
            lost = SourceUnavailable(f"{account.name} belongs to the source {account.source}, which is not configured")
            return Located(chain, ends_with=Unanswered(account.source, lost))
        return await self._locate(asked, account, Located(chain))

    async def _locate(self, asked: Asked, account: Account | None, so_far: Located) -> Located:
        chain, answers = so_far.chain, list(so_far.answers)
        if not chain:
            return so_far._replace(ends_with=UnknownUser(self._fallback.name))
        while isinstance(step := next_step([link.goes_on for link in chain], answers), AskNext):
            found = await chain[step.place].source.find(asked, account)
            match found:
                case UnknownUser() | Unanswered():
                    answers.append(found)
                case NotLookedUp():
                    return Located(chain, tuple(answers))
                case SourceEntry():
                    return Located(chain, tuple(answers), found)
        return Located(chain, tuple(answers), ends_with=step)

    async def verify(
        self,
        located: Located,
        asked: Asked,
        account: Account | None,
        password: bytes,
        readings: Sequence[bytes] = (),
        *,
        network: str = "",
        is_familiar: bool = False,
    ) -> Answer:
        """Return what the sources answer. `readings` of the presented string: see the port.

        `network`: from which it was presented; `is_familiar`: the account has logged in from there before.
        """
        is_work_done = False
        while located.ends_with is None:
            link = located.chain[len(located.answers)]
            source = link.source
            if not isinstance(source, OwnTable) and app_password.read(password) is not None:
                return Wrong(source.name)  # never handed to another system
            entry = located.entry
            if link.hard_limit is None:
                answer = await source.check(asked, account, entry, password, readings)
            else:
                answer = await self._sparingly(link, asked, account, entry, password, network, is_familiar=is_familiar)
            if isinstance(answer, Right) and not password:
                return Wrong(source.name)  # a code alone is one factor, whatever is stored there
            if not isinstance(answer, UnknownUser):
                return answer
            is_work_done = True
            located = await self._locate(asked, account, Located(located.chain, (*located.answers, answer)))
            if located.entry is not None and located.entry.name != asked.name:
                # The limits of that account were not asked: it has to be known by this name before.
                log.error("%s is another name of %s at %s: sync its directory", asked.name, *_of(located.entry))
                return UnknownUser(located.entry.source)
        if isinstance(located.ends_with, UnknownUser) and not is_work_done:
            return await self._as_unknown(located, asked, password, readings)
        return located.ends_with

    async def _sparingly(
        self,
        link: Link,
        asked: Asked,
        account: Account | None,
        entry: SourceEntry | None,
        password: bytes,
        network: str,
        *,
        is_familiar: bool,
    ) -> Answer:
        """Ask a source that counts wrong passwords, unless it has called this one wrong, or would lock the account.

        By network, since the answer is quicker: from elsewhere nobody is to learn what was presented here.
        """
        source, now = link.source.name, self._monotonic()
        whose, digest = (source, str(asked.name)), self._digest(network.encode() + b"\0" + password)
        if self._wrong.is_known(whose, digest, now):
            return Wrong(source)
        if not self._wrong.may_ask(whose, link.hard_limit or 0, now, is_familiar=is_familiar):
            many = SourceUnavailable(
                f"{asked.name} had as many wrong passwords as {source} is asked about (hard_limit)"
            )
            return Unanswered(source, many)
        answer = await link.source.check(asked, account, entry, password)
        if isinstance(answer, Wrong):
            self._wrong.note(whose, digest, now)
        elif isinstance(answer, Right):
            self._wrong.forget(whose)
        return answer

    async def answer(self, asked: Asked, account: Account | None, password: bytes) -> Answer | None:
        """Look a user up and check a password, where that asks nobody who counts wrong ones; otherwise None."""
        located = await self.locate(asked, account)
        has_hash = located.entry is not None and located.entry.stored_hash is not None
        if located.ends_with is None and not has_hash and (account is None or account.password_hash is None):
            return None
        return await self.verify(located, asked, account, password)

    async def _as_unknown(self, located: Located, asked: Asked, password: bytes, readings: Sequence[bytes]) -> Answer:
        """Do the work that a known user's password would have cost."""
        last = located.chain[-1].source if located.chain else self._fallback
        answer = await last.check(asked, None, None, password, readings)
        return answer if isinstance(answer, Unanswered) else UnknownUser(last.name)

    async def find(self, asked: Asked) -> Found:
        """Return what the sources say, in their order, of somebody whom mailauth does not know. Nothing is checked.

        A source without a look-up says nothing of anybody, unless no account is made of whom it lets in.
        """
        chain = self.chain(asked, None)
        for place, link in enumerate(chain):
            found = await link.source.find(asked, None)
            if isinstance(found, NotLookedUp) and not link.makes_accounts:
                found = UnknownUser(link.source.name)
            if not isinstance(found, UnknownUser) or not link.goes_on or place == len(chain) - 1:
                return found
        return UnknownUser(self._fallback.name)

    async def look_up(self, source: str, asked: Asked) -> Found:
        """Return what one source says of a user, without a password."""
        found = next((each for each in self.sources if each.name == source), None)
        if found is None:
            lost = SourceUnavailable(f"{asked.name} belongs to the source {source}, which is not configured")
            return Unanswered(source, lost)
        return await found.find(asked, None)

    async def renew(self, right: Right) -> bool:
        """Store a new hash at the source that answered; tell whether it did."""
        source: object = next((each for each in self.sources if each.name == right.source), None)
        if right.entry is None or right.renewed_hash is None or not isinstance(source, RenewingSource):
            return False
        return await source.renew(right.entry, right.renewed_hash)

    def close(self) -> None:
        """Let running checks end."""
        for source in (*self.sources, self._fallback):
            source.close()


def _of(entry: SourceEntry) -> tuple[str, str]:
    return entry.name, entry.source
