"""LIM7 and LIM1 under a virtual clock: what a thief, a stranger and a stale device can do; see tests/simulation."""

import pytest

from tests.simulation import attacks


@pytest.mark.parametrize(("name", "opened_before"), [("1,000 IPv4 addresses", True), ("one IPv6 /48", True)])
def test_thief_with_the_password_guesses_no_code_in_a_year(name: str, opened_before: bool) -> None:
    row = attacks.thief_with_password(name, attacks.THIEVES[name](), opened_before=opened_before, shares_home=False)
    assert row.holds, row


def test_thief_in_the_owners_own_networks_guesses_no_code_in_a_year() -> None:
    row = attacks.thief_with_password("25", attacks.ipv4(25), opened_before=True, shares_home=True)
    assert row.holds, row


def test_strangers_keep_no_owner_out_who_has_both_factors_or_is_at_home() -> None:
    for row in attacks.stranger(attacks.ipv4(100)):
        assert row.holds, row
    assert attacks.abroad_after_the_guessing().holds


def test_thief_with_the_second_factor_cannot_guess_on_at_the_password() -> None:
    row = attacks.thief_with_factor(attacks.ipv4(100))
    assert row.holds, row


def test_stale_devices_keep_nobody_out_whom_strangers_attack() -> None:
    row = attacks.stale_devices_and_strangers()
    assert row.holds, row


def test_new_password_ends_what_a_thief_used_up() -> None:
    row = attacks.new_password_ends_it()
    assert row.holds, row


def test_devices_that_send_the_same_for_ever_ban_nobody() -> None:
    for what, string in attacks.DEVICES.items():
        row = attacks.device(what, string, hours=26)
        assert row.holds, row


def test_one_address_costs_a_bounded_number_of_hashes() -> None:
    row = attacks.cost_of_one_address(days=3)
    assert row.holds, row
