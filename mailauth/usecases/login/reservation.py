"""Before a login is verified: the account, the login memory, and the charges to the limiter's meters, at once.

All in one transaction, with the same statements whoever asks for what, so that its time tells nothing. What is
reserved here is settled in `settlement.py`. Decides nothing. Works on the database's threads, not on the event loop.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, assert_never

from sqlalchemy import Connection

from mailauth.core import engine, limiter, login_memory, otp, service_copy, splitter
from mailauth.core.limiter import AttemptMeters, Familiarity, Kinship, Limits, Meter, Source
from mailauth.core.login_memory import Profile, Profiles
from mailauth.core.opaque import opaque
from mailauth.core.reading import ByPassword
from mailauth.core.services import PORTAL
from mailauth.effects import name_bound, session_bound
from mailauth.effects.keyring import Keyring, Purpose
from mailauth.effects.log_lines import FIELDS
from mailauth.effects.store import (
    accounts,
    app_passwords,
    factors,
    familiar_networks,
    foreign_app_passwords,
    meters,
    remembered_logins,
    service_copies,
)
from mailauth.effects.store.database import Database
from mailauth.effects.store.foreign_app_passwords import Waiting
from mailauth.usecases.login.refunds import Refunds
from mailauth.usecases.login.refused_strings import RefusedStrings
from mailauth.vocabulary.model import (
    Account,
    AccountName,
    AppPassword,
    Ask,
    Attempt,
    Credential,
    Granted,
    Network,
    ServiceCopy,
    Unavailable,
)
from mailauth.vocabulary.reasons import WhyDenied, WhyGranted, WhyUnavailable

log = logging.getLogger(__name__)


LOOKED_FOR_IMPORTS = timedelta(seconds=1)
"""How long after an import the app passwords that it has brought are tried at the latest."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Under which digests, and how, this very login would be remembered; for no time where its client is unknown.

    `serves`: it may pass by what is remembered. In the portal nobody comes in by that; in a session that is open, the
    string that opened it serves, and one that was a proof in it, and in no other: a network is not a person.
    `needs_password`: only once its password has proved right again, for somebody else may have changed it meanwhile.
    `string_digest` is of what was read, not of how it was typed: a code that was accepted has no other spelling.
    """

    digest: bytes
    string_digest: bytes
    profile: Profile
    serves: bool
    needs_password: bool = False


@dataclass(frozen=True, slots=True)
class Admitted:
    """A login that may be verified: the account, how its secret reads, and to which meters it was charged.

    `was_accepted`: this very string was, once, so that it never is again. `was_refused`: it was, from the same
    network, so that its code is not judged again; `was_told`: and its client heard so. `is_used_up`: a limit of
    guesses at the account is, so that only a login by both factors is told. `subject` is the account's name, or the
    presented one in its canonical form where there is no such account. `refused_digest` is that of the string in this
    network; `password_is_ours` whether it was we who checked the password; `copies` what the account's source said of
    it for services; `foreign` the account's app passwords of another system, which were not used here yet.
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
    was_told: bool
    refused_digest: bytes
    password_is_ours: bool
    copies: tuple[ServiceCopy, ...] = ()
    foreign: tuple[Waiting, ...] = ()


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


