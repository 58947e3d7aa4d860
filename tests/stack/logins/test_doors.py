"""One table: every door, every case. All doors decide alike, and say no in the same words.

All cells are played at once, since a refusing Dovecot takes half a second; each test
then looks at those of one door.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from itertools import product

import pytest

from tests.stack import doors
from tests.stack.doors import Door
from tests.stack.people import SetUp, Site, set_ups
from tests.stack.table import CASES, Case, Cell, play, report

PLAYED_AT_ONCE = 20
Table = dict[tuple[SetUp, Door, Case], Future[Cell]]


@pytest.fixture(scope="session")
def table(sites: dict[SetUp, Site]) -> Table:
    with ThreadPoolExecutor(PLAYED_AT_ONCE) as pool:
        return {
            (set_up, door, case): pool.submit(play, site, door, case)
            for set_up, site in sites.items()
            for door, case in product(doors.of(set_up), CASES)
        }


@pytest.mark.parametrize(
    ("site", "door"),
    [pytest.param(set_up, door, id=f"{set_up}-{door.name}") for set_up in set_ups() for door in doors.of(set_up)],
    indirect=["site"],
    scope="session",
)
def test_every_door_decides_alike(site: Site, table: Table, door: Door) -> None:
    cells = {each: table[site.set_up, door, each].result() for each in CASES}
    assert [report(site, each, cell) for each, cell in cells.items() if cell.found != cell.expected] == []
