"""One table: the doors that ../logins has not, and every case. All doors decide alike, each in its words."""

from __future__ import annotations

import pytest

from tests.stack.doors import IN, Door
from tests.stack.every_door.playing import BRIEF, Played
from tests.stack.every_door.ways import EXIM, ways
from tests.stack.table import report

HUNG_FOR_AT_MOST_S = 25.0
"""The clients of mailauth's socket give up after 10 s; a refusing Dovecot and two busy cores need some more."""


each_door = pytest.mark.parametrize(
    ("played", "door"),
    [pytest.param(way, door, id=f"{way}-{door.name}") for way in ways() for door in way.doors],
    indirect=["played"],
)


@each_door
def test_before_the_date_who_is_not_enrolled_needs_the_password_only(played: Played, door: Door) -> None:
    cell = played.before[door]
    assert cell.found == cell.expected, played.site.log_of(cell.name)


@each_door
def test_every_door_decides_alike(played: Played, door: Door) -> None:
    cells = {each: cell for (at, each), cell in played.cells.items() if at == door}
    assert len(cells) >= len(BRIEF)
    assert [report(played.site, each, cell) for each, cell in cells.items() if cell.found != cell.expected] == []


@each_door
def test_with_mailauth_stopped_nobody_gets_in_and_it_is_temporary_where_there_is_a_word_for_it(
    played: Played, door: Door
) -> None:
    assert played.stopped.words[door].startswith(door.unavailable)


@each_door
def test_with_mailauth_hung_it_is_the_same_after_ten_seconds(played: Played, door: Door) -> None:
    if door == EXIM:  # waits for it, as long as its client does
        assert played.hung.words[door] == IN
        return
    words = played.hung.words[door]
    # Postfix's own patience with Dovecot may end first.
    assert words.startswith(door.unavailable) or (door.name == "postfix" and words.startswith("454 4.7.0 "))
    assert played.hung.seconds[door] < HUNG_FOR_AT_MOST_S


@each_door
def test_with_mailauth_back_the_door_lets_in_again(played: Played, door: Door) -> None:
    assert door in played.stopped.recovered
    assert door in played.hung.recovered


@pytest.mark.parametrize("played", ways(), indirect=True, ids=str)
def test_the_date_and_the_outages_restart_no_server_but_mailauth(played: Played) -> None:
    assert played.restarted_servers == []
