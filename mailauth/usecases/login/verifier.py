"""A login from attempt to verdict: load, check both factors, decide, commit, and only then say yes.

Two ways through. An app password is answered from a read cache, without hash, database or thread, so that an
attack on passwords does not slow it down. Everything else takes one hop to the reservation, which loads, remembers
and counts; exactly one password hash; the check of the second factor whatever the hash said; and one hop back
to the settlement, which commits what the decision spends.

Whatever goes wrong on the way is Unavailable: a grant is never built on state that is not saved.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple, assert_never

from mailauth.core import engine, names, otp, service_copy, splitter
from mailauth.core.clock import Clock
from mailauth.core.password_chain import (
    Answer,
    Disabled,
    Expired,
    Right,
    Unanswered,
    Wrong,
)
from mailauth.core.policy import Policy, Requirement
from mailauth.core.reading import ByAppPassword, ByPassword, Reading, read
from mailauth.core.service_copy import ANY_SERVICE
from mailauth.core.source_entry import Asked, SourceEntry
from mailauth.effects.keyring import Keyring, Purpose, Sealed
from mailauth.effects.pools import NOT_BEGUN
from mailauth.effects.store.database import Database
from mailauth.usecases.activity import Activity
from mailauth.usecases.login.app_password_logins import AppPasswordLogins
from mailauth.usecases.login.codelike_passwords import CodelikePasswords
from mailauth.usecases.login.granted_passwords import GrantedPasswords
from mailauth.usecases.login.login_notices import LoginNotices
from mailauth.usecases.login.paced_refusals import PacedRefusals
from mailauth.usecases.login.password_check import Located, PasswordCheck
from mailauth.usecases.login.renewals import Renewals
from mailauth.usecases.login.reservation import Admitted, Reservation, closed
from mailauth.usecases.login.settlement import Settlement
from mailauth.usecases.source_accounts import SourceAccounts
from mailauth.vocabulary.errors import (
    HashUnreadable,
    InvalidName,
    KeyUnusable,
    Overloaded,
    SealBroken,
    SourceUnavailable,
    StoreUnavailable,
)
from mailauth.vocabulary.model import (
    USUAL,
    AccountName,
    AppPassword,
    Ask,
    Attempt,
    Credential,
    Denied,
    Granted,
    Hint,
    Unavailable,
    Verdict,
)
from mailauth.vocabulary.reasons import WhyDenied, WhyUnavailable

log = logging.getLogger(__name__)

_UNAVAILABLE_BECAUSE: dict[type[Exception], WhyUnavailable] = {
    StoreUnavailable: WhyUnavailable.STORE_UNAVAILABLE,
    SourceUnavailable: WhyUnavailable.SOURCE_UNAVAILABLE,
    SealBroken: WhyUnavailable.KEY_UNAVAILABLE,
    KeyUnusable: WhyUnavailable.KEY_UNAVAILABLE,
    HashUnreadable: WhyUnavailable.HASH_UNREADABLE,
    Overloaded: WhyUnavailable.OVERLOADED,
}


_COUNTED = ("counted",)
"""What the CancelledError carries of a login whose password was found wrong before its time was over."""


class _Found(NamedTuple):
    """A login, and where its password is to be checked."""

    admitted: Admitted
    located: Located


class _Answered(NamedTuple):
    """A login, and what was said of its password."""

    admitted: Admitted
    answer: Answer


class Verifier:
    """Decides logins. One for all doors, so that all of them have the same rules."""

    def __init__(
        self,
        *,
        database: Database,
        reservation: Reservation,
        settlement: Settlement,
        keyring: Keyring,
        passwords: PasswordCheck,
        source_accounts: SourceAccounts,
        renewals: Renewals,
        policy: Policy,
        activity: Activity,
        login_notices: LoginNotices,
        app_passwords: AppPasswordLogins,
        default_domain: str,
        clock: Clock,
        deadline_s: float,
        refusals: PacedRefusals,
        monotonic: Callable[[], float],
    ) -> None:
        self._database = database
        self._reservation = reservation
        self._settlement = settlement
        self._keyring = keyring
        self._passwords = passwords
        self._source_accounts = source_accounts
        self._renewals = renewals
        self._policy = policy
        self._activity = activity
        self._login_notices = login_notices
        self._app_passwords = app_passwords
        self.codelike_passwords = CodelikePasswords(passwords, login_notices)
        self._default_domain = default_domain
        self._clock = clock
        self._deadline_s = deadline_s
        self._refusals = refusals
        self._monotonic = monotonic
        self._granted_passwords = GrantedPasswords(keyring, monotonic)
        # What the codes of unknown and not enrolled accounts are compared with, so that they cost the same.
        self._dummy = keyring.seal(Purpose.TOTP_SEED, "", os.urandom(otp.SEED_BYTES))

    def decide(self, attempt: Attempt) -> Verdict | Coroutine[Any, Any, Verdict]:
        """Return the verdict where memory suffices for it; otherwise what has to be awaited, within the deadline.

        What a verdict spends is committed before it is returned.
        """
        reading = read(attempt, self._default_domain)
        verdict: Verdict | None
        if isinstance(reading, ByAppPassword):  # first, for it is the hot path
            try:
                verdict = self._app_passwords.from_memory(reading)
            except KeyUnusable as error:
                verdict = _unavailable(reading.name, error)
            if verdict is None:
                return self._in_time(reading)
        elif isinstance(reading, ByPassword):
            return self._in_time(reading)
        else:
            verdict = reading
        self._activity.note(attempt, verdict, self._clock())
        return verdict

    async def verify(self, attempt: Attempt) -> Verdict:
        """Return the verdict, for those who wait for it in any case."""
        decided = self.decide(attempt)
        return await decided if isinstance(decided, Coroutine) else decided

    async def _in_time(self, reading: Reading) -> Verdict:
        attempt, name, began = reading.attempt, reading.name, self._monotonic()
        try:
            async with asyncio.timeout(self._deadline_s):
                verdict = await self._verify(reading)
        except TimeoutError:
            verdict = Unavailable(WhyUnavailable.DEADLINE, name)
        except tuple(_UNAVAILABLE_BECAUSE) as error:
            verdict = _unavailable(name, error)
        now = self._clock()
        self._activity.note(attempt, verdict, now)
        self._login_notices.note(attempt, verdict, now)
        if not isinstance(verdict, Granted) and isinstance(reading, ByPassword):
            await self._refusals.keep_back(reading, verdict, began)
        return verdict

    def close(self) -> None:
        """Let what runs end."""
        self._app_passwords.close()

    async def give_back(self, attempt: Attempt, token: str) -> AccountName | None:
        """Unspend what was spent under a token whose password proved wrong elsewhere; return whose it was, if any.

        `attempt` says again who it was, from where.
        """
        now = self._clock()
        try:
            name = names.read(attempt.name, self._default_domain)
            account = await self._database.run(lambda: self._settlement.give_back(name, token, now))
        except InvalidName:
            return None
        except (StoreUnavailable, Overloaded) as error:
            log.warning("a code could not be given back and stays spent, a wrong password is not counted: %s", error)
            return None
        if account is not None:
            self._activity.note(attempt, Denied(WhyDenied.PASSWORD_REFUSED_ELSEWHERE, account), now)
        return account

    async def _verify(self, reading: Reading) -> Verdict:
        now = self._clock()  # of receipt: a code does not go stale while a hash waits for its turn
        match reading:
            case ByAppPassword():
                return await self._app_passwords.verify(reading, now)
            case ByPassword(attempt=attempt) if attempt.ask is Ask.SECOND_FACTOR:
                return _of_second_factor(reading, await self._by_password(reading, now))
            case ByPassword():
                return await self._by_password(reading, now)
            case _:
                assert_never(reading)

    async def _by_password(self, reading: ByPassword, now: datetime) -> Verdict:
        attempt = reading.attempt
        is_abandoned = threading.Event()
        is_checked = is_settling = False
        try:
            admitted = await self._database.run(lambda: self._admit(reading, now, is_abandoned))
        except asyncio.CancelledError:
            is_abandoned.set()  # it may be carried out all the same, and gives back then what it drew
            raise
        if isinstance(admitted, AppPassword):
            return await self._app_passwords.on_right(admitted, attempt, now)
        if not isinstance(admitted, Admitted):
            return admitted
        answer: Answer | None = None  # where others check the password, they refuse a wrong one
        try:
            known_from = self._granted_passwords.source_of(admitted) if self._needs_no_more(admitted, now) else None
            if known_from is not None:
                answer = Right(known_from)
            elif attempt.ask is not Ask.SECOND_FACTOR:
                located = await self._located(reading, admitted, now, is_abandoned)
                if not isinstance(located, _Found):
                    return located
                admitted = located.admitted
                answered = await self._answered(reading, located, now)
                if not isinstance(answered, _Answered):
                    return answered
                admitted, answer = answered
            is_right = (answer is None or isinstance(answer, Right)) and _closed(admitted, answer) is None
            is_checked = True
            factor = self._second_factor(admitted, now)
            evidence = engine.Evidence(
                admitted.account, is_right, factor, attempt.service, attempt.ask is Ask.PASSWORD
            )
            decision = engine.decide(evidence, self._policy, now)
            is_settling = True
            half = not is_right and _is_right_factor(factor)
            verdict = await self._database.run(lambda: self._settle(admitted, decision, half, now, is_abandoned))
        except BaseException as error:
            # Nothing was told, so nothing was guessed: an outage must not count against whoever logs in meanwhile.
            was_begun = isinstance(error, asyncio.CancelledError) and error.args != NOT_BEGUN
            if is_settling and was_begun:
                is_abandoned.set()  # it is carried out all the same, and gives back then what it owes
            elif error.args != _COUNTED:
                self._undo_charges_later(admitted, was_begun=was_begun or is_checked)
            raise
        if isinstance(answer, Right) and isinstance(verdict, Granted):
            self._renewals.consider(admitted.account, answer)
            if known_from is None:
                self._granted_passwords.note(admitted, verdict, answer, is_followed=self._is_followed(answer))
        self.codelike_passwords.consider(admitted, verdict, now)
        return _with_hint(self._explained(verdict, admitted, answer), factor, admitted.presented.password)

    async def _located(
        self, reading: ByPassword, admitted: Admitted, now: datetime, is_abandoned: threading.Event
    ) -> "_Found | Verdict":
        """Return where the password is to be checked, and the login as one to whom that is; or its end."""
        located = await self._passwords.locate(_asked(admitted), admitted.account)
        again = await self._readmitted(reading, admitted, located, now, is_abandoned)
        if isinstance(again, AppPassword):
            verdict = await self._app_passwords.on_right(again, reading.attempt, now)
            self._undo_charges_later(admitted, was_begun=False)
            return verdict
        if not isinstance(again, Admitted):
            self._undo_charges_later(admitted, was_begun=True)
            return again
        return _Found(again, await self._relocated(located, again))

    async def _answered(self, reading: ByPassword, found: "_Found", now: datetime) -> "_Answered | Verdict":
        """Return what the password sources say, and the login with the account that it has by then; or its end."""
        admitted = found.admitted
        answer = await self._ask(reading, admitted, found.located)
        try:
            by_foreign = await self._app_passwords.by_foreign(reading.secret, admitted, _asked(admitted), answer, now)
        except asyncio.CancelledError:
            # A right password is told sooner: so that this one was wrong shows, and it has to count.
            raise asyncio.CancelledError(*_COUNTED) from None
        if by_foreign is not None:
            if not isinstance(by_foreign, Unavailable):
                self._undo_charges_later(admitted, was_begun=False)
            return by_foreign
        return _Answered(await self._taken_in(reading, admitted, answer, now), answer)

    def _is_followed(self, right: Right) -> bool:
        """Tell whether another password than this would be noticed, without a login by it."""
        if right.entry is None:
            return self._passwords.is_own(right.source)
        return right.entry.stored_hash is not None and self._source_accounts.is_listed(right.source)

    def _needs_no_more(self, admitted: Admitted, now: datetime) -> bool:
        """Tell whether a right password is let in for certain: only then may it take another time than a wrong one."""
        account = admitted.account
        if account is None or account.disabled or admitted.is_used_up:
            return False
        return self._policy.stand(account, now, admitted.attempt.service).requirement in _PASSWORD_IS_ENOUGH

    def _explained(self, verdict: Verdict, admitted: Admitted, answer: Answer | None) -> Verdict:
        """Return a verdict with what the password sources have to do with it, for the log and for mail servers."""
        if isinstance(verdict, Unavailable):
            return verdict
        if answer is not None:
            makes_accounts = self._passwords.makes_accounts(answer.source)
            verdict = _by_whose_word(verdict, answer, makes_accounts=makes_accounts)
        if isinstance(verdict, Granted):
            return replace(verdict, fields=_fields(admitted, answer))
        kept_out = _closed(admitted, answer)
        return verdict if kept_out is None or verdict.password_was_right else replace(verdict, reason=kept_out)

    async def _readmitted(
        self,
        reading: ByPassword,
        admitted: Admitted,
        located: Located,
        now: datetime,
        is_abandoned: threading.Event,
    ) -> Admitted | AppPassword | Granted | Unavailable:
        """Return the login as one to the account that a source has looked up, in the state that the source says."""
        entry, account = located.entry, admitted.account
        if entry is None:
            return admitted
        if entry.name != admitted.subject:
            # Another name of an account: its own limits count, beside those of what was presented.
            renamed = reading._replace(name=entry.name)
            other = await self._database.run(lambda: self._admit(renamed, now, is_abandoned))
            if isinstance(other, Admitted):
                admitted = replace(other, charged=(*admitted.charged, *other.charged))
                account = admitted.account
            else:
                return other
        if account is None:
            return admitted
        copies, service = admitted.copies, self._copied_for(admitted, entry)
        has_changed = await self._database.run(
            lambda: self._source_accounts.refreshed(account, entry, copies, service, now)
        )
        if has_changed:
            return await self._database.run(lambda: self._reservation.again(admitted, reading))
        return admitted

    def _copied_for(self, admitted: Admitted, entry: SourceEntry) -> str:
        """Return for which service a source says what it says: for all, where it does not tell them apart."""
        return admitted.attempt.service if self._passwords.is_by_service(entry.source) else ANY_SERVICE

    async def _relocated(self, located: Located, admitted: Admitted) -> Located:
        """Return where the account is to be checked that was found by another name: at its own source alone."""
        entry, account = located.entry, admitted.account
        if entry is None or account is None or account.source == entry.source:
            return located
        if not account.source and account.password_hash is None:
            return located  # nobody's yet
        return await self._passwords.locate(_asked(admitted), account)

    async def _ask(self, reading: ByPassword, admitted: Admitted, located: Located) -> Answer:
        """Return what the password sources say. Raises what kept them from answering."""
        password = admitted.presented.password
        answer = await self._passwords.verify(
            located,
            _asked(admitted),
            admitted.account,
            password,
            reading.passwords,
            network=admitted.source.network,
            is_familiar=admitted.familiarity is not None,
        )
        if isinstance(answer, Unanswered):
            raise answer.error
        return answer

    async def _taken_in(self, reading: ByPassword, admitted: Admitted, answer: Answer, now: datetime) -> Admitted:
        """Return the login of somebody whom a source lets in with the account that they have from now on."""
        account = admitted.account
        if not isinstance(answer, Right) or (account is not None and (account.source or account.password_hash)):
            return admitted
        makes_accounts = self._passwords.makes_accounts(answer.source)
        if (account is None and not makes_accounts) or self._passwords.is_own(answer.source):
            return admitted
        name, service = admitted.subject, ANY_SERVICE
        if answer.entry is not None:
            service = self._copied_for(admitted, answer.entry)
        taken = await self._database.run(
            lambda: self._source_accounts.taken_in(name, answer.source, answer.entry, service, now)
        )
        if taken is None:
            raise SourceUnavailable(
                f"{name} is known to {answer.source}, and here it is another account; see: mailauth account move"
            )
        return await self._database.run(lambda: self._reservation.again(admitted, reading))

    def _admit(
        self, reading: ByPassword, now: datetime, is_abandoned: threading.Event
    ) -> Admitted | AppPassword | Granted | Unavailable:
        """Load and count; on a thread, where it goes on also when nobody waits for it any more."""
        admitted = self._reservation.admit(reading, now)
        if is_abandoned.is_set() and isinstance(admitted, Admitted):
            self._reservation.undo_charges(admitted, was_begun=False)
        return admitted

    def _settle(
        self,
        admitted: Admitted,
        decision: engine.Decision,
        only_factor_is_right: bool,
        now: datetime,
        is_abandoned: threading.Event,
    ) -> Verdict:
        """Commit a decision; on a thread, where it goes on also when nobody waits for it any more."""
        verdict = self._settlement.settle(admitted, decision, now, only_factor_is_right=only_factor_is_right)
        if is_abandoned.is_set() and not isinstance(verdict, Granted):
            self._reservation.undo_charges(admitted, was_begun=True)
        return verdict

    def _undo_charges_later(self, admitted: Admitted, *, was_begun: bool) -> None:
        self._database.later(lambda: self._reservation.undo_charges(admitted, was_begun=was_begun))

    def _second_factor(self, admitted: Admitted, now: datetime) -> engine.SecondFactor:
        """Check the second factor. A seed is opened and its codes are computed for every login alike."""
        code = admitted.presented.code if isinstance(admitted.presented, splitter.PasswordAndCode) else b""
        account = admitted.account
        if account is None or account.totp is None:
            seed, last_step, parameters = self._keyring.unseal(Purpose.TOTP_SEED, "", self._dummy), 0, USUAL
        else:
            sealed = Sealed(account.totp.key_id, account.totp.sealed_seed)
            seed = self._keyring.unseal(Purpose.TOTP_SEED, account.name, sealed)
            last_step, parameters = account.totp.last_step, account.totp.parameters
        found = otp.match(seed, code, now, last_step, parameters)
        match admitted.presented:
            case splitter.Password():
                return engine.NoSecondFactor()
            case splitter.PasswordAndCode():
                # Accepted or refused once, a string is never a guess again: its code may come true, and is not asked.
                if admitted.was_refused and not admitted.was_accepted:
                    return engine.RefusedCode()
                return engine.CodeEvidence(_SPENT if admitted.was_accepted else found)
            case splitter.PasswordAndRecoveryCode():
                return engine.RecoveryEvidence(admitted.recovery_row)
            case presented:
                assert_never(presented)


def _asked(admitted: Admitted) -> Asked:
    attempt = admitted.attempt
    return Asked(admitted.subject, attempt.service, bool(attempt.secured), attempt.client)


def _closed(admitted: Admitted, answer: Answer | None) -> WhyDenied | None:
    """Return why the account's source keeps this login out, whatever its secret; None where it does not."""
    if isinstance(answer, Right) and answer.entry is not None:
        return service_copy.refusal_by_network(answer.entry.allow_nets, admitted.attempt.client)
    if isinstance(answer, Right) or answer is None:
        return closed(admitted.copies, admitted.attempt)
    return None


