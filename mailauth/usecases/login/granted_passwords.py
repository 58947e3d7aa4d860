"""Passwords alone that were accepted a moment ago, so that a client that polls costs no hash and no question.

Before the date nearly everybody logs in so, every few minutes on each device: tens of thousands of people are more
hashes a second than a server computes. What is remembered is that this string was this account's right password, from
this network and for this service, in this state of the account and of what its source stores; whether the password
alone is enough is decided anew each time. Where the source shows its hash and is followed, another password is noticed
by that, and what is remembered serves for four hours; otherwise for ten minutes. In this process's memory alone, as a
keyed digest. On the event loop.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from mailauth.core.password_chain import Right
from mailauth.core.services import PORTAL
from mailauth.effects.keyring import Keyring, Purpose
from mailauth.usecases.login.reservation import Admitted, epoch_of
from mailauth.vocabulary.model import Ask, Credential, Granted, Verdict

LIFE_S: Final = 600.0
FOLLOWED_LIFE_S: Final = 4 * 3600.0
"""Clients poll every ten minutes or so: with a life of ten, each of their logins would cost a hash all the same."""
MAX_ENTRIES: Final = 200_000
"""Of some 200 bytes each: two devices of 100,000 people."""


class GrantedPasswords:
    """Remembers them, each for a time from when it was checked."""

    def __init__(self, keyring: Keyring, monotonic: Callable[[], float]) -> None:
        self._keyring = keyring
        self._monotonic = monotonic
        self._entries: OrderedDict[bytes, tuple[float, str]] = OrderedDict()

    def source_of(self, admitted: Admitted) -> str | None:
        """Return by whose word the presented string is the password, if that was found out a moment ago."""
        digest = self._digest(admitted)
        found = None if digest is None else self._entries.get(digest)
        return found[1] if found is not None and self._monotonic() < found[0] else None

    def note(self, admitted: Admitted, verdict: Verdict, right: Right, *, is_followed: bool) -> None:
        """Remember a password that a source has just checked, if it was accepted without anything else.

        `is_followed`: another password there would be noticed.
        """
        if not isinstance(verdict, Granted) or verdict.credential is not Credential.PASSWORD:
            return
        if right.entry is not None and right.entry.allow_nets:
            return  # what is remembered is for a network, and these may be narrower
        digest = self._digest(admitted)
        if digest is None:
            return
        life_s = FOLLOWED_LIFE_S if is_followed else LIFE_S
        self._entries[digest] = (self._monotonic() + life_s, right.source)
        self._entries.move_to_end(digest)
        while len(self._entries) > MAX_ENTRIES or self._is_over():
            self._entries.popitem(last=False)

    def _is_over(self) -> bool:
        return next(iter(self._entries.values()))[0] <= self._monotonic()

    def _digest(self, admitted: Admitted) -> bytes | None:
        attempt, account = admitted.attempt, admitted.account
        if account is None or account.totp is not None or attempt.client is None:
            return None
        if attempt.ask is not Ask.WHOLE or attempt.service == PORTAL:
            return None
        stored = account.hash_fingerprint or account.password_hash or ""
        bound_to = (account.name, epoch_of(account), stored, admitted.source.network)
        service, secured = attempt.service, attempt.secured
        return self._keyring.mac(Purpose.GRANTED_STRING, *bound_to, service, secured, attempt.secret.reveal())
