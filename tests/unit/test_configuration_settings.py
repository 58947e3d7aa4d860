"""`--set` and `config set`: keys are changed in place, comments are kept, a bad result is refused."""

import pytest

from mailauth.effects.configuration.loading import parse, with_settings
from mailauth.effects.configuration.reference import first_file
from mailauth.vocabulary.errors import InvalidConfiguration, InvalidValue
from tests.cases import case
from tests.world import PROVIDER

FIRST = first_file(PROVIDER)
OWN = """\
# my installation
[cutover]
date = "2025-05-05T00:00 Europe/Brussels"  # as announced

[provider]
name = 'Mail-IT-Wize'   # not shouted
support = "support@mailitwize.be"
url = "https://www.mailitwize.be/2fa"

[mail]
sender = "support@mailitwize.be"
# the end
"""


def comments(text: str) -> list[str]:
    return [line[line.index("#") :] for line in text.splitlines() if "#" in line]


def test_nothing_set_changes_nothing() -> None:
    assert with_settings(OWN, [], "x") == OWN


def test_value_is_changed_in_its_place() -> None:
    changed = with_settings(OWN, ["provider.name=Other"], "x")
    assert changed == OWN.replace("'Mail-IT-Wize'", '"Other"')


@pytest.mark.parametrize(
    "setting",
    [
        "cutover.date=2026-01-01T00:00 UTC",
        "server.deadline_s=5.0",
        "password.argon2.time_cost=3",
        'server.socket=[{path="/x/auth.sock", group="dovecot", allow_users=["root","dovecot"]}]',
    ],
)
@pytest.mark.parametrize("text", [OWN, FIRST])
def test_comments_are_kept(text: str, setting: str) -> None:
    kept = comments(with_settings(text, [setting], "x"))
    missing = [comment for comment in comments(text) if comment not in kept]
    assert not missing


def test_value_is_toml_where_it_reads_as_toml() -> None:
    changed = parse(
        with_settings(
            OWN,
            [
                "server.deadline_s=5",
                "server.max_connections = 7 ",
                'provider.support="help@example.org"',
                'server.socket=[{path="/a", allow_users=["x"]}, {path="/b", mode="0600"}]',
            ],
            "x",
        ),
        "x",
    )
    assert changed.server.deadline_s == 5
    assert changed.server.max_connections == 7
    assert changed.provider.support == "help@example.org"
    assert [(socket.path, socket.mode, socket.allow_users) for socket in changed.server.socket] == [
        ("/a", "0660", ["x"]),
        ("/b", "0600", []),
    ]


def test_anything_else_is_a_string() -> None:
    for value in ("Two Words", "a=b", "it's", "#1", '"half', "x@y", "[half", "a\\b", "ünïcode"):
        with case(value):
            assert parse(with_settings(OWN, [f"provider.name={value}"], "x"), "x").provider.name == value


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-01-01T00:00 Europe/Brussels", "2026-01-01T00:00:00+01:00"),
        ("2026-01-01T00:00+01:00", "2026-01-01T00:00:00+01:00"),
        ("2026-01-01T00:00:00+01:00", "2026-01-01T00:00:00+01:00"),
        ("2025-12-31T23:00:00Z", "2025-12-31T23:00:00+00:00"),
        ('"2025-12-31T23:00Z"', "2025-12-31T23:00:00+00:00"),
    ],
)
def test_date_is_set_in_any_of_its_forms(value: str, moment: str) -> None:
    for text in (OWN, FIRST):
        changed = with_settings(text, [f"cutover.date={value}"], "x")
        assert parse(changed, "x").cutover.policy().dates[0].isoformat() == moment


@pytest.mark.parametrize(
    "text",
    [
        OWN + "[password]\nargon2 = {time_cost = 2}\n",
        OWN + "[password]\nargon2.time_cost = 2\n",
        OWN + "[password.argon2]\ntime_cost = 2\n",
        "password.argon2.time_cost = 2\n" + OWN,
        "[password]\n" + OWN + "[password.argon2]\ntime_cost = 2\n",
    ],
)
def test_key_is_found_however_its_table_is_written(text: str) -> None:
    parse(text, "x")
    changed = parse(with_settings(text, ["password.argon2.time_cost=5"], "x"), "x")
    assert changed.password.argon2.time_cost == 5


@pytest.mark.parametrize("setting", ["", "x", "=1", " = 1", "cutover.date"])
def test_what_is_no_setting_is_refused(setting: str) -> None:
    with pytest.raises(InvalidValue, match="not KEY=VALUE"):
        with_settings(OWN, [setting], "x")


@pytest.mark.parametrize("setting", ["provider.name.x=1", "cutover.date.x.y=1"])
def test_key_below_a_value_is_refused(setting: str) -> None:
    with pytest.raises(InvalidValue, match="is not a table"):
        with_settings(OWN, [setting], "x")


def test_key_below_a_list_of_tables_is_refused() -> None:
    with pytest.raises(InvalidValue, match="is not a table"):
        with_settings(FIRST, ["server.socket.path=/x"], "x")


@pytest.mark.parametrize(
    ("setting", "place"),
    [
        ("provider.nmae=x", "provider.nmae"),
        ("surprise.x=1", "surprise"),
        ("cutover.date=soon", "cutover.date"),
        ("server.deadline_s=ten", "server.deadline_s"),
        ("provider..name=x", "provider."),
    ],
)
def test_bad_result_is_refused_with_its_place(setting: str, place: str) -> None:
    with pytest.raises(InvalidConfiguration) as refused:
        with_settings(OWN, ["provider.name=Fine", setting], "x")
    assert [mistake.place for mistake in refused.value.mistakes] == [place]


def test_value_cannot_smuggle_in_another_key() -> None:
    changed = parse(with_settings(OWN, ['provider.name="x"\nsupport="evil"'], "x"), "x")
    assert changed.provider.support == "support@mailitwize.be"


def test_file_that_is_no_toml_is_refused() -> None:
    with pytest.raises(InvalidConfiguration, match="not TOML"):
        with_settings("[half", ["a.b=1"], "x")
