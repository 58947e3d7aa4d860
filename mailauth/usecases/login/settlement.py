"""After a login is decided: what the verdict spends, remembers and undoes, in one transaction, before anybody is told.

A denial does the same work whichever factor was wrong, so that its time tells nothing; what is to be undone of its
charges is undone after the reply. Decides nothing about factors. Works on the database's threads, not on the event
loop.
"""

import logging
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple, assert_never

from sqlalchemy import Connection

from mailauth.core import engine, limiter, service_copy
from mailauth.core.limiter import Meter
from mailauth.core.services import PORTAL
from mailauth.effects.store import accounts, factors, familiar_networks, meters, remembered_logins
from mailauth.effects.store.database import Database
from mailauth.usecases.login import refunds
from mailauth.usecases.login.refunds import Refund, Refunds
from mailauth.usecases.login.refused_strings import RefusedStrings
from mailauth.usecases.login.reservation import Admitted, epoch_of, use
from mailauth.usecases.notices import Notices
from mailauth.vocabulary.errors import InvalidValue
from mailauth.vocabulary.model import Account, AccountName, Ask, Credential, Denied, Granted, Unavailable, Verdict
from mailauth.vocabulary.notices import NoticeKind, Origin
from mailauth.vocabulary.reasons import WhyDenied, WhyGranted, WhyUnavailable

log = logging.getLogger(__name__)


class _Weighed(NamedTuple):
    """What came of the charges for what is half right, and what the client had accepted before."""

    is_remembered: bool
    is_known: bool
    is_admitted: bool


class Settlement:
    """Spends, remembers and tells for logins that were decided."""

    def __init__(
        self,
        database: Database,
        notices: Notices,
        refunds: Refunds,
        refused: RefusedStrings,
        withheld: RefusedStrings,
    ) -> None:
        self._database = database
        self._notices = notices
        self._refunds = refunds
        self._refused = refused
        self._withheld = withheld

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
        return self._refunds.issue(release)

    def give_back(self, name: AccountName, token: str, now: datetime) -> AccountName | None:
        """Unspend what was spent under a token, if anything, and count the wrong password that came along.

        Return whose it was; None where the token does not serve, or was another account's.
        """
        account = self._database.read(lambda connection: accounts.load(connection, name))
        release = self._refunds.take(token, now)
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
        is_right = denied.password_was_right
        weighed = self._weigh(admitted, now, codes=codes, factors=factors, is_password_right=is_right)
        return self._refuse(admitted, denied, weighed, now)

    def _weigh(
        self, admitted: Admitted, now: datetime, *, codes: int = 0, factors: int = 0, is_password_right: bool = True
    ) -> _Weighed:
        """Charge for what is half right, or is to be let in, and look what the client had accepted before.

        The same statements whatever is right; before anything is told, and before anything durable is written.
        """
        may_serve = is_password_right or not admitted.memory.needs_password
        costs = [(meter, codes) for meter in admitted.meters.codes]
        costs += [(meter, factors) for meter in admitted.meters.factors]

        def weigh(connection: Connection) -> _Weighed:
            return _Weighed(
                # What this client had accepted a moment ago, on another connection, is remembered by now.
                is_remembered=use(connection, admitted.memory, admitted.account, now) and may_serve,
                is_known=remembered_logins.is_known(connection, admitted.memory.digest),
                is_admitted=meters.charge_alike(connection, costs, now),
            )

        return self._database.write(weigh, durable=False)

    def _refuse(self, admitted: Admitted, denied: Denied, weighed: _Weighed, now: datetime) -> Verdict:
        """Return the verdict on a login that is refused, or let in by what it had accepted a moment ago."""
        verdict = denied if denied.account else replace(denied, account=admitted.subject)
        if weighed.is_remembered:
            self._database.later(lambda: self._undo(admitted.charged))
            credential, reason = Credential.PASSWORD_AND_CODE, WhyGranted.REMEMBERED
            if admitted.account is None:
                return Granted(admitted.subject, credential, reason)
            fields = service_copy.fields(admitted.copies, admitted.attempt.service)
            return replace(engine.granted(admitted.account, credential, reason), fields=fields)
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


def _is_unchanged(connection: Connection, account: Account | None) -> bool:
    return account is not None and epoch_of(accounts.load(connection, account.name)) == epoch_of(account)
