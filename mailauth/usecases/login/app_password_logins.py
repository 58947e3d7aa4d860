"""Logins by app passwords: those that we have made, from memory while that is fresh, and those that people bring.

Ours are answered without a hash, and without the database or a thread where the cache knows them, so that an attack on
passwords does not slow them down. Those of another system are found by the digest of the whole string, or, the first
time, by its hash there (`foreign_app_passwords.py`). Which services and networks one opens is judged alike.
"""

import hmac
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import assert_never

from mailauth.core import app_password, service_copy
from mailauth.core.clock import Clock
from mailauth.core.password_chain import Answer, NotLookedUp, Unanswered, UnknownUser, Wrong
from mailauth.core.reading import ByAppPassword
from mailauth.core.source_entry import Asked, SourceEntry
from mailauth.effects import name_bound
from mailauth.effects.keyring import Keyring, Purpose
from mailauth.effects.store.database import Database
from mailauth.usecases.login.app_password_cache import AppPasswordCache
from mailauth.usecases.login.device_networks import DeviceNetworks
from mailauth.usecases.login.foreign_app_passwords import ForeignAppPasswords
from mailauth.usecases.login.password_check import PasswordCheck
from mailauth.usecases.login.reservation import Admitted
from mailauth.usecases.source_accounts import SourceAccounts, copy_of
from mailauth.vocabulary.errors import Overloaded
from mailauth.vocabulary.model import (
    AccountName,
    AppPassword,
    Attempt,
    Credential,
    Denied,
    Granted,
    ServiceCopy,
    Unavailable,
)
from mailauth.vocabulary.reasons import WhyDenied, WhyGranted, WhyUnavailable

log = logging.getLogger(__name__)