def _fields(admitted: Admitted, answer: Answer | None) -> tuple[tuple[str, str], ...]:
    """Return what mail servers are told along with the login: what the source says now, or has said."""
    if isinstance(answer, Right) and answer.entry is not None:
        return answer.entry.fields
    return service_copy.fields(admitted.copies, admitted.attempt.service)


def _by_whose_word(verdict: Granted | Denied, answer: Answer, *, makes_accounts: bool) -> Granted | Denied:
    """Return a verdict that says which source checked the password, and what it found beside right or wrong."""
    if not isinstance(verdict, Denied):
        return replace(verdict, source=answer.source)
    reason = verdict.reason
    match answer:
        case Disabled() if not verdict.password_was_right:
            reason = WhyDenied.DISABLED_AT_SOURCE
        case Expired() if not verdict.password_was_right:
            reason = WhyDenied.PASSWORD_EXPIRED
        case Wrong() if makes_accounts and reason is WhyDenied.ACCOUNT_UNKNOWN:
            reason = WhyDenied.PASSWORD_WRONG
        case _:
            pass
    return replace(verdict, reason=reason, source=answer.source)


_PASSWORD_IS_ENOUGH = (Requirement.PASSWORD_BEFORE_CUTOVER, Requirement.PASSWORD_BY_EXEMPTION)
_SPENT = otp.CodeMatch(step=0, unspent=False)

