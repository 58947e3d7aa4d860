"""A file of Dovecot's passwd-file format: which lines mean somebody, and what of the others is told."""

from datetime import timedelta
from pathlib import Path

import pytest

from mailauth.vocabulary.reasons import WhyDenied, WhyGranted, WhyUnavailable
from tests.world import CUTOVER, World, WorldMaker

PASSWORD = "correct horse battery"
BEFORE = CUTOVER - timedelta(days=30)
LINES = f"""\
# comment
:empty
anna@hoster.example:{{PLAIN}}{PASSWORD}
bert:{{PLAIN}}{PASSWORD}:5000:5000::/home/bert:/bin/false:userdb_quota_rule=*:storage=5M
CARL@Hoster.Example:{{PLAIN}}{PASSWORD}\r
dora@hoster.example:{{PLAIN}}{PASSWORD}::::::nologin reason=left
emil@hoster.example:{{PLAIN}}{PASSWORD}::::::allow_nets=192.0.2.0/24
fritz@hoster.example:
gina@hoster.example
open@hoster.example:{{PLAIN}}{PASSWORD}::::::nopassword
other@hoster.example:{{PLAIN}}{PASSWORD}::::::user=anna@hoster.example
twice@hoster.example:{{PLAIN}}{PASSWORD}
Twice@hoster.example:{{PLAIN}}{PASSWORD}
$6$a hash that stands alone/because.somebody slipped
far@elsewhere.example:{{PLAIN}}{PASSWORD}
"""


@pytest.fixture
def world(make_world: WorldMaker, tmp_path: Path) -> World:
    (tmp_path / "users").write_text(LINES)
    section = f'kind="passwd-file",file="{tmp_path}/users",domains=["hoster.example"]'
    return make_world(f"sources=[{{{section}}}]", now=BEFORE)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("anna@hoster.example", WhyGranted.BEFORE_CUTOVER),
        ("bert@hoster.example", WhyGranted.BEFORE_CUTOVER),
        ("carl@hoster.example", WhyGranted.BEFORE_CUTOVER),
        ("dora@hoster.example", WhyDenied.DISABLED_AT_SOURCE),
        ("emil@hoster.example", WhyGranted.BEFORE_CUTOVER),
        ("fritz@hoster.example", WhyDenied.PASSWORD_WRONG),
        ("gina@hoster.example", WhyDenied.PASSWORD_WRONG),
        ("open@hoster.example", WhyDenied.ACCOUNT_UNKNOWN),
        ("other@hoster.example", WhyDenied.ACCOUNT_UNKNOWN),
        ("twice@hoster.example", WhyDenied.ACCOUNT_UNKNOWN),
        ("far@elsewhere.example", WhyDenied.ACCOUNT_UNKNOWN),
    ],
)
async def test_line_means_what_dovecot_takes_it_for_or_nobody(world: World, name: str, expected: object) -> None:
    assert (await world.login(name, PASSWORD)).reason is expected


async def test_line_that_means_nobody_is_named_by_its_number_alone(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.login("anna@hoster.example", "wrong")
    for number, words in ((10, "extra field nopassword"), (11, "extra field user"), (14, "is no name")):
        assert any(f"line {number} " in text and words in text for text in caplog.messages), number
    assert "because.somebody" not in caplog.text


async def test_networks_of_the_file_are_enforced(world: World) -> None:
    verdict = await world.login("emil@hoster.example", PASSWORD, client="198.51.100.1")
    assert verdict.reason is WhyDenied.NETWORK_CLOSED_AT_SOURCE


def test_name_that_two_lines_have_is_refused_by_the_directory_as_well(world: World) -> None:
    report = world.installation.directory.sync("passwd-file")
    assert report.examples["refused"] == ["twice@hoster.example: several lines are this one account"]
    assert report.added == 7


async def test_file_that_is_no_text_is_no_answer(make_world: WorldMaker, tmp_path: Path) -> None:
    (tmp_path / "users").mkdir()
    world = make_world(f'sources=[{{kind="passwd-file",file="{tmp_path}/users"}}]', now=BEFORE)
    assert (await world.login("anna@hoster.example", PASSWORD)).reason is WhyUnavailable.SOURCE_UNAVAILABLE