class Reservation:
    """Loads, remembers and counts for logins that are about to be verified.

    `refused`: strings that were, and told so; `withheld`: those that were refused while the account's limits were used
    up, and not told. Settlement adds to both.
    """

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        limits: Limits,
        trusted: Sequence[Network],
        profiles: Profiles,
        refunds: Refunds,
        refused: RefusedStrings,
        withheld: RefusedStrings,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._limits = limits
        self._trusted = trusted
        self._profiles = profiles
        self._refunds = refunds
        self._refused = refused
        self._withheld = withheld
        self._has_imports = False
        self._looked_for_imports_at = datetime.min.replace(tzinfo=UTC)

    def admit(self, reading: ByPassword, now: datetime) -> Admitted | AppPassword | Granted | Unavailable:
        """Return what is to be verified; or at once Granted from the login memory, or Unavailable if throttled.

        An app password where the string is one that its owner has brought along from another system.
        """
        # Taken once, though what follows may be run again.
        let_go = self._refunds.no_longer_held(now)
        found = self._database.write(lambda connection: self._admit(connection, reading, let_go, now), durable=False)
        if not isinstance(found, _Throttled):
            return found
        fields = {"account": found.subject, "bucket": found.meter.kind, "client": reading.attempt.client}
        log.info("throttled", extra={FIELDS: fields})
        return Unavailable(WhyUnavailable.THROTTLED, found.subject, found.retry_after_s)

    def _admit(
        self, connection: Connection, reading: ByPassword, let_go: tuple[Meter, ...], now: datetime
    ) -> "Admitted | AppPassword | Granted | _Throttled":
        attempt, name = reading.attempt, reading.name
        source = limiter.source_of(attempt.client, self._trusted)
        meters.undo(connection, let_go)
        account = accounts.load(connection, name)
        subject = name if account is None else account.name
        memory = self._memory(reading, subject, account)
        copies = _copies(connection, account)
        if closed(copies, attempt) is not None:
            memory = replace(memory, serves=False)
        is_remembered = use(connection, memory, account, now) and not memory.needs_password
        if is_remembered and account is not None:
            granted = engine.granted(account, Credential.PASSWORD_AND_CODE, WhyGranted.REMEMBERED)
            return replace(granted, fields=service_copy.fields(copies, attempt.service))
        # How the string reads depends on the account's state: never both ways.
        presented = reading.presented(digits_of(account))
        familiarity = familiar_networks.find(connection, 0 if account is None else account.id, source.network)
        own_app_password, foreign = self._app_passwords(connection, attempt, account, now)
        refused_digest = self._refused_digest(attempt, subject, account, source, foreign)
        was_accepted = remembered_logins.was_accepted(connection, memory.string_digest)
        is_own_again = remembered_logins.is_known(connection, memory.digest)
        was_refused = self._refused.has(refused_digest, now)
        attempt_meters = self._meters_of(subject, account, source, familiarity, reading.likely, now)
        is_no_guess = is_own_again or was_refused
        is_shown = is_no_guess or self._withheld.has(refused_digest, now)
        charges = self._charge(connection, attempt, attempt_meters, now, is_shown=is_shown, is_no_guess=is_no_guess)
        if own_app_password is not None and charges.refusing is None and not charges.is_used_up:
            meters.undo(connection, charges.charged)
            return own_app_password
        is_throttled = charges.refusing is not None or charges.is_used_up
        retry_after_s = meters.wait_s(connection, attempt_meters.visible, now) if is_throttled else 0.0
        recovery_row = self._recovery_row(connection, subject, account, reading.recovery_code)
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
            was_told=was_refused,
            refused_digest=refused_digest,
            password_is_ours=attempt.ask is not Ask.SECOND_FACTOR,
            copies=copies,
            foreign=foreign,
        )

    def _app_passwords(
        self, connection: Connection, attempt: Attempt, account: Account | None, now: datetime
    ) -> tuple[AppPassword | None, tuple[Waiting, ...]]:
        """Return the app password that the whole string is, from another system, and those that it may be as well.

        The same statements for every account; none where nobody has brought any along.
        """
        if attempt.ask is not Ask.WHOLE or attempt.service == PORTAL or not self._are_any_imported(connection, now):
            return None, ()
        account_id = 0 if account is None else account.id
        digests = presented_digests(self._keyring, account, attempt.secret.reveal())
        found = app_passwords.presented(connection, account_id, digests)
        return found, foreign_app_passwords.waiting(connection, account_id, now)

    def _are_any_imported(self, connection: Connection, now: datetime) -> bool:
        """Tell it from memory: for good once there are some, for a second where there are none."""
        if not self._has_imports and not timedelta(0) <= now - self._looked_for_imports_at < LOOKED_FOR_IMPORTS:
            self._has_imports = foreign_app_passwords.are_any(connection)
            self._looked_for_imports_at = now
        return self._has_imports

    def _meters_of(
        self,
        subject: AccountName,
        account: Account | None,
        source: Source,
        familiarity: Familiarity | None,
        likely: splitter.Presented,
        now: datetime,
    ) -> AttemptMeters:
        kinship, epoch = Kinship.STRANGE, 0 if account is None else account.epoch
        if familiarity is not None:
            kinship = familiarity.kinship(epoch, now)
        return limiter.attempt_meters(self._limits, subject, epoch, source, kinship, _tail(likely))

    def _charge(
        self,
        connection: Connection,
        attempt: Attempt,
        attempt_meters: AttemptMeters,
        now: datetime,
        *,
        is_shown: bool,
        is_no_guess: bool,
    ) -> _Charges:
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
        charged = attempt_meters.repeating if is_free else attempt_meters.bounding
        if used_up is not None and attempt.ask is Ask.SECOND_FACTOR:
            # Who checks the password is not us: nothing would tell its owner from a guesser.
            return _Charges(charged, used_up, is_used_up=True)
        return _Charges(
            charged + attempt_meters.counting if is_guess and used_up is None else charged,
            None,
            is_used_up=used_up is not None,
        )

    def again(self, admitted: Admitted, reading: ByPassword) -> Admitted:
        """Return the same login for its account as it is by now; what it was charged to stays."""

        def load(connection: Connection) -> Admitted:
            attempt, subject = admitted.attempt, admitted.subject
            account = accounts.load(connection, subject)
            memory, copies = self._memory(reading, subject, account), _copies(connection, account)
            return replace(
                admitted,
                account=account,
                copies=copies,
                presented=reading.presented(digits_of(account)),
                recovery_row=self._recovery_row(connection, subject, account, reading.recovery_code),
                memory=replace(memory, serves=memory.serves and closed(copies, attempt) is None),
                refused_digest=self._refused_digest(attempt, subject, account, admitted.source, admitted.foreign),
            )

        return self._database.read(load)

    def undo_charges(self, admitted: Admitted, *, was_begun: bool) -> None:
        """Undo the charges of an attempt that could not be decided. If it was begun, its work stays charged."""
        undone = [meter for meter in admitted.charged if not was_begun or not admitted.meters.bounds_work(meter)]
        self._database.write(lambda connection: meters.undo(connection, undone), durable=False)

    def _memory(self, reading: ByPassword, subject: AccountName, account: Account | None) -> Memory:
        attempt, secret = reading.attempt, reading.secret
        bound_to = (subject, epoch_of(account), _scope(attempt))
        if attempt.client is None:
            network, profile = limiter.NOWHERE, login_memory.NONE
        else:
            network, profile = login_memory.network_of(attempt.client), self._profiles.of(attempt.client)
        service_class = login_memory.service_class(attempt.service)
        digest = self._keyring.mac(Purpose.LOGIN_MEMORY, *bound_to, service_class, network, secret)
        is_proof = attempt.ask is Ask.PROOF
        if is_proof:
            digest = session_bound.digest(self._keyring, digest, attempt.session)
        return Memory(
            digest=digest,
            string_digest=self._keyring.mac(Purpose.ACCEPTED_STRING, *bound_to, *_parts(reading, account)),
            profile=profile,
            serves=is_proof or service_class != PORTAL,
            needs_password=is_proof and account is not None and (bool(account.source) or not account.password_hash),
        )

    def _refused_digest(
        self,
        attempt: Attempt,
        subject: AccountName,
        account: Account | None,
        source: Source,
        foreign: Sequence[Waiting],
    ) -> bytes:
        # What was wrong may be right once another app password has come along.
        last_imported = str(max((each.app_password_id for each in foreign), default=""))
        bound_to = (subject, epoch_of(account), _scope(attempt), source.network, last_imported)
        return self._keyring.mac(Purpose.REFUSED_STRING, *bound_to, attempt.secret.reveal())

    def _recovery_row(
        self,
        connection: Connection,
        subject: AccountName,
        account: Account | None,
        code: bytes | None,
    ) -> int | None:
        """Find a recovery code's row; looked for whatever the account is, so that it costs every account alike."""
        if code is None:
            return None
        former_names = () if account is None else account.former_names
        digests = name_bound.digests(self._keyring, Purpose.RECOVERY_CODE, subject, former_names, code)
        return factors.find_recovery_code(connection, 0 if account is None else account.id, digests)


