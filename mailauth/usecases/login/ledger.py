"""The two visits that a login with a password pays to the database.

Before anything is verified, `admit`: the account, the login memory, and the charges to the limiter's meters, in
one transaction. After the decision, `settle`: what the verdict spends, remembers and undoes, in one
transaction, before anybody is told. Decides nothing about factors.

A denial does the same work whichever factor was wrong, so that its time tells nothing; what is to be
undone of its charges is undone after the reply. Works on the database's threads, not on the event loop.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple, assert_never

from sqlalchemy import Connection

from mailauth.core import engine, limiter, login_memory, splitter
from mailauth.core.limiter import AttemptMeters, Familiarity, Kinship, Limits, Meter, Source
from mailauth.core.login_memory import Profile, Profiles
from mailauth.core.reading import ByPassword
from mailauth.core.services import PORTAL
from mailauth.effects import name_bound, session_bound
from mailauth.effects.keyring import Keyring, Purpose
from mailauth.effects.log_lines import FIELDS
from mailauth.effects.store import accounts, factors, familiar_networks, meters, remembered_logins
from mailauth.effects.store.database import Database
from mailauth.usecases.login import refunds
from mailauth.usecases.login.refunds import Refund, Refunds
from mailauth.usecases.login.refused_strings import RefusedStrings
from mailauth.usecases.notices import Notices
from mailauth.vocabulary.errors import InvalidValue
from mailauth.vocabulary.model import (
    Account,
    AccountName,
    Ask,
    Attempt,
    Credential,
    Denied,
    Granted,
    Network,
    Unavailable,
    Verdict,
)
from mailauth.vocabulary.notices import NoticeKind, Origin
from mailauth.vocabulary.reasons import WhyDenied, WhyGranted, WhyUnavailable

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Memory:
    """Under which digests, and how, this very login would be remembered; for no time where its client is unknown.

    `serves`: it may pass by what is remembered. In the portal nobody comes in by that; in a session that is open, the
    string that opened it serves, and one that was a proof in it, and in no other: a network is not a person.
    """

    digest: bytes
    string_digest: bytes
    profile: Profile
    serves: bool


@dataclass(frozen=True, slots=True)
class Admitted:
    """A login that may be verified: the account, how its secret reads, and to which meters it was charged.

    `was_accepted`: this very string was, once, so that it never is again. `was_refused`: it was, from the same
    network, so that its code is not judged again. `is_used_up`: a limit of guesses at the account is, so that
    only a login by both factors is told. `subject` is the account's name, or the presented one in its canonical form
    where there is no such account. `refused_digest` is that of the string in this network; `password_is_ours` whether
    it was we who checked the password.
    """

    attempt: Attempt
    subject: AccountName
    account: Account | None
    presented: splitter.Presented
    recovery_row: int | None
    source: Source
    familiarity: Familiarity | None
    meters: AttemptMeters
    charged: tuple[Meter, ...]
    is_used_up: bool
    retry_after_s: float
    memory: Memory
    was_accepted: bool
    was_refused: bool
    refused_digest: bytes
    password_is_ours: bool


class _Charges(NamedTuple):
    """The meters that were charged; the one for which nothing is verified; whether a limit of guesses is used up."""

    charged: tuple[Meter, ...]
    refusing: Meter | None
    is_used_up: bool


class _Throttled(NamedTuple):
    """A login that is not verified, because of this meter."""

    subject: AccountName
    meter: Meter
    retry_after_s: float


class _Weighed(NamedTuple):
    """What came of the charges for what is half right, and what the client had accepted before."""

    is_remembered: bool
    is_known: bool
    is_admitted: bool


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
        self._refused = RefusedStrings()
        self._withheld = RefusedStrings()  # refused while the account's limits were used up, and not told
        self._releases = Refunds(os.urandom)

    def admit(self, reading: ByPassword, now: datetime) -> Admitted | Granted | Unavailable:
        """Return what is to be verified; or at once Granted from the login memory, or Unavailable if throttled."""
        # Taken once, though what follows may be run again.
        let_go = self._releases.no_longer_held(now)
        found = self._database.write(lambda connection: self._admit(connection, reading, let_go, now), durable=False)
        if not isinstance(found, _Throttled):
            return found
        fields = {"account": found.subject, "bucket": found.meter.kind, "client": reading.attempt.client}
        log.info("throttled", extra={FIELDS: fields})
        return Unavailable(WhyUnavailable.THROTTLED, found.subject, found.retry_after_s)

    def _admit(
        self, connection: Connection, reading: ByPassword, let_go: tuple[Meter, ...], now: datetime
    ) -> "Admitted | Granted | _Throttled":
        attempt, name = reading.attempt, reading.name
        source = limiter.source_of(attempt.client, self._trusted)
        meters.undo(connection, let_go)
        account = accounts.load(connection, name)
        subject = name if account is None else account.name
        memory = self._memory(attempt, subject, account)
        is_remembered = self._use(connection, memory, account, now)
        if is_remembered and account is not None:
            return Granted(account.name, Credential.PASSWORD_AND_CODE, WhyGranted.REMEMBERED, epoch=account.epoch)
        # How the string reads depends on the account's state: never both ways.
        is_enrolled = account is not None and account.totp is not None
        presented = reading.presented(is_enrolled=is_enrolled)
        if_enrolled = reading.presented(is_enrolled=True)
        familiarity = familiar_networks.find(connection, 0 if account is None else account.id, source.network)
        refused_digest = self._refused_digest(attempt, subject, account, source)
        was_accepted = remembered_logins.was_accepted(connection, memory.string_digest)
        is_own_again = remembered_logins.is_known(connection, memory.digest)
        was_refused = self._refused.has(refused_digest, now)
        attempt_meters = self._meters_of(subject, account, source, familiarity, if_enrolled, now)
        is_no_guess = is_own_again or was_refused
        is_shown = is_no_guess or self._withheld.has(refused_digest, now)
        charges = self._charge(connection, attempt, attempt_meters, now, is_shown=is_shown, is_no_guess=is_no_guess)
        is_throttled = charges.refusing is not None or charges.is_used_up
        retry_after_s = meters.wait_s(connection, attempt_meters.visible, now) if is_throttled else 0.0
        recovery_row = self._recovery_row(connection, subject, account, if_enrolled)
        if charges.refusing is not None:
            return _Throttled(subject, charges.refusing, retry_after_s)
        return Admitted(
            attempt=attempt,
            subject=subject,
            account=account,
            presented=presented,
            recovery_row=recovery_row,
            source=source,
            familiarity=familiarity,
            meters=attempt_meters,
            charged=charges.charged,
            is_used_up=charges.is_used_up,
            retry_after_s=retry_after_s,
            memory=memory,
            was_accepted=was_accepted,
            was_refused=is_shown and not is_own_again,
            refused_digest=refused_digest,
            password_is_ours=attempt.ask is not Ask.SECOND_FACTOR,
        )

    def _meters_of(
        self,
        subject: AccountName,
        account: Account | None,
        source: Source,
        familiarity: Familiarity | None,
        if_enrolled: splitter.Presented,
        now: datetime,
    ) -> AttemptMeters:
        kinship, epoch = Kinship.STRANGE, 0 if account is None else account.epoch
        if familiarity is not None:
            kinship = familiarity.kinship(epoch, now)
        return limiter.attempt_meters(self._limits, subject, epoch, source, kinship, _tail(if_enrolled))

    def _charge(
        self,
        connection: Connection,
        attempt: Attempt,
        attempt_meters: AttemptMeters,
        now: datetime,
        *,
        is_shown: bool,
        is_no_guess: bool,
    ) -> "_Charges":
        """Charge the attempt; the same statements for a repetition and for a guess, so that the time tells nothing.

        `is_shown`: the string was refused from there before, told or not; `is_no_guess`: it was told.
        """
        refusing = meters.non_conforming(connection, attempt_meters.bounding, now)
        if refusing is not None:
            return _Charges((), refusing, is_used_up=False)
        is_free = meters.charge(connection, attempt_meters.repeating, now, cost=int(is_shown)) is None and is_shown
        refusing = meters.charge(connection, attempt_meters.bounding, now, cost=int(not is_free))
        if refusing is not None:
            return _Charges((), refusing, is_used_up=False)
        is_guess = not (is_free and is_no_guess)
        used_up = meters.non_conforming(connection, attempt_meters.counting, now)
        refused = meters.charge(connection, attempt_meters.counting, now, cost=int(is_guess))
        used_up = used_up or refused
        cost = attempt_meters.repeating if is_free else attempt_meters.bounding
        if used_up is not None and attempt.ask is Ask.SECOND_FACTOR:
            # Who checks the password is not us: nothing would tell its owner from a guesser.
            return _Charges(cost, used_up, is_used_up=True)
        return _Charges(
            cost + attempt_meters.counting if is_guess and used_up is None else cost,
            None,
            is_used_up=used_up is not None,
        )

    def undo_charges(self, admitted: Admitted, *, was_begun: bool) -> None:
        """Undo the charges of an attempt that could not be decided. If it was begun, its work stays charged."""
        undone = [meter for meter in admitted.charged if not was_begun or not admitted.meters.bounds_work(meter)]
        self._database.write(lambda connection: meters.undo(connection, undone), durable=False)

    def settle(
        self, admitted: Admitted, decision: engine.Decision, now: datetime, *, only_factor_is_right: bool = False
    ) -> Verdict:
        """Commit a decision, and return the verdict that holds: another login may have spent the code before.

        `only_factor_is_right`: the second factor would have done, had the password been right.
        """
        effect = decision.effect
        has_both = effect is not None and admitted.password_is_ours
        match decision.verdict:
            case Granted() as granted if limiter.may_be_told(
                granted, has_both=has_both, is_used_up=admitted.is_used_up
            ):
                if effect is None:
                    return self._grant(admitted, granted, now)
                return self._grant_and_spend(admitted, granted, effect, now)
            case Granted() as granted:
                # The way of every refusal, so that its time tells nothing either.
                return self._deny(admitted, Denied(WhyDenied.NOT_TOLD, granted.account, password_was_right=True), now)
            case Denied() as denied:
                return self._deny(admitted, denied, now, only_factor_is_right=only_factor_is_right)
            case verdict:
                assert_never(verdict)

    def _grant(self, admitted: Admitted, granted: Granted, now: datetime) -> Verdict:
        """Let in by what spends nothing."""

        def let_in(connection: Connection) -> bool:
            if not _is_unchanged(connection, admitted.account):
                return False
            held = _held(admitted, None)
            meters.undo(connection, [meter for meter in admitted.charged if meter not in held])
            self._note_network(connection, admitted, granted, None, now)
            return True

        if not self._database.write(let_in, durable=False):
            return Denied(WhyDenied.ACCOUNT_CHANGED, granted.account)
        return replace(granted, release=self._release_token(admitted, None, now))

    def _grant_and_spend(self, admitted: Admitted, granted: Granted, effect: engine.Effect, now: datetime) -> Verdict:
        """Let in by both factors. What does not conform goes the way of every refusal, to the statement."""
        needed = admitted.meters.codes + (admitted.meters.factors if admitted.is_used_up else ())
        weighed = self._weigh(admitted, now, codes=1, factors=int(admitted.is_used_up))
        lost = engine.lost_race(granted)
        if not weighed.is_admitted:
            return self._refuse(admitted, replace(lost, reason=WhyDenied.CODE_NOT_JUDGED), weighed, now)
        try:
            is_spent = not weighed.is_remembered and self._spend_and_note(admitted, granted, effect, needed, now)
        except BaseException:
            self._database.later(lambda: self._undo(needed))  # nothing was told
            raise
        if is_spent:
            release = self._release_token(admitted, effect, now)
            return replace(granted, release=release, remembered_as=_opening(admitted, effect))
        if weighed.is_remembered:
            self._database.later(lambda: self._undo(needed))
        else:
            weighed = self._weigh(admitted, now)
        return self._refuse(admitted, lost, weighed, now)

    def _spend_and_note(
        self,
        admitted: Admitted,
        granted: Granted,
        effect: engine.Effect,
        needed: tuple[Meter, ...],
        now: datetime,
    ) -> bool:
        """Spend, in one transaction with all that follows from it; False where another login did before."""
        account = admitted.account

        def spend(connection: Connection) -> bool:
            meters.undo(connection, needed)
            if account is None or not _spend(connection, effect, now):
                return False
            meters.undo(connection, admitted.charged)
            self._note_network(connection, admitted, granted, effect, now)
            if isinstance(effect, engine.SpendRecoveryCode):
                self._tell_of_use(connection, admitted, account, effect, now)
            else:
                memory = admitted.memory
                remembered_logins.remember(
                    connection, account.id, memory.digest, memory.string_digest, memory.profile, now
                )
            return True

        return self._database.write(spend)

    def _note_network(
        self,
        connection: Connection,
        admitted: Admitted,
        granted: Granted,
        effect: engine.Effect | None,
        now: datetime,
    ) -> None:
        """Note that the network is the account's own, as far as this login shows it."""
        account = admitted.account
        # Where nothing was asked for and the password is somebody else's to check, nobody has proved anything.
        # A password alone, where more is asked for elsewhere, doesn't make a network the account's own.
        has_proved = effect is not None or (
            admitted.password_is_ours and granted.reason not in _PASSWORD_ALONE_IN_PORTAL
        )
        if account is None or not has_proved or self._is_fresh(admitted, effect, now):
            return
        network, by_both = admitted.source.network, effect is not None
        familiar_networks.note(connection, account.id, account.epoch, network, now, by_both=by_both)

    @staticmethod
    def _is_fresh(admitted: Admitted, effect: engine.Effect | None, now: datetime) -> bool:
        account, familiarity = admitted.account, admitted.familiarity
        if account is None or familiarity is None:
            return False
        if familiarity.by_app_password:
            return False  # from now on it is more than that
        return familiarity.is_fresh(account.epoch, now, by_both=effect is not None)

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
        key, due_at = (None, now) if admitted.password_is_ours else (_use_of(spent, now), now + refunds.LIFE)
        try:
            self._notices.tell(connection, account.id, kind, origin, now, once_key=key, due_at=due_at, left=left)
        except InvalidValue as error:  # a name that is no mail address must not be locked out for that
            log.warning("an owner cannot be told that a recovery code was used: %s", error)

    def _release_token(self, admitted: Admitted, effect: engine.Effect | None, now: datetime) -> str | None:
        if admitted.password_is_ours or admitted.account is None:
            return None
        is_noted = effect is not None and not self._is_fresh(admitted, effect, now)
        release = Refund(
            account=admitted.account.name,
            account_id=admitted.account.id,
            effect=effect,
            spent_at=now,
            charged=admitted.charged,
            memory_digest=admitted.memory.digest,
            noted_network=admitted.source.network if is_noted else None,
            familiarity_before=admitted.familiarity,
            refused_digest=admitted.refused_digest if effect is None else None,
            held=_held(admitted, effect),
        )
        return self._releases.issue(release)

    def give_back(self, name: AccountName, token: str, now: datetime) -> AccountName | None:
        """Unspend what was spent under a token, if anything, and count the wrong password that came along.

        Return whose it was; None where the token does not serve, or was another account's.
        """
        account = self._database.read(lambda connection: accounts.load(connection, name))
        release = self._releases.take(token, now)
        if release is None or account is None or release.account_id != account.id:
            return None

        def unspend(connection: Connection) -> None:
            effect = release.effect
            is_unspent = effect is not None and _unspend(connection, effect, release.spent_at)
            if is_unspent and isinstance(effect, engine.SpendRecoveryCode):
                self._notices.withdraw(connection, _use_of(effect, release.spent_at))
            remembered_logins.forget(connection, release.memory_digest)
            if release.noted_network is not None:
                familiar_networks.restore(
                    connection, release.account_id, release.noted_network, release.familiarity_before
                )
            for meter in release.charged:
                meters.charge(connection, [meter], now)

        self._database.write(unspend)
        if release.refused_digest is not None:
            self._refused.add(release.refused_digest, now)
        return release.account

    def _deny(
        self, admitted: Admitted, denied: Denied, now: datetime, *, only_factor_is_right: bool = False
    ) -> Verdict:
        codes, factors = int(limiter.owes_code(denied)), int(only_factor_is_right)
        return self._refuse(admitted, denied, self._weigh(admitted, now, codes=codes, factors=factors), now)

    def _weigh(self, admitted: Admitted, now: datetime, *, codes: int = 0, factors: int = 0) -> "_Weighed":
        """Charge for what is half right, or is to be let in, and look what the client had accepted before.

        The same statements whatever is right; before anything is told, and before anything durable is written.
        """
        costs = [(meter, codes) for meter in admitted.meters.codes]
        costs += [(meter, factors) for meter in admitted.meters.factors]

        def weigh(connection: Connection) -> _Weighed:
            return _Weighed(
                # What this client had accepted a moment ago, on another connection, is remembered by now.
                is_remembered=self._use(connection, admitted.memory, admitted.account, now),
                is_known=remembered_logins.is_known(connection, admitted.memory.digest),
                is_admitted=meters.charge_alike(connection, costs, now),
            )

        return self._database.write(weigh, durable=False)

    def _refuse(self, admitted: Admitted, denied: Denied, weighed: "_Weighed", now: datetime) -> Verdict:
        """Return the verdict on a login that is refused, or let in by what it had accepted a moment ago."""
        verdict = denied if denied.account else replace(denied, account=admitted.subject)
        if weighed.is_remembered:
            self._database.later(lambda: self._undo(admitted.charged))
            epoch = None if admitted.account is None else admitted.account.epoch
            return Granted(admitted.subject, Credential.PASSWORD_AND_CODE, WhyGranted.REMEMBERED, epoch=epoch)
        if denied.reason is WhyDenied.CODE_WRONG and not weighed.is_admitted:
            verdict = replace(denied, reason=WhyDenied.CODE_NOT_JUDGED)  # the same answer as for a right one then
        elif denied.reason is WhyDenied.CODE_REPLAYED and weighed.is_known:
            verdict = replace(denied, reason=WhyDenied.CODE_REPLAYED_BY_SAME_CLIENT)
        if limiter.is_settled(verdict):
            # What is not told must be a guess when it is shown again: else it were one for nothing.
            (self._withheld if admitted.is_used_up else self._refused).add(admitted.refused_digest, now)
        if limiter.is_no_guess(verdict):
            undone = tuple(meter for meter in admitted.charged if not admitted.meters.bounds_work(meter))
            self._database.later(lambda: self._undo(undone))
        if admitted.is_used_up:
            return Unavailable(WhyUnavailable.THROTTLED, admitted.subject, admitted.retry_after_s, withheld=verdict)
        return verdict

    def _undo(self, charged: tuple[Meter, ...]) -> None:
        self._database.write(lambda connection: meters.undo(connection, charged), durable=False)

    def _use(self, connection: Connection, memory: Memory, account: Account | None, now: datetime) -> bool:
        epoch = None if account is None else account.epoch
        return memory.serves and remembered_logins.use(connection, memory.digest, memory.profile, now, epoch)

    def _memory(self, attempt: Attempt, subject: AccountName, account: Account | None) -> Memory:
        secret = attempt.secret.reveal()
        bound_to = (subject, _epoch(account), _scope(attempt))
        if attempt.client is None:
            network, profile = limiter.NOWHERE, login_memory.NONE
        else:
            network, profile = login_memory.network_of(attempt.client), self._profiles.of(attempt.client)
        service_class = login_memory.service_class(attempt.service)
        digest = self._keyring.mac(Purpose.LOGIN_MEMORY, *bound_to, service_class, network, secret)
        if attempt.ask is Ask.PROOF:
            digest = session_bound.digest(self._keyring, digest, attempt.session)
        return Memory(
            digest=digest,
            string_digest=self._keyring.mac(Purpose.ACCEPTED_STRING, *bound_to, secret),
            profile=profile,
            serves=attempt.ask is Ask.PROOF or service_class != PORTAL,
        )

    def _refused_digest(
        self, attempt: Attempt, subject: AccountName, account: Account | None, source: Source
    ) -> bytes:
        bound_to = (subject, _epoch(account), _scope(attempt), source.network)
        return self._keyring.mac(Purpose.REFUSED_STRING, *bound_to, attempt.secret.reveal())

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


