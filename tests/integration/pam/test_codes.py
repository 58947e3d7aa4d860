"""Codes and recovery codes through pam_mailauth.so on a real server, under the real clock.

The cases of google-authenticator-libpam's own tests, where they apply, for the module that decides the whole and for
the one in front of a password module. Not ours: step sizes, counters, and clocks that are adjusted to.
"""

from __future__ import annotations

import pytest

from pam_module.harness.applications import pamtester
from tests.integration.pam.doors import PASSWORD, Door, in_one_step
from tests.integration.serving import code_of

both = pytest.mark.parametrize("service", ["whole", "behind"])


@both
@pytest.mark.parametrize("steps", [-1, 0, 1])
@in_one_step
def test_code_of_this_step_or_a_neighbour_passes(door: Door, service: str, steps: int) -> None:
    anna = door.person()
    assert door.login(anna, PASSWORD + code_of(anna, steps), service) == "SUCCESS"


@both
@pytest.mark.parametrize("steps", [-2, 2])
@in_one_step
def test_code_of_a_step_further_away_is_refused(door: Door, service: str, steps: int) -> None:
    anna = door.person()
    assert door.login(anna, PASSWORD + code_of(anna, steps), service) == "AUTH_ERR"


@both
@in_one_step
def test_code_passes_once(door: Door, service: str) -> None:
    anna = door.person()
    secret = PASSWORD + code_of(anna)
    assert [door.login(anna, secret, service) for _ in range(3)] == ["SUCCESS", "AUTH_ERR", "AUTH_ERR"]


@both
@in_one_step
def test_older_code_is_refused_after_a_newer_one(door: Door, service: str) -> None:
    anna = door.person()
    results = [door.login(anna, PASSWORD + code_of(anna, steps), service) for steps in (0, -1, 1, 0)]
    assert results == ["SUCCESS", "AUTH_ERR", "SUCCESS", "AUTH_ERR"]


@both
@in_one_step
def test_clock_that_is_wrong_is_never_adjusted_to(door: Door, service: str) -> None:
    """Some modules learn a telephone's drift from three codes in a row: a thief's old codes would teach it too."""
    anna = door.person()
    for steps in (-1000, -999, -998, -997):
        assert door.login(anna, PASSWORD + code_of(anna, steps), service) == "AUTH_ERR"
    assert door.login(anna, PASSWORD + code_of(anna), service) == "SUCCESS"


@both
@in_one_step
def test_code_has_six_digits(door: Door, service: str) -> None:
    anna = door.person()
    code = code_of(anna)
    for wrong in (code[1:], code[:-1], "0" + code, "00" + code, code + "0", "", f"{(int(code) + 1) % 10**6:06}"):
        assert door.login(anna, PASSWORD + wrong, service) == "AUTH_ERR", wrong
    assert door.login(anna, code, service) == "AUTH_ERR", "a code alone"
    assert door.login(anna, f"{PASSWORD}{code[:3]} {code[3:]}", service) == "SUCCESS", "as apps display it"


@both
def test_recovery_codes_pass_once_each(door: Door, service: str) -> None:
    anna = door.person()
    codes = door.recovery_codes(anna)
    assert door.login(anna, PASSWORD + "zzzz-2222-zzzz-2222", service) == "AUTH_ERR"
    for code in codes[:3]:
        assert [door.login(anna, PASSWORD + code, service) for _ in range(2)] == ["SUCCESS", "AUTH_ERR"]
    assert door.login(anna, PASSWORD + codes[3].replace("-", "").upper(), service) == "SUCCESS"


@both
@in_one_step
def test_somebody_elses_code_is_refused(door: Door, service: str) -> None:
    anna, bert = door.person(), door.person()
    assert door.login(anna, PASSWORD + code_of(bert), service) == "AUTH_ERR"
    assert door.login(bert, PASSWORD + code_of(bert), service) == "SUCCESS"


# How the secret comes to the module


@in_one_step
def test_code_alone_passes_where_it_is_asked_for(door: Door) -> None:
    anna = door.person()
    outcome = door.outcome(anna, code_of(anna), "code")
    assert (outcome.authenticate, outcome.prompts) == ("SUCCESS", ("Verification code: ",))
    assert door.login(anna, code_of(anna), "code") == "AUTH_ERR"


@pytest.mark.parametrize("service", ["use", "try", "use behind"])
@in_one_step
def test_secret_that_a_module_before_has_read_is_used(door: Door, service: str) -> None:
    anna = door.person()
    outcome = door.outcome(anna, PASSWORD + code_of(anna), service)
    assert (outcome.authenticate, outcome.prompts) == ("SUCCESS", ("Password: ",))
    outcome = door.outcome(anna, PASSWORD + code_of(anna), service)
    assert (outcome.authenticate, outcome.prompts) == ("AUTH_ERR", ("Password: ",)), "nobody is asked again"


@in_one_step
def test_pamtester_passes_once(door: Door) -> None:
    anna = door.person()
    secret = PASSWORD + code_of(anna)
    assert [pamtester(door.stack, anna.name, secret, "whole").returncode for _ in range(2)] == [0, 1]
