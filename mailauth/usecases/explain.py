"""What would happen to a login of an account now, and why, in words for an administrator."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import NamedTuple

from sqlalchemy import Connection

from mailauth.core import app_password, moments
from mailauth.core.clock import Clock
from mailauth.core.limiter import NOWHERE, MeterKind, Usage
from mailauth.core.policy import Announced, Policy, Requirement
from mailauth.effects.store import app_passwords, factors, login_activity, outbox
from mailauth.effects.store.database import Database
from mailauth.usecases.accounts import find
from mailauth.usecases.limits import AccountLimits
from mailauth.usecases.login.password_check import PasswordCheck
from mailauth.usecases.time_watch import TimeWatch, ahead_until
from mailauth.vocabulary.model import Account, AccountName, Address, AppPassword
from mailauth.vocabulary.notices import NoticeKind

RECENT_LOGINS = 20
"""Of an account, whose addresses are looked at."""
_RECENTLY = timedelta(days=7)
_ANY_MAIL = "imap"
"""The services are alike, but for the portal."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a login needs now, the rule that decides it, and the sentences that say why and what else would do."""

    account: AccountName
    requirement: str
    rule: str
    password_sources: tuple[str, ...]
    enrolled: bool
    recovery_codes_left: int
    app_passwords: int
    throttled_until: datetime | None
    cutover: datetime
    cutover_has_passed: bool
    sentences: tuple[str, ...]


class _AccountFacts(NamedTuple):
    account: Account
    recovery_codes: int
    app_passwords: tuple[AppPassword, ...]
    set_apart_at: datetime | None
    blocking: tuple[Usage, ...]


class Explainer:
    """Explains accounts."""

    def __init__(
        self,
        database: Database,
        policy: Policy,
        limits: AccountLimits,
        time_watch: TimeWatch,
        passwords: PasswordCheck,
        default_domain: str,
        clock: Clock,
    ) -> None:
        self._database = database
        self._policy = policy
        self._limits = limits
        self._time_watch = time_watch
        self._passwords = passwords
        self._default_domain = default_domain
        self._clock = clock

    def explain(self, name: str, client: Address | None = None) -> Explanation:
        """Return what would happen to a login now, from one client if it is given. Raises AccountUnknown, InvalidName.

        Without a client, what blocks any login counts as blocking, from wherever the account was logged in to lately.
        """
        now = self._clock()
        account, codes, devices, set_apart_at, blocking = self._database.read(
            lambda connection: self._look(connection, name, client)
        )
        live = sum(1 for device in devices if app_password.is_live(device, now))
        standing = self._policy.stand(account, now, _ANY_MAIL)
        requirement = standing.requirement
        announced = self._policy.announced(account.name.rpartition("@")[2], now)
        sentences = [
            *self._time_watch.warnings(),
            _date_sentence(announced),
            *(_blocked_sentence(one, account) for one in blocking),
        ]
        sentences += self._account_sentences(account, requirement, codes)
        if account.totp is not None and set_apart_at is not None and now - set_apart_at < _RECENTLY:
            sentences.append(_set_apart_sentence(set_apart_at))
        if account.totp is not None and (until := ahead_until(account.totp, now)) is not None:
            sentences.append(_ahead_sentence(account, until))
        if (
            requirement is Requirement.SECOND_FACTOR
            and account.exempt_until is not None
            and now < account.exempt_until
        ):
            sentences.append(
                f"Its exemption until {self._exempt_until(account)} has no effect while it is enrolled; after "
                f"`mailauth totp reset {account.name}` the password alone would be enough until then."
            )
        if not account.disabled:
            sentences.append(f"Its password is checked by {self._passwords.described(account)}.")
            sentences.append(_devices_sentence(live))
        return Explanation(
            account=account.name,
            requirement="nothing-will-do" if account.disabled else _NAMES[requirement],
            rule="disabled" if account.disabled else standing.rule,
            password_sources=tuple(source.name for source in self._passwords.sources),
            enrolled=account.totp is not None,
            recovery_codes_left=codes,
            app_passwords=live,
            throttled_until=max((one.blocked_until for one in blocking if one.blocked_until), default=None),
            cutover=announced.moment.astimezone(UTC),
            cutover_has_passed=announced.has_passed,
            sentences=tuple(sentences),
        )

    def _look(self, connection: Connection, name: str, client: Address | None) -> _AccountFacts:
        account = find(connection, name, self._default_domain)
        return _AccountFacts(
            account,
            factors.recovery_codes_left(connection, account.id),
            app_passwords.of_account(connection, account.id),
            outbox.last_at(connection, NoticeKind.CODE_SET_APART, account.name),
            () if account.disabled else self._blocking(connection, account, client),
        )

    def _blocking(self, connection: Connection, account: Account, client: Address | None) -> tuple[Usage, ...]:
        """Return what blocks a login; without a client, also the addresses that the account was logged in from."""
        blocking = list(self._limits.blocking(connection, account, client))
        if client is not None:
            return tuple(blocking)
        seen = login_activity.recent(connection, account.id, RECENT_LOGINS)
        networks = {each.kind.network for each in seen} - {"", login_activity.ELSEWHERE}
        for network in sorted(networks):
            from_there = self._limits.blocking(connection, account, ip_network(network).network_address)
            blocking += [one for one in from_there if one.meter.kind in (MeterKind.SOURCE, MeterKind.SITE)]
        return tuple(dict.fromkeys(blocking))

    def _exempt_until(self, account: Account) -> str:
        ends = account.exempt_until
        return "" if ends is None else moments.told(ends, self._policy.zone)

    def _account_sentences(self, account: Account, requirement: Requirement, codes: int) -> list[str]:
        if account.disabled:
            by_whom = f" by its password source, {account.source}" if account.is_disabled_there else ""
            return [f"The account is disabled{by_whom}: every login is refused."]
        match requirement:
            case Requirement.SECOND_FACTOR:
                left = {0: "It has no recovery code left", 1: "It has one recovery code left"}
                return [
                    "The account is enrolled: a login takes the password with a verification code or a recovery "
                    "code appended. The password alone is refused.",
                    left.get(codes, f"It has {codes} recovery codes left") + ", to be used in place of the app's.",
                ]
            case Requirement.PASSWORD_BY_EXEMPTION:
                return [f"The account is exempt until {self._exempt_until(account)}: its password is enough."]
            case Requirement.ENROLMENT | Requirement.PASSWORD_TO_ENROL:
                return [
                    "The account is not enrolled: its password is refused until it has an authenticator; in the "
                    "portal it opens the set-up of one."
                ]
            case Requirement.PASSWORD_BEFORE_CUTOVER:
                return ["The account is not enrolled: its password alone is enough until the cut-over."]