def _opening(admitted: Admitted, effect: engine.Effect) -> bytes | None:
    """Return as what the login is remembered that opens a session of the portal."""
    attempt = admitted.attempt
    is_remembered = isinstance(effect, engine.SpendStep)
    return admitted.memory.digest if is_remembered and (attempt.service, attempt.ask) == (PORTAL, Ask.WHOLE) else None


def _held(admitted: Admitted, effect: engine.Effect | None) -> tuple[Meter, ...]:
    """Return the meters of the account that a login is charged to until its password can't be refused any more.

    That is one of which nothing was asked here.
    """
    if admitted.password_is_ours or effect is not None:
        return ()
    return tuple(meter for meter in admitted.charged if not admitted.meters.bounds_work(meter))


_PASSWORD_ALONE_IN_PORTAL = frozenset({WhyGranted.TO_ENROL, WhyGranted.PASSWORD_CONFIRMED})


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


def _tail(if_enrolled: splitter.Presented) -> limiter.Tail:
    match if_enrolled:
        case splitter.Password():
            return limiter.Tail.NOTHING
        case splitter.PasswordAndCode():
            return limiter.Tail.CODE
        case splitter.PasswordAndRecoveryCode():
            return limiter.Tail.RECOVERY_CODE
        case _:
            assert_never(if_enrolled)


def _scope(attempt: Attempt) -> str:
    """Return what was asked for: an accepted code says nothing of the password where that was not checked along."""
    return Ask.WHOLE if attempt.ask is Ask.PROOF else attempt.ask  # what is typed for both is one string


def _is_unchanged(connection: Connection, account: Account | None) -> bool:
    return account is not None and _epoch(accounts.load(connection, account.name)) == _epoch(account)


def _epoch(account: Account | None) -> str:
    return "" if account is None else f"{account.id}/{account.epoch}"