class AppPasswordLogins:
    """Decides on app passwords. On the event loop."""

    def __init__(
        self,
        *,
        database: Database,
        keyring: Keyring,
        passwords: PasswordCheck,
        source_accounts: SourceAccounts,
        device_networks: DeviceNetworks,
        foreign: ForeignAppPasswords,
        clock: Clock,
        monotonic: Callable[[], float],
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._passwords = passwords
        self._source_accounts = source_accounts
        self._device_networks = device_networks
        self._foreign = foreign
        self._clock = clock
        self._cache = AppPasswordCache(database, monotonic)

    def from_memory(self, reading: ByAppPassword) -> Granted | Denied | None:
        """Return the verdict where memory suffices for it. Raises KeyUnusable."""
        cached = self._cache.get(reading.name, reading.token.selector)
        if cached is None:
            return None
        found = cached.value
        if found is not None and found.source and self._has_to_ask(found, reading.attempt.service, self._clock()):
            return None
        return self._by_app_password(reading, found)

    async def verify(self, reading: ByAppPassword, now: datetime) -> Granted | Denied:
        """Return the verdict. Raises StoreUnavailable, SourceUnavailable, KeyUnusable."""
        found = await self._cache.load(reading.name, reading.token.selector)
        verdict = self._by_app_password(reading, found)
        if found is None or not isinstance(verdict, Granted):
            return verdict
        if not self._has_to_ask(found, reading.attempt.service, now):
            return verdict
        return self._by_app_password(reading, await self._with_copy(found, reading.attempt, now))

    async def on_right(self, found: AppPassword, attempt: Attempt, now: datetime) -> Granted | Denied:
        """Decide on an app password whose secret was right, that its owner has brought along."""
        if self._has_to_ask(found, attempt.service, now):
            found = await self._with_copy(found, attempt, now)
        return self._on_right(found, attempt)

    async def by_foreign(
        self, secret: bytes, admitted: Admitted, asked: Asked, answer: Answer, now: datetime
    ) -> Granted | Denied | Unavailable | None:
        """Decide on an app password of another system that is used for the first time; None where it is none.

        Only where the account's own password was wrong: one that is both stays a password, with what that needs. A
        string that was compared before, and told to be wrong, is not again: phones repeat theirs for weeks. Where the
        comparison takes too long nothing is told, and the attempt counts: its password was wrong.
        """
        if not admitted.foreign or admitted.is_used_up or admitted.was_told or not isinstance(answer, Wrong):
            return None
        try:
            waiting = await self._foreign.match(admitted.foreign, secret)
        except Overloaded as error:
            log.warning("app passwords of another system are not compared in time: %s", error)
            wrong = Denied(WhyDenied.PASSWORD_WRONG, admitted.subject)
            return Unavailable(WhyUnavailable.OVERLOADED, admitted.subject, withheld=wrong)
        if waiting is None or await self._is_password_too(secret, admitted, asked):
            return None
        found = await self._database.run(lambda: self._foreign.made_ours(admitted, waiting))
        return None if found is None else await self.on_right(found, admitted.attempt, now)

    def close(self) -> None:
        """Let what runs end."""
        self._foreign.close()

    async def _is_password_too(self, secret: bytes, admitted: Admitted, asked: Asked) -> bool:
        """Tell whether the whole of a string may be the account's password, where only a part of it was compared."""
        if admitted.presented.password == secret:
            return False
        return not isinstance(await self._passwords.answer(asked, admitted.account, secret), Wrong)

    def _by_app_password(self, reading: ByAppPassword, found: AppPassword | None) -> Granted | Denied:
        """Decide on an app password. Not a word about the account's password: none was presented."""
        attempt, name, token = reading
        owner = "" if found is None else found.account
        key_id = self._keyring.current_id if found is None else found.key_id
        digest = self._keyring.mac(Purpose.APP_PASSWORD, owner, token.selector, token.secret, key_id=key_id)
        if found is None or not (hmac.compare_digest(digest, found.digest) or self._was_made_before(found, token)):
            return Denied(WhyDenied.APP_PASSWORD_UNKNOWN, name if found is None else found.account)
        return self._on_right(found, attempt)

    def _on_right(self, found: AppPassword, attempt: Attempt) -> Granted | Denied:
        """Decide on one whose secret was right."""
        refused = app_password.refusal(found, attempt.service, attempt.client, self._clock())
        if refused is None and found.copies:
            refused = service_copy.refusal(service_copy.chosen(found.copies, attempt.service), attempt.client)
        if refused is not None:
            return Denied(refused, found.account)
        self._device_networks.note(found.id, attempt.client, self._clock())
        fields = service_copy.fields(found.copies, attempt.service) if found.copies else ()
        return _granted(found.account, found.id, found.reply_name, fields)

    def _has_to_ask(self, found: AppPassword, service: str, now: datetime) -> bool:
        """Tell whether the account's source has to say first whether this service may be used."""
        if not found.source or not self._passwords.is_by_service(found.source):
            return False
        return service_copy.is_stale(service_copy.chosen(found.copies, service), now)

    async def _with_copy(self, found: AppPassword, attempt: Attempt, now: datetime) -> AppPassword:
        """Return an app password with what its account's source says for the service now; once in ten minutes.

        Where the source is away, what it said last holds. Raises SourceUnavailable where it has said nothing yet.
        """
        asked = Asked(found.account, attempt.service, bool(attempt.secured), attempt.client)
        answer = await self._passwords.look_up(found.source, asked)
        others = tuple(copy for copy in found.copies if copy.service != attempt.service)
        match answer:
            case SourceEntry():
                copy = copy_of(answer, attempt.service, now)
                await self._database.run(lambda: self._source_accounts.keep(found.account_id, copy))
                return replace(found, copies=(*others, copy))
            case Unanswered(error=error):
                if service_copy.chosen(found.copies, attempt.service) is None:
                    raise error
                return found
            case UnknownUser() | NotLookedUp():
                gone = ServiceCopy(attempt.service, is_allowed=False, allow_nets=(), fields=(), taken_at=now)
                return replace(found, copies=(*others, gone))
            case _:
                assert_never(answer)

    def _was_made_before(self, found: AppPassword, token: app_password.Token) -> bool:
        """Tell whether an app password is right that was made under a former name of its account."""
        if not found.former_names:
            return False
        former, parts = found.former_names, (token.selector, token.secret)
        ring, purpose = self._keyring, Purpose.APP_PASSWORD
        digests = name_bound.digests(ring, purpose, found.account, former, *parts, key_ids=(found.key_id,))
        return any(hmac.compare_digest(digest, found.digest) for digest in digests)


@lru_cache(maxsize=4096)
def _granted(
    account: AccountName, app_password_id: int, reply_name: str | None, fields: tuple[tuple[str, str], ...]
) -> Granted:
    return Granted(
        account,
        Credential.APP_PASSWORD,
        WhyGranted.APP_PASSWORD_GIVEN,
        app_password_id=app_password_id,
        reply_name=reply_name,
        fields=fields,
    )
