"""One table: every way, every door, every case. All doors decide alike, and say no in the same words if they can."""

from __future__ import annotations

import pytest

from tests.stack.doors import IN, Door
from tests.stack.login_cases import BEFORE_THE_DATE, cases_at
from tests.stack.table import Cell, Played, doors_in_an_outage
from tests.stack.ways import EXIM, every_way, on_each_way, params_with

HUNG_FOR_AT_MOST_S = 25.0
"""The clients of mailauth's socket give up after 10 s; a refusing Dovecot and two busy cores need some more."""

at_each_door = pytest.mark.parametrize(
    ("played", "door"), params_with(every_way(), lambda way: way.doors), indirect=["played"]
)
at_each_door_in_an_outage = pytest.mark.parametrize(
    ("played", "door"), params_with(every_way(), doors_in_an_outage), indirect=["played"]
)


def wrong(played: Played, cells: list[Cell]) -> list[str]:
    return [cell.report(played.site) for cell in cells if cell.found != cell.expected]


@at_each_door
def test_before_the_date_who_is_not_enrolled_needs_the_password_only_and_who_is_needs_the_code(
    played: Played, door: Door
) -> None:
    cells = played.cells_before_the_date[door]
    assert len(cells) == len(BEFORE_THE_DATE)
    assert wrong(played, cells) == []


@at_each_door
def test_every_door_decides_alike(played: Played, door: Door) -> None:
    cells = played.cells[door]
    assert len(cells) == len(cases_at(played.site.way, door))
    assert wrong(played, cells) == []


@at_each_door_in_an_outage
def test_with_mailauth_stopped_nobody_gets_in_and_it_is_temporary_where_there_is_a_word_for_it(
    played: Played, door: Door
) -> None:
    assert says_unavailable(door, played.stopped.words[door])


@at_each_door_in_an_outage
def test_with_mailauth_hung_it_is_the_same_after_ten_seconds(played: Played, door: Door) -> None:
    if door == EXIM:  # waits for it, as long as its client does
        assert played.hung.words[door] == IN
        return
    words = played.hung.words[door]
    # Postfix's own patience with Dovecot may end first.
    assert says_unavailable(door, words) or (door.name == "postfix" and words.startswith("454 4.7.0 "))
    assert played.hung.seconds[door] < HUNG_FOR_AT_MOST_S


def says_unavailable(door: Door, words: str) -> bool:
    """Return whether it is the door's word for it; doveadm's stands among others."""
    return door.unavailable in words if door.name == "doveadm" else words.startswith(door.unavailable)


@at_each_door_in_an_outage
def test_with_mailauth_back_the_door_lets_in_again(played: Played, door: Door) -> None:
    assert door in played.stopped.recovered
    assert door in played.hung.recovered


@on_each_way
def test_the_date_and_the_outages_restart_no_server_but_mailauth(played: Played) -> None:
    assert played.restarted == []
