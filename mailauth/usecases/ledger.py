"""The two visits that a login with a password pays to the database.

Before anything is verified, `admit`: the account, the login memory, and the draws from the limiter's buckets, in
one transaction. After the decision, `settle`: what the verdict spends, remembers and gives back, in one
transaction, before anybody is told. Decides nothing about factors.

A denial does the same work whichever factor was wrong, so that its time tells nothing; what it gets back it
gets after the reply. Works on the database's threads, not on the event loop.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from sqlalchemy import Connection

from mailauth.core import engine, limiter, login_memory, splitter
from mailauth.core.limiter import Bucket, Guess, Kind, Limits, Source
from mailauth.core.login_memory import Profile, Profiles
from mailauth.core.services import PORTAL
from mailauth.effects import name_bound
from mailauth.effects.keyring import Keyring, Purpose
from mailauth.effects.log_lines import FIELDS
from mailauth.effects.store import accounts, factors
from mailauth.effects.store import limiter as buckets
from mailauth.effects.store import login_memory as memories
from mailauth.effects.store.database import Database
from mailauth.usecases import releases
from mailauth.usecases.known_wrong import KnownWrong
from mailauth.usecases.notices import Notices
from mailauth.usecases.releases import Release, Releases
from mailauth.vocabulary.errors import InvalidValue
from mailauth.vocabulary.model import (
    Account,
    AccountName,
    Attempt,
    Credential,
    Denied,
    Granted,
    Network,
    Reason,
    Unavailable,
    Verdict,
)
from mailauth.vocabulary.notices import NoticeKind, Origin

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Memory:
    """Under which digests, and how, this very login would be remembered; for no time where its client is unknown.

    `serves`: it may pass by what is remembered. In the portal nobody comes in by that; a session that is open is what
    binds the string to one browser there, which a network does not.
    """

    digest: bytes
    string_digest: bytes
    profile: Profile
    serves: bool


@dataclass(frozen=True, slots=True)
class Admitted:
    """A login that may be verified: the account, how its secret reads, and what was drawn for it.

    `was_accepted`: this very string was, once, so that it never is again. `subject` is the account's name, or the
    presented one in its canonical form where there is no such account. `wrong_digest` is that of a bare password,
    `password_is_ours` whether it was we who checked it.
    """

    attempt: Attempt
    subject: AccountName
    account: Account | None
    presented: splitter.Presented
    recovery_row: int | None
    source: Source
    is_fresh_source: bool
    drawn: tuple[Bucket, ...]
    memory: Memory
    was_accepted: bool
    wrong_digest: bytes | None
    password_is_ours: bool


class Ledger:
    """Loads, counts, remembers and spends for logins."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        limits: Limits,
        trusted: Sequence[Network],
        profiles: Profiles,
        notices: Notices,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._limits = limits
        self._trusted = trusted
        self._profiles = profiles
        self._notices = notices
        self._known_wrong = KnownWrong()
        self._releases = Releases(os.urandom)

    def admit(self, attempt: Attempt, name: AccountName, now: datetime) -> Admitted | Granted | Unavailable:
        """Return what is to be verified; or at once Granted from the login memory, or Unavailable if throttled."""
        secret = attempt.secret.reveal()
        source = limiter.source_of(attempt.client, self._trusted)
        with self._database.writing(durable=False) as connection:
            account = accounts.load(connection, name)
            subject = name if account is None else account.name
            memory = self._memory(attempt, subject, account)
            is_remembered = self._use(connection, memory, account, now)
            if is_remembered and account is not None:
                return Granted(account.name, Credential.PASSWORD_AND_CODE, Reason.REMEMBERED, epoch=account.epoch)
            # How the string reads depends on the account's state: never both ways.
            is_enrolled = account is not None and account.totp is not None
            presented = splitter.split(secret, enrolled=is_enrolled and not attempt.password_only)
            if_enrolled = splitter.split(secret, enrolled=not attempt.password_only)
            passed = buckets.last_passed(connection, 0 if account is None else account.id, source.network)
            is_familiar = passed is not None and now - passed < limiter.FAMILIAR_FOR
            is_bare = isinstance(if_enrolled, splitter.Password)
            wrong_digest = self._wrong_digest(subject, account, secret) if is_bare else None
            was_accepted = memories.was_accepted(connection, memory.string_digest)
            is_repeat = was_accepted or (wrong_digest is not None and self._known_wrong.has(wrong_digest, now))
            guess = Guess.REPEAT if is_repeat else _guess(if_enrolled)
            drawn = limiter.buckets(self._limits, subject, source, guess, is_familiar=is_familiar)
            buckets.give_back(connection, self._releases.no_longer_held(now))
            full = buckets.draw(connection, drawn, now)
            retry_after_s = 0.0 if full is None else buckets.wait_s(connection, drawn, now)
            recovery_row = self._recovery_row(connection, subject, account, if_enrolled)
        if full is not None:
            fields = {"account": subject, "bucket": full.kind, "client": attempt.client}
            log.info("throttled", extra={FIELDS: fields})
            return Unavailable(Reason.THROTTLED, subject, retry_after_s)
        return Admitted(
            attempt=attempt,
            subject=subject,
            account=account,
            presented=presented,
            recovery_row=recovery_row,
            source=source,
            is_fresh_source=passed is not None and now - passed < limiter.FAMILIAR_REFRESH,
            drawn=drawn,
            memory=memory,
            was_accepted=was_accepted,
            wrong_digest=wrong_digest,
            password_is_ours=not attempt.second_factor_only,
        )

    def settle(self, admitted: Admitted, decision: engine.Decision, now: datetime) -> Verdict:
        """Commit a decision, and return the verdict that holds: another login may have spent the code before."""
        match decision.verdict:
            case Granted() as granted:
                return self._grant(admitted, granted, decision, now)
            case Denied() as denied:
                return self._deny(admitted, denied, now)
            case verdict:
                assert_never(verdict)

    def _grant(self, admitted: Admitted, granted: Granted, decision: engine.Decision, now: datetime) -> Verdict:
        account, effect = admitted.account, decision.effect
        with self._database.writing(durable=effect is not None) as connection:
            if effect is None and not _is_unchanged(connection, account):
                return Denied(Reason.ACCOUNT_CHANGED, granted.account)
            if effect is None or _spend(connection, effect, now):
                held = _held(admitted, effect)
                buckets.give_back(connection, [bucket for bucket in admitted.drawn if bucket not in held])
                # Where nothing was asked for and the password is somebody else's to check, nobody has proved anything.
                # A password alone, where more is asked for elsewhere, doesn't make a network the account's own.
                has_proved = effect is not None or (
                    admitted.password_is_ours and granted.reason not in _PASSWORD_ALONE_IN_PORTAL
                )
                if account is not None and has_proved and not admitted.is_fresh_source:
                    buckets.set_passed(connection, account.id, admitted.source.network, now)
                if account is not None and isinstance(effect, engine.SpendRecoveryCode):
                    self._tell_of_use(connection, admitted, account, effect, now)
                if account is not None and isinstance(effect, engine.SpendStep):
                    memory = admitted.memory
                    memories.remember(connection, account.id, memory.digest, memory.string_digest, memory.profile, now)
                return replace(granted, release=self._release_token(admitted, effect, now))
        return self._deny(admitted, engine.lost_race(granted), now)

    def _tell_of_use(
        self,
        connection: Connection,
        admitted: Admitted,
        account: Account,
        spent: engine.SpendRecoveryCode,
        now: datetime,
    ) -> None:
        """Tell the owner that a recovery code is spent, in the transaction that spends it (requirement REC2).

        Where it may be given back, the mail waits until it can't be any more.
        """
        attempt, kind = admitted.attempt, NoticeKind.RECOVERY_CODE_USED
        origin = Origin(attempt.service, attempt.client, attempt.agent)
        left = factors.recovery_codes_left(connection, account.id)
        key, due_at = (None, now) if admitted.password_is_ours else (_use_of(spent, now), now + releases.LIFE)
        try:
            self._notices.tell(connection, account.id, kind, origin, now, once_key=key, due_at=due_at, left=left)
        except InvalidValue as error:  # a name that is no mail address must not be locked out for that
            log.warning("an owner cannot be told that a recovery code was used: %s", error)

    def _release_token(self, admitted: Admitted, effect: engine.Effect | None, now: datetime) -> str | None:
        if admitted.password_is_ours or admitted.account is None:
            return None
        is_new_network = effect is not None and not admitted.is_fresh_source
        wrong_password = tuple(bucket for bucket in admitted.drawn if bucket.kind is not Kind.CODE)
        release = Release(
            account=admitted.account.name,
            account_id=admitted.account.id,
            effect=effect,
            spent_at=now,
            drawn=wrong_password,
            memory_digest=admitted.memory.digest,
            familiar_network=admitted.source.network if is_new_network else None,
            wrong_digest=admitted.wrong_digest,
            held=_held(admitted, effect),
        )
        return self._releases.issue(release)

    def give_back(self, name: AccountName, token: str, now: datetime) -> AccountName | None:
        """Unspend what was spent under a token, if anything, and count the wrong password that came along.

        Return whose it was; None where the token does not serve, or was another account's.
        """
        with self._database.reading() as connection:
            account = accounts.load(connection, name)
        release = self._releases.take(token, now)
        if release is None or account is None or release.account_id != account.id:
            return None
        with self._database.writing() as connection:
            effect = release.effect
            is_unspent = effect is not None and _unspend(connection, effect, release.spent_at)
            if is_unspent and isinstance(effect, engine.SpendRecoveryCode):
                self._notices.withdraw(connection, _use_of(effect, release.spent_at))
            memories.forget(connection, release.memory_digest)
            if release.familiar_network is not None:
                buckets.unset_passed(connection, release.account_id, release.familiar_network)
            for bucket in release.drawn:
                buckets.draw(connection, [bucket], now)
        if release.wrong_digest is not None:
            self._known_wrong.add(release.wrong_digest, now)
        return release.account

    def _deny(self, admitted: Admitted, denied: Denied, now: datetime) -> Verdict:
        verdict: Verdict = denied if denied.account else replace(denied, account=admitted.subject)
        # What this client had accepted a moment ago, on another connection, is remembered by now.
        with self._database.writing(durable=False) as connection:
            is_remembered = self._use(connection, admitted.memory, admitted.account, now)
            is_known = memories.is_known(connection, admitted.memory.digest)
        if is_remembered:
            epoch = None if admitted.account is None else admitted.account.epoch
            verdict = Granted(admitted.subject, Credential.PASSWORD_AND_CODE, Reason.REMEMBERED, epoch=epoch)
        elif is_known and denied.reason is Reason.CODE_REPLAYED:
            verdict = replace(denied, reason=Reason.CODE_REPLAYED_BY_SAME_CLIENT)
        if admitted.wrong_digest is not None and limiter.is_settled(verdict):
            self._known_wrong.add(admitted.wrong_digest, now)
        owed = limiter.owed_back(verdict, admitted.drawn)
        # Also where nothing is owed: the thread that does it delays the reply by a trace, which would tell.
        kept = tuple(bucket for bucket in admitted.drawn if bucket.kind is Kind.CODE and bucket not in owed)
        if owed or kept:
            self._database.later(lambda: self._give_back(owed, kept))
        return verdict

    def _give_back(self, owed: tuple[Bucket, ...], kept: tuple[Bucket, ...]) -> None:
        with self._database.writing(durable=False) as connection:
            buckets.give_back(connection, owed)
            buckets.give_back(connection, kept, draws=0)

    def _use(self, connection: Connection, memory: Memory, account: Account | None, now: datetime) -> bool:
        epoch = None if account is None else account.epoch
        return memory.serves and memories.use(connection, memory.digest, memory.profile, now, epoch)

    def _memory(self, attempt: Attempt, subject: AccountName, account: Account | None) -> Memory:
        secret = attempt.secret.reveal()
        # An accepted code says nothing of the password where that was not checked along.
        scope = "second-factor-only" if attempt.second_factor_only else "password-only" * attempt.password_only
        bound_to = (subject, _epoch(account), scope)
        if attempt.client is None:
            network, profile = limiter.NOWHERE, login_memory.NONE
        else:
            network, profile = login_memory.network_of(attempt.client), self._profiles.of(attempt.client)
        service_class = login_memory.service_class(attempt.service)
        return Memory(
            digest=self._keyring.mac(Purpose.LOGIN_MEMORY, *bound_to, service_class, network, secret),
            string_digest=self._keyring.mac(Purpose.ACCEPTED_STRING, *bound_to, secret),
            profile=profile,
            serves=attempt.proves_again or service_class != PORTAL,
        )

    def _wrong_digest(self, subject: AccountName, account: Account | None, secret: bytes) -> bytes:
        return self._keyring.mac(Purpose.KNOWN_WRONG, subject, _epoch(account), secret)

    def _recovery_row(
        self,
        connection: Connection,
        subject: AccountName,
        account: Account | None,
        if_enrolled: splitter.Presented,
    ) -> int | None:
        """Find a recovery code's row; looked for whatever the account is, so that it costs every account alike."""
        if not isinstance(if_enrolled, splitter.PasswordAndRecoveryCode):
            return None
        former_names = () if account is None else account.former_names
        code = if_enrolled.recovery_code
        digests = name_bound.digests(self._keyring, Purpose.RECOVERY_CODE, subject, former_names, code)
        return factors.find_recovery_code(connection, 0 if account is None else account.id, digests)