_WITHOUT_PASSWORD = {
    Credential.PASSWORD: Credential.NOTHING,
    Credential.PASSWORD_AND_CODE: Credential.CODE_ONLY,
    Credential.PASSWORD_AND_RECOVERY_CODE: Credential.RECOVERY_CODE_ONLY,
}


def _of_second_factor(reading: ByPassword, verdict: Verdict) -> Verdict:
    """Return a grant that says that no password was checked, and where the password ends that others check."""
    if not isinstance(verdict, Granted):
        return verdict
    presented = reading.presented(verdict.digits)
    tail_bytes = len(reading.secret) - len(presented.password)
    return replace(verdict, credential=_WITHOUT_PASSWORD[verdict.credential], tail_bytes=tail_bytes)


def _with_hint(verdict: Verdict, factor: engine.SecondFactor, password: bytes) -> Verdict:
    """Return a verdict that says so where only what stood between password and code may have been wrong."""
    match factor:
        case engine.CodeEvidence(match=found):
            is_code = found is not None
        case engine.RecoveryEvidence(row_id=row_id):
            is_code = row_id is not None
        case engine.NoSecondFactor() | engine.RefusedCode():
            is_code = False
        case _:
            assert_never(factor)
    if not is_code or not splitter.is_set_apart(password):
        return verdict
    if not isinstance(verdict, Denied) or verdict.reason is not WhyDenied.PASSWORD_WRONG:
        return verdict
    return replace(verdict, hint=Hint.CODE_SET_APART)


def _is_right_factor(factor: engine.SecondFactor) -> bool:
    """Tell whether a second factor would have let in whoever had the password."""
    match factor:
        case engine.CodeEvidence(match=found):
            return found is not None and found.unspent
        case engine.RecoveryEvidence(row_id=row_id):
            return row_id is not None
        case engine.NoSecondFactor() | engine.RefusedCode():
            return False
        case _:
            assert_never(factor)


def _unavailable(name: AccountName, error: Exception) -> Unavailable:
    log.error("login of %s cannot be decided: %s", name, error)
    return Unavailable(next(why for kind, why in _UNAVAILABLE_BECAUSE.items() if isinstance(error, kind)), name)