def _copies(connection: Connection, account: Account | None) -> tuple[ServiceCopy, ...]:
    return service_copies.of_account(connection, account.id) if account is not None and account.source else ()


def closed(copies: Sequence[ServiceCopy], attempt: Attempt) -> WhyDenied | None:
    """Return why the account's source, by what it has said before, does not let this in; None where it does."""
    return service_copy.refusal(service_copy.chosen(copies, attempt.service), attempt.client)


def use(connection: Connection, memory: Memory, account: Account | None, now: datetime) -> bool:
    """Use what is remembered of this very login once; False where nothing is that serves."""
    epoch = None if account is None else account.epoch
    return memory.serves and remembered_logins.use(connection, memory.digest, memory.profile, now, epoch)


def presented_digests(ring: Keyring, account: Account | None, secret: bytes) -> list[bytes]:
    """Return under which digests a whole string is stored that is an account's app password from another system."""
    name, former_names = ("", ()) if account is None else (account.name, account.former_names)
    return name_bound.digests(ring, Purpose.APP_PASSWORD, name, former_names, secret)


def digits_of(account: Account | None) -> int | None:
    """Return how many digits an account's codes have; None where it is not enrolled."""
    return None if account is None or account.totp is None else account.totp.parameters.digits


def _parts(reading: ByPassword, account: Account | None) -> tuple[bytes, ...]:
    """Return what a string is for who is enrolled, in one spelling."""
    match reading.presented(digits_of(account) or otp.DIGITS):
        case splitter.PasswordAndCode(password, code):
            return opaque(password), code
        case _:
            return (reading.secret,)


def _tail(likely: splitter.Presented) -> limiter.Tail:
    match likely:
        case splitter.Password():
            return limiter.Tail.NOTHING
        case splitter.PasswordAndCode():
            return limiter.Tail.CODE
        case splitter.PasswordAndRecoveryCode():
            return limiter.Tail.RECOVERY_CODE
        case _:
            assert_never(likely)


def _scope(attempt: Attempt) -> str:
    """Return what was asked for: an accepted code says nothing of the password where that was not checked along."""
    return Ask.WHOLE if attempt.ask is Ask.PROOF else attempt.ask  # what is typed for both is one string


def epoch_of(account: Account | None) -> str:
    """Return which account, in which state, something is bound to."""
    return "" if account is None else f"{account.id}/{account.epoch}"
