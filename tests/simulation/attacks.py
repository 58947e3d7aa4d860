"""Who can do what to whom, how often: played for a year or a month under a virtual clock, with the default limits.

Each attack returns one row of the table that `python -m tests.simulation` prints, and that docs/decisions/0008 holds.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from typing import NamedTuple

from tests.simulation.model import Site, String, Tail

YEAR_H, MONTH_H = 365 * 24, 30 * 24
CHANCE_OF_A_CODE = 3e-6
"""Of one guess: three steps of a million codes each are valid at a time (RFC 6238 s5.2)."""
CHANCE_A_YEAR = 4e-3
"""What requirement LIM7 allows."""
HOME, ABROAD = "192.0.2.7", "203.0.113.7"


class Row(NamedTuple):
    """One row: who tries what, what came of it in figures, what is allowed, and whether that holds."""

    who: str
    what: str
    found: str
    allowed: str
    holds: bool


def ipv4(networks: int) -> list[str]:
    """Return addresses of as many networks."""
    return [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(networks)]


def ipv6_48(networks: int = 400) -> list[str]:
    """Return addresses in as many /64s of one /48."""
    return [f"2001:db8:1:{n:x}::1" for n in range(networks)]


def ipv6_32(networks: int = 400) -> list[str]:
    """Return addresses in as many /48s of one /32."""
    return [f"2001:db8:{n:x}::1" for n in range(networks)]


THIEVES: dict[str, Callable[[], list[str]]] = {
    "1 IPv4 address": lambda: ipv4(1),
    "25 IPv4 addresses": lambda: ipv4(25),
    "1,000 IPv4 addresses": lambda: ipv4(1000),
    "one IPv6 /48": ipv6_48,
    "one IPv6 /32": ipv6_32,
}


def wrong_codes(prefix: str = "") -> Iterator[String]:
    """Return strings that no one has shown before: the right password, each with another wrong code."""
    return (String(f"{prefix}right {n}", password_is_right=True, tail=Tail.WRONG_CODE) for n in count())


def guesses(prefix: str = "") -> Iterator[String]:
    """Return wrong passwords, each another one."""
    return (String(f"{prefix}wrong {n}") for n in count())


def thief_with_password(name: str, clients: Sequence[str], *, opened_before: bool, shares_home: bool) -> Row:
    """A thief knows the password, and tries codes for a year from all of these networks.

    Before the enrolment every network was used with the password alone, or none; the owner logs in every day, and in
    one of the thief's own networks where `shares_home`.
    """
    site = Site(is_enrolled=False)
    if opened_before:
        for client in clients:
            site.login(client, String("right", password_is_right=True))
    site.is_enrolled = True
    site.change_account()
    codes, tried = wrong_codes(), 0
    homes = clients[:20] if shares_home else [HOME]
    for hour in range(YEAR_H):
        if hour % 24 == 0:
            home = homes[hour // 24 % len(homes)]
            site.login(home, String(f"today {hour}", password_is_right=True, tail=Tail.RIGHT_CODE))
        for client in islice(_in_turn(clients, tried), 3 if len(clients) > 2 else 1):
            while site.login(client, next(codes)) == "refused":
                tried += 1
            tried += 1
        site.pass_by(3600)
    chance = site.codes_judged * CHANCE_OF_A_CODE
    before = "used before the enrolment" if opened_before else "new"
    home = ", the owner's own networks among them" if shares_home else ""
    return Row(
        f"thief with the password: {name}, {before}{home}",
        "wrong codes judged in a year",
        f"{site.codes_judged}: a chance of {chance:.1e}",
        f"under {CHANCE_A_YEAR:.0e}",
        chance < CHANCE_A_YEAR,
    )


def stranger(clients: Sequence[str]) -> Iterator[Row]:
    """A stranger without the password guesses for a month, as fast as is admitted; can the owner log in meanwhile?"""
    for is_enrolled in (True, False):
        site = Site(is_enrolled=is_enrolled)
        tail = Tail.RIGHT_CODE if is_enrolled else Tail.NOTHING
        site.login(HOME, String("first", password_is_right=True, tail=tail))
        bad = guesses()
        refused = {"at home": 0, "abroad": 0}
        for hour in range(MONTH_H):
            for client in islice(_in_turn(clients, hour), 40):
                site.login(client, next(bad))
            for place, client in (("at home", HOME), ("abroad", ABROAD)):
                if hour % 7 == 0:
                    string = String(f"right {hour} {place}", password_is_right=True, tail=tail)
                    refused[place] += site.login(client, string) != "granted"
                    site.networks.pop(ABROAD, None)  # abroad is another place every time
            site.pass_by(3600)
        who = "both factors" if is_enrolled else "the password alone, before the date"
        for place, times in refused.items():
            must_hold = is_enrolled or place == "at home"
            allowed = "0" if must_hold else "while the guessing goes on and a day longer; app passwords never"
            yield Row(
                f"stranger without the password, {len(clients):,} addresses, all month",
                f"owner {place} with {who}: refused, of {MONTH_H // 7 + 1} logins",
                str(times),
                allowed,
                times == 0 or not must_hold,
            )
        if not is_enrolled:
            continue
        yield Row(
            f"stranger without the password, {len(clients):,} addresses, all month",
            "guesses at the password that are answered",
            str(site.guesses_told),
            "at most 100 in 30 days",
            site.guesses_told <= 100,
        )


def abroad_after_the_guessing() -> Row:
    """How long an owner who is not enrolled yet is kept out abroad after a stranger has stopped."""
    site = Site(is_enrolled=False)
    for client, string in zip(ipv4(60), guesses(), strict=False):
        site.login(client, string)
    minutes = 0
    while site.login(ABROAD, String("right", password_is_right=True)) != "granted":
        site.pass_by(600)
        minutes += 10
    hours = minutes / 60
    who = "stranger without the password, 60 addresses, then quiet"
    return Row(who, "owner abroad with the password alone: waits", f"{hours:.0f} hours", "24 hours", hours <= 24)


def device(what: str, string: String, hours: int = MONTH_H) -> Row:
    """A device sends one stored string, for a month, thirty times a minute, from the owner's home."""
    site, refused = Site(), 0
    site.login(HOME, String("first", password_is_right=True, tail=Tail.RIGHT_CODE))
    for hour in range(hours):
        for _ in range(60):
            for _ in range(30):
                site.login(HOME, string)
            site.pass_by(60)
        if hour % 24 == 0:
            for place, client in (("home", HOME), ("abroad", ABROAD)):
                code = String(f"{hour} {place}", password_is_right=True, tail=Tail.RIGHT_CODE)
                refused += site.login(client, code) != "granted"
                site.pass_by(30)
    return Row(
        f"device at home that sends {what}, thirty times a minute, a month",
        "owner with both factors, at home and abroad: refused, of 60",
        str(refused),
        "0",
        refused == 0,
    )


