"""The rows of the table over doors: what ought to come of each case, wherever it is tried."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

from mailauth.core.names import MAX_NAME_BYTES
from mailauth.core.new_password import MAX_PASSWORD_BYTES
from tests.stack.clients import ELSEWHERE, HOME
from tests.stack.doors import IN, Door
from tests.stack.people import Site
from tests.stack.ways import POSTFIX_ON_SASLAUTHD, Way, further_ways

OUT = "out"
_numbers = itertools.count(1)


class Try(NamedTuple):
    """One login of a case, and whether it is to be let in."""

    expected: str
    name: str
    secret: str
    source: str = HOME


Tries = list[Try]


def password_and_code(site: Site, door: Door) -> Tries:
    owner = site.enrolled()
    return [Try(IN, owner.name, owner.typed())]


def the_next_code_as_well(site: Site, door: Door) -> Tries:
    owner = site.enrolled()
    return [Try(IN, owner.name, owner.typed()), Try(IN, owner.name, owner.typed())]


def code_with_a_gap_as_apps_show_it(site: Site, door: Door) -> Tries:
    owner = site.enrolled()
    code = owner.code()
    return [Try(IN, owner.name, f"{owner.password}{code[:3]} {code[3:]}")]


def password_of_odd_characters(site: Site, door: Door) -> Tries:
    owner = site.enrolled(""" "Grüße", 100 % \\ 'von' {mir}$é""")
    return [Try(IN, owner.name, owner.typed())]


def password_that_ends_in_digits(site: Site, door: Door) -> Tries:
    owner = site.enrolled("horse 123456")
    return [Try(IN, owner.name, owner.typed()), Try(OUT, owner.name, owner.password)]


def name_in_capitals_without_its_domain(site: Site, door: Door) -> Tries:
    owner = site.enrolled()
    return [Try(IN, owner.name.partition("@")[0].upper(), owner.typed())]


def longest_name_and_secret(site: Site, door: Door) -> Tries:
    """PW2: whatever password may be set, it can be typed with a recovery code behind it at every door."""
    domain = "@mailitwize.be"
    number = f"{next(_numbers)}-"
    name = number + "n" * (MAX_NAME_BYTES - len(number + domain)) + domain
    owner = site.enrolled("x" * MAX_PASSWORD_BYTES, name)
    code = owner.recovery_codes()[0]
    assert len(code) == 19, "as it is printed, the longest of what may stand behind a password"
    return [Try(IN, owner.name, owner.password + code)]


def wrong_code(site: Site, door: Door) -> Tries:
    owner = site.enrolled()
    return [Try(OUT, owner.name, owner.password + owner.wrong_code())]


def wrong_password_which_burns_no_code(site: Site, door: Door) -> Tries:
    owner = site.enrolled()
    code = owner.code()
    return [Try(OUT, owner.name, "wrong horse" + code), Try(IN, owner.name, owner.password + code)]


def password_alone(site: Site, door: Door) -> Tries:
    owner = site.enrolled()
    return [Try(OUT, owner.name, owner.password)]


def code_alone(site: Site, door: Door) -> Tries:
    owner = site.enrolled()
    return [Try(OUT, owner.name, owner.code())]


def unknown_account(site: Site, door: Door) -> Tries:
    return [Try(OUT, f"nobody-at-{door.name}@mailitwize.be", "correct horse123456")]


def disabled_account(site: Site, door: Door) -> Tries:
    owner = site.enrolled()
    owner.disable()
    return [Try(OUT, owner.name, owner.typed())]


def not_enrolled(site: Site, door: Door) -> Tries:
    owner = site.owner()
    return [Try(OUT, owner.name, owner.password), Try(OUT, owner.name, owner.password + "123456")]


def spent_code_from_elsewhere(site: Site, door: Door) -> Tries:
    owner = site.enrolled()
    typed = owner.typed()
    return [Try(IN, owner.name, typed), Try(OUT, owner.name, typed, ELSEWHERE)]


def recovery_code_once(site: Site, door: Door) -> Tries:
    owner = site.enrolled()
    first, second, *_ = owner.recovery_codes()
    return [
        Try(IN, owner.name, owner.password + first),
        Try(OUT, owner.name, owner.password + first),
        Try(OUT, owner.name, owner.password + first, ELSEWHERE),
        Try(IN, owner.name, owner.password + second.upper().replace("-", "")),
    ]


def recovery_code_without_the_password(site: Site, door: Door) -> Tries:
    owner = site.enrolled()
    return [Try(OUT, owner.name, "wrong horse" + owner.recovery_codes()[0])]


def app_password(site: Site, door: Door) -> Tries:
    owner = site.enrolled()
    made = owner.app_password()
    return [Try(IN, owner.name, made), Try(IN, owner.name, made.replace("-", ""), ELSEWHERE)]


def app_password_of_its_service(site: Site, door: Door) -> Tries:
    owner = site.enrolled()
    return [Try(IN, owner.name, owner.app_password(door.service))]


def app_password_of_another_service(site: Site, door: Door) -> Tries:
    owner = site.enrolled()
    return [Try(OUT, owner.name, owner.app_password("sieve" if door.service != "sieve" else "imap"))]


def revoked_app_password(site: Site, door: Door) -> Tries:
    owner = site.enrolled()
    made = owner.app_password()
    owner.revoke_app_passwords()
    return [Try(OUT, owner.name, made)]


def the_same_string_again(site: Site, door: Door) -> Tries:
    """Only saslauthd has no client to remember."""
    owner = site.enrolled()
    typed = owner.typed()
    return [Try(IN, owner.name, typed), Try(OUT if door == POSTFIX_ON_SASLAUTHD else IN, owner.name, typed)]


def not_enrolled_before_the_date(site: Site, door: Door) -> Tries:
    owner = site.owner()
    return [
        Try(IN, owner.name, owner.password),
        Try(OUT, owner.name, "wrong horse"),
        Try(OUT, owner.name, owner.password + "123456"),
    ]


def password_that_ends_in_digits_before_the_date(site: Site, door: Door) -> Tries:
    owner = site.owner("ends in 123456")
    return [Try(IN, owner.name, owner.password)]


def enrolled_before_the_date(site: Site, door: Door) -> Tries:
    owner = site.enrolled()
    return [Try(OUT, owner.name, owner.password), Try(IN, owner.name, owner.typed())]


Case = Callable[[Site, Door], Tries]
BEFORE_THE_DATE: list[Case] = [
    not_enrolled_before_the_date,
    password_that_ends_in_digits_before_the_date,
    enrolled_before_the_date,
]
CASES: list[Case] = [
    password_and_code,
    the_next_code_as_well,
    code_with_a_gap_as_apps_show_it,
    password_of_odd_characters,
    password_that_ends_in_digits,
    name_in_capitals_without_its_domain,
    longest_name_and_secret,
    wrong_code,
    wrong_password_which_burns_no_code,
    password_alone,
    code_alone,
    unknown_account,
    disabled_account,
    not_enrolled,
    spent_code_from_elsewhere,
    recovery_code_once,
    recovery_code_without_the_password,
    app_password,
    app_password_of_its_service,
    app_password_of_another_service,
    revoked_app_password,
    the_same_string_again,
]
_BRIEF: list[Case] = [
    password_and_code,
    password_of_odd_characters,
    longest_name_and_secret,
    wrong_code,
    not_enrolled,
    recovery_code_once,
    app_password_of_its_service,
    app_password_of_another_service,
]
"""For what a Dovecot serves in addition to IMAP, and for Postfix behind it: they differ in words and services."""


def cases_at(way: Way, door: Door) -> list[Case]:
    """Return the cases once the date has passed."""
    is_like_imap = door.name in {"pop3", "sieve", "submission", "doveadm"}
    if way in further_ways() and (is_like_imap or (door.name == "postfix" and way.postfix == "dovecot")):
        return _BRIEF
    return CASES