_NAMES = {
    Requirement.SECOND_FACTOR: "second-factor",
    Requirement.PASSWORD_BY_EXEMPTION: "password",
    Requirement.PASSWORD_BEFORE_CUTOVER: "password",
    Requirement.ENROLMENT: "enrolment",
    Requirement.PASSWORD_TO_ENROL: "enrolment",
}


def _date_sentence(announced: Announced) -> str:
    moment = announced.moment
    when = f"{moment:%Y-%m-%d %H:%M:%S %Z} ({moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC)"
    if announced.has_passed:
        return f"The cut-over was on {when}: a second factor is required."
    return f"The cut-over is on {when}: until then a second factor is required from who is enrolled."


def _blocked_sentence(usage: Usage, account: Account) -> str:
    kind, subject = usage.meter.kind, usage.meter.subject
    network = subject.rpartition(" ")[2]
    where = "without a client address" if network == NOWHERE else f"from {network}"
    throttled = f"is throttled until {usage.blocked_until:%Y-%m-%d %H:%M:%S} UTC"
    refused = f"is refused until {usage.blocked_until:%Y-%m-%d %H:%M:%S} UTC, also with the right one"
    until, until_both = f"{throttled}, whatever its secret", f"{throttled}, unless password and code are both right"
    end = f"`mailauth limits clear {account.name}` ends that. App passwords are accepted all the same."
    match kind:
        case MeterKind.SOURCE if " " in subject:
            return f"Every login to the account {where} {until}, after too many wrong ones. {end}"
        case MeterKind.SOURCE | MeterKind.SITE | MeterKind.REPEAT:
            return (
                f"Every login {where} {until}, after too many wrong ones to any account. No command ends that; a "
                "network that speaks for many people belongs in limits.trusted_networks."
            )
        case MeterKind.ACCOUNT_AND_SOURCE:
            return f"A login {where} {until_both}, after too many wrong ones from there. {end}"
        case MeterKind.ACCOUNT:
            stranger = "A login from an address that is not familiar to the account"
            return f"{stranger} {until_both}, after too many wrong ones. {end}"
        case MeterKind.ACCOUNT_BY_DEVICE:
            stranger = "A login from an address where only app passwords were used so far"
            return f"{stranger} {until_both}, after too many wrong ones. {end}"
        case MeterKind.FACTOR | MeterKind.FACTOR_RECOVERY:
            return (
                "Many wrong passwords came with a right code or recovery code: somebody has them. While other limits "
                f"of the account are full, even password and code together are not accepted. {end}"
            )
        case MeterKind.CODE:
            stranger = "A login with a verification code, from an address that is not familiar to the account,"
            return f"{stranger} {refused}, after too many wrong codes with the right password. {end}"
        case MeterKind.CODE_FAMILIAR:
            return (
                f"A login with a verification code, from any familiar address, {refused}, after too many wrong codes "
                f"with the right password. {end}"
            )
        case MeterKind.CODE_AND_SOURCE:
            return f"A login with a verification code {where} {refused}, after too many wrong codes. {end}"


def _ahead_sentence(account: Account, until: datetime) -> str:
    return (
        f"Every verification code is refused as spent until {until:%Y-%m-%d %H:%M:%S} UTC: a code of a step that lies "
        "ahead was accepted, so the server's clock was ahead then, or is behind now. Where it is right now, `mailauth "
        f"totp set-back {account.name}` lets codes be accepted again, --all those of every account. Recovery codes "
        "and app passwords are accepted all the same."
    )


def _set_apart_sentence(at: datetime) -> str:
    return (
        f"A login at {at:%Y-%m-%d %H:%M} UTC had a right code, and a blank, a dash or the like before it: that counts "
        "as a part of the password. The code has to follow the password with nothing between."
    )


def _devices_sentence(live: int) -> str:
    if live == 0:
        return "It has no app password."
    return f"It has {live} app password{'s' if live > 1 else ''}, each accepted for its services and networks."