def thief_with_factor(clients: Sequence[str]) -> Row:
    """A thief has the phone or the recovery codes, not the password, and fills the account to guess on unseen."""
    site = Site()
    site.login(HOME, String("first", password_is_right=True, tail=Tail.RIGHT_CODE))
    new = (String(f"guess {n}", tail=Tail.RIGHT_CODE) for n in count())
    for hour in range(MONTH_H):
        for client in islice(_in_turn(clients, hour * 40), 40):
            for _ in range(3):
                site.login(client, next(new))
        site.pass_by(3600)
    return Row(
        f"thief with the phone or the recovery codes, {len(clients):,} addresses, all month",
        "guesses at the password that could have let in",
        str(site.passwords_judged),
        "at most 750 in 30 days",
        site.passwords_judged <= 750,
    )


def stale_devices_and_strangers() -> Row:
    """The owner has a new password; two old devices poll at home, and strangers keep the account full."""
    site, bad, refused = Site(), guesses(), 0
    site.login(HOME, String("first", password_is_right=True, tail=Tail.RIGHT_CODE))
    site.change_password()
    for hour in range(48):
        for client in islice(_in_turn(ipv4(400), hour * 8), 8 if hour else 60):
            site.login(client, next(bad))
        for _ in range(120):
            for old in ("old password", "older password"):
                site.login(HOME, String(old))
            site.pass_by(30)
        refused += site.login(HOME, String(f"{hour}", password_is_right=True, tail=Tail.RIGHT_CODE)) != "granted"
        site.networks.clear()  # as if no login had made it the owner's own again
    return Row(
        "two devices at home with old passwords, every half minute, and strangers who keep the account full",
        "owner at home with both factors, after a new password: refused, of 48",
        str(refused),
        "0",
        refused == 0,
    )


def new_password_ends_it() -> Row:
    """A thief with the password has used up the wrong codes; then the owner has a new one."""
    site = Site()
    for client, string in zip(ipv4(60), wrong_codes(), strict=False):
        site.login(client, string)
    before = site.login(ABROAD, String("a", password_is_right=True, tail=Tail.RIGHT_CODE))
    site.change_password()
    after = site.login(ABROAD, String("b", password_is_right=True, tail=Tail.RIGHT_CODE))
    return Row(
        "thief with the password uses up the wrong codes",
        "owner abroad with both factors, before and after a new password",
        f"{before}, {after}",
        "refused or throttled, granted",
        before != "granted" and after == "granted",
    )


def cost_of_one_address(days: int = 30) -> Row:
    """One address sends whatever costs most, for a month: new guesses, and as many repetitions as it may."""
    site, new = Site(), guesses()
    shown = next(new)
    site.login(ABROAD, shown)
    for _ in range(days * 24 * 60):
        for string in (*[shown] * 30, next(new)):
            site.login(ABROAD, string)
        site.pass_by(60)
    a_day = site.hashes / days
    return Row(
        "one address, whatever it sends, a month",
        "password hashes a day",
        f"{a_day:,.0f}",
        "45,000: a hundredth of what two cores hash",
        a_day <= 45_000,
    )


DEVICES = {
    "an old password": String("old"),
    "the bare password": String("right", password_is_right=True),
    "a bare password that ends in six digits": String("Mustermann010180", tail=Tail.WRONG_CODE),
    "the password with a code that was never right": String("x", password_is_right=True, tail=Tail.WRONG_CODE),
    "what was accepted once": String("first", password_is_right=True, tail=Tail.RIGHT_CODE),
}


def rows() -> Iterator[Row]:
    """Return all rows."""
    for name, clients in THIEVES.items():
        for opened_before in (False, True):
            yield thief_with_password(name, clients(), opened_before=opened_before, shares_home=False)
    yield thief_with_password("25 IPv4 addresses", ipv4(25), opened_before=True, shares_home=True)
    yield from stranger(ipv4(1000))
    yield abroad_after_the_guessing()
    yield thief_with_factor(ipv4(1000))
    yield stale_devices_and_strangers()
    yield new_password_ends_it()
    for what, string in DEVICES.items():
        yield device(what, string)
    yield cost_of_one_address()


def _in_turn(clients: Sequence[str], start: int) -> Iterator[str]:
    return (clients[(start + n) % len(clients)] for n in count())