def _held(admitted: Admitted, effect: engine.Effect | None) -> tuple[Bucket, ...]:
    """Return the account's draws of a login of which nothing was asked here: its password may yet be refused."""
    if admitted.password_is_ours or effect is not None:
        return ()
    return tuple(bucket for bucket in admitted.drawn if bucket.kind in (Kind.ACCOUNT_AND_SOURCE, Kind.ACCOUNT))


_PASSWORD_ALONE_IN_PORTAL = frozenset({Reason.TO_ENROL, Reason.PASSWORD_CONFIRMED})


def _spend(connection: Connection, effect: engine.Effect, now: datetime) -> bool:
    match effect:
        case engine.SpendStep():
            return factors.spend_step(connection, effect.account_id, effect.totp_id, effect.step, effect.epoch)
        case engine.SpendRecoveryCode():
            return factors.spend_recovery_code(connection, effect.account_id, effect.row_id, effect.epoch, now)
        case _:
            assert_never(effect)


def _unspend(connection: Connection, effect: engine.Effect, spent_at: datetime) -> bool:
    match effect:
        case engine.SpendStep():
            return factors.unspend_step(connection, effect.account_id, effect.totp_id, effect.step, effect.epoch)
        case engine.SpendRecoveryCode():
            return factors.unspend_recovery_code(connection, effect.account_id, effect.row_id, effect.epoch, spent_at)
        case _:
            assert_never(effect)


def _use_of(spent: engine.SpendRecoveryCode, now: datetime) -> str:
    """Return the key of the notice about one use of a recovery code."""
    return f"recovery-code-used {spent.row_id} {now.isoformat()}"


def _guess(if_enrolled: splitter.Presented) -> Guess:
    match if_enrolled:
        case splitter.Password():
            return Guess.PASSWORD
        case splitter.PasswordAndCode():
            return Guess.PASSWORD_AND_CODE
        case splitter.PasswordAndRecoveryCode():
            return Guess.RECOVERY_CODE
        case _:
            assert_never(if_enrolled)


def _is_unchanged(connection: Connection, account: Account | None) -> bool:
    return account is not None and _epoch(accounts.load(connection, account.name)) == _epoch(account)


def _epoch(account: Account | None) -> str:
    return "" if account is None else f"{account.id}/{account.epoch}"
