"""Passwords behind pam_mailauth.so on a real server: what they get to see, and what a wrong one costs.

The code is spent before a module behind judges the password. A wrong one burns no code, and is counted.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.integration.pam.conftest import DoorMaker
from tests.integration.pam.doors import PASSWORD, Door, in_one_step
from tests.integration.serving import code_of
from tests.integration.talking import plain
from tests.world import Person

both = pytest.mark.parametrize("service", ["whole", "behind"])


@pytest.fixture(scope="module")
def before_cutover(make_door: DoorMaker) -> Door:
    return make_door("cutover.date=2099-01-01T00:00Z")


@pytest.fixture(scope="module")
def limited(make_door: DoorMaker) -> Door:
    return make_door("limits.account_and_source_burst=5")


# What the module behind sees


@in_one_step
def test_module_behind_sees_the_bare_password(door: Door) -> None:
    anna = door.person()
    assert door.login(anna, PASSWORD + code_of(anna)) == "SUCCESS"
    assert door.seen.read_bytes().rstrip(b"\0") == PASSWORD.encode()
    [recovery, *_] = door.recovery_codes(anna)
    assert door.login(anna, PASSWORD + recovery) == "SUCCESS"
    assert door.seen.read_bytes().rstrip(b"\0") == PASSWORD.encode()
    assert door.login(anna, "\u00fc 1 " + code_of(anna, 1)) == "AUTH_ERR"
    assert door.seen.read_bytes().rstrip(b"\0") == "\u00fc 1 ".encode()


def test_without_a_code_the_whole_string_goes_on_before_the_cutover(before_cutover: Door) -> None:
    """For who has not enrolled, digits at the end are a part of the password."""
    door, carol = before_cutover, before_cutover.person(enrolled=False)
    assert door.login(carol, PASSWORD) == "SUCCESS"
    assert door.seen.read_bytes().rstrip(b"\0") == PASSWORD.encode()
    assert door.login(carol, PASSWORD + "123456") == "AUTH_ERR"
    assert door.seen.read_bytes().rstrip(b"\0") == f"{PASSWORD}123456".encode()
    answer = ask(door, carol, PASSWORD, "factor=second")
    assert answer.startswith(f"OK\t1\tuser={carol.name}\ttail=0\trelease="), answer


@in_one_step
def test_who_has_enrolled_needs_the_code_before_the_cutover_too(before_cutover: Door) -> None:
    anna = before_cutover.person()
    assert before_cutover.login(anna, PASSWORD) == "AUTH_ERR"
    assert before_cutover.login(anna, PASSWORD + code_of(anna)) == "SUCCESS"


@pytest.mark.parametrize("secret", [PASSWORD, PASSWORD + "123456"])
def test_without_a_second_factor_nobody_passes_after_the_cutover(door: Door, secret: str) -> None:
    carol = door.person(enrolled=False)
    assert door.login(carol, secret) == "AUTH_ERR"
    assert door.seen.read_bytes().rstrip(b"\0") == secret.encode(), "which it refuses too, unless it is the password"


# What a wrong password costs


@both
@in_one_step
def test_wrong_password_burns_no_code(door: Door, service: str) -> None:
    anna = door.person()
    code = code_of(anna)
    assert [door.login(anna, f"wrong{n}{code}", service) for n in range(3)] == ["AUTH_ERR"] * 3
    assert door.login(anna, PASSWORD + code, service) == "SUCCESS"
    assert door.login(anna, PASSWORD + code, service) == "AUTH_ERR", "a right one spends it"


@both
def test_wrong_password_burns_no_recovery_code(door: Door, service: str) -> None:
    anna = door.person()
    [code, *_] = door.recovery_codes(anna)
    assert door.login(anna, "wrong" + code, service) == "AUTH_ERR"
    assert [door.login(anna, PASSWORD + code, service) for _ in range(2)] == ["SUCCESS", "AUTH_ERR"]


@in_one_step
def test_code_stays_spent_where_the_application_does_not_say_that_it_failed(door: Door) -> None:
    anna = door.person()
    assert door.login(anna, "wrong" + code_of(anna), "behind", "-x", "success") == "AUTH_ERR"
    assert door.login(anna, PASSWORD + code_of(anna)) == "AUTH_ERR"
    assert door.login(anna, PASSWORD + code_of(anna, 1)) == "SUCCESS", "the next one passes"


@in_one_step
def test_older_code_is_not_given_back_after_a_newer_one(door: Door) -> None:
    anna = door.person()
    token = spend(door, anna, code_of(anna, -1))
    assert door.login(anna, PASSWORD + code_of(anna)) == "SUCCESS"
    give_back(door, anna, token)
    for steps in (-1, 0):
        assert door.login(anna, PASSWORD + code_of(anna, steps)) == "AUTH_ERR"


@both
@in_one_step
def test_wrong_passwords_with_a_right_code_are_counted(limited: Door, service: str) -> None:
    """Who holds the telephone must not guess the password without limit."""
    anna = limited.person()
    code = code_of(anna)
    results = [limited.login(anna, f"guess{n}{code}", service) for n in range(6)]
    assert results == ["AUTH_ERR"] * 5 + ["AUTHINFO_UNAVAIL"]
    # Where mailauth checks both factors, both of them right let the owner in, however many were wrong before.
    assert limited.login(anna, PASSWORD + code, service) == ("SUCCESS" if service == "whole" else "AUTHINFO_UNAVAIL")


def test_wrong_passwords_that_need_no_code_are_counted_and_never_logged_as_granted(make_door: DoorMaker) -> None:
    """LIM8."""
    limited = make_door("cutover.date=2099-01-01T00:00Z", "limits.account_and_source_burst=5")
    [server] = limited.site.servers
    carol = limited.person(enrolled=False)
    assert [limited.login(carol, f"guess{n}") for n in range(6)] == ["AUTH_ERR"] * 5 + ["AUTHINFO_UNAVAIL"]
    assert limited.login(carol, PASSWORD) == "AUTHINFO_UNAVAIL"
    server.wait_for("verdict=unavailable", times=2)
    lines = [line for line in server.log.splitlines() if f"account={carol.name}" in line and "verdict=" in line]
    decided = Counter(line.partition("verdict=")[2].split(" ")[0] for line in lines)
    assert decided == {"not-required": 5, "denied": 5, "unavailable": 2}
    refused = next(line for line in lines if "verdict=denied" in line)
    assert "reason=password-refused-elsewhere" in refused
    assert "service=imap client=192.0.2.7" in refused


# The token, as the module uses it


def ask(door: Door, person: Person, secret: str, parameters: str) -> str:
    """Return the server's answer to one of the module's requests."""
    with door.site.talk() as talk:
        head = f"AUTH\t1\tPLAIN\tservice=imap\trip=192.0.2.7\tmailauth=1\t{parameters}\tresp="
        talk.send(head.encode() + plain(person.name, secret) + b"\n")
        return talk.line().decode()


def spend(door: Door, person: Person, code: str) -> str:
    """Spend a code and return its token."""
    answer = ask(door, person, "wrong" + code, "factor=second")
    assert answer.startswith(f"OK\t1\tuser={person.name}\ttail=6\trelease="), answer
    return answer.rpartition("=")[2]


def give_back(door: Door, person: Person, token: str) -> None:
    assert ask(door, person, "-", f"factor=release\trelease={token}").startswith("FAIL\t1\t"), "whatever comes of it"


@in_one_step
def test_token_serves_once(door: Door) -> None:
    anna = door.person()
    token = spend(door, anna, code_of(anna))
    give_back(door, anna, token)
    assert door.login(anna, PASSWORD + code_of(anna)) == "SUCCESS"
    give_back(door, anna, token)
    assert door.login(anna, PASSWORD + code_of(anna)) == "AUTH_ERR"


@in_one_step
def test_token_serves_no_other_account(door: Door) -> None:
    anna, bert = door.person(), door.person()
    token = spend(door, anna, code_of(anna))
    spend(door, bert, code_of(bert))
    give_back(door, bert, token)
    assert door.login(bert, PASSWORD + code_of(bert)) == "AUTH_ERR"


@pytest.mark.parametrize("token", ["", "0" * 32, "x", "0" * 5000])
@in_one_step
def test_token_that_never_was_gives_nothing_back(door: Door, token: str) -> None:
    anna = door.person()
    spend(door, anna, code_of(anna))
    give_back(door, anna, token)
    assert door.login(anna, PASSWORD + code_of(anna)) == "AUTH_ERR"
