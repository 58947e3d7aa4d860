"""The directory: what a source lists is put into force without a login; a fault of it takes nobody away."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

from mailauth.effects.scratch import Scratch
from mailauth.effects.store import outbox
from mailauth.effects.store.outbox import MailSummary
from mailauth.usecases.directory_comparison import AcceptedRemovals, Report
from mailauth.vocabulary.errors import InvalidValue, SourceUnavailable
from mailauth.vocabulary.model import AccountName, Denied, Granted
from mailauth.vocabulary.reasons import WhyDenied
from tests.estates.places import Place, passwd_file, sqlite
from tests.transactions import reading
from tests.world import CUTOVER, World, WorldMaker, enrol_account

PASSWORD = "correct horse battery"
BEFORE = CUTOVER - timedelta(days=30)
PEOPLE = tuple(f"user{n:02}@hoster.example" for n in range(30))
ANNA = "anna@hoster.example"


@pytest.fixture(params=[passwd_file, sqlite])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    made: Place = request.param(tmp_path)
    return made


def world_of(make_world: WorldMaker, place: Place) -> World:
    return make_world(f'sources=[{{name="estate",{place.section}}}]', now=BEFORE)


def sync(world: World, **options: object) -> Report:
    return world.installation.directory.sync("estate", **options)  # type: ignore[arg-type]


def counts(report: Report) -> dict[str, int]:
    kinds = ("added", "updated", "renamed", "replaced", "returned", "inactive", "absent", "removed", "refused")
    return {kind: getattr(report, kind) for kind in kinds if getattr(report, kind)}


def names(world: World, *, disabled: bool) -> set[str]:
    return {each.name for each in world.installation.accounts.all() if each.disabled is disabled}


@contextmanager
def written_rows(world: World) -> Iterator[list[str]]:
    """Give the statements that change something in a table of accounts or names meanwhile."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if (
            statement.split(maxsplit=1)[0] in ("INSERT", "UPDATE", "DELETE")
            and "directory_" not in statement.split("(", maxsplit=1)[0]
        ):
            seen.append(statement)

    engine = world.installation.database.engine
    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


async def test_who_is_listed_has_an_account_and_who_has_left_is_disabled(make_world: WorldMaker, place: Place) -> None:
    for name in (*PEOPLE, ANNA):
        place.put(name, PASSWORD)
    world = world_of(make_world, place)
    assert counts(sync(world)) == {"added": 31}
    assert names(world, disabled=False) == {*PEOPLE, ANNA}
    enrol_account(world.installation, AccountName(ANNA), PASSWORD)
    token = world.installation.app_passwords.make(ANNA, "phone").password
    place.drop(ANNA)
    assert counts(sync(world)) == {"absent": 1}
    assert names(world, disabled=True) == {ANNA}
    verdict = await world.login(ANNA, token)
    assert isinstance(verdict, Denied)
    assert verdict.reason is WhyDenied.ACCOUNT_DISABLED


async def test_sync_without_a_change_writes_nothing(make_world: WorldMaker, place: Place) -> None:
    for name in PEOPLE:
        place.put(name, PASSWORD)
    world = world_of(make_world, place)
    sync(world)
    with written_rows(world) as written:
        report = sync(world)
    assert (report.unchanged, counts(report), written) == (30, {}, [])


def test_dry_run_says_the_same_and_does_nothing(make_world: WorldMaker, place: Place) -> None:
    for name in PEOPLE:
        place.put(name, PASSWORD)
    world = world_of(make_world, place)
    assert counts(sync(world, dry_run=True)) == {"added": 30}
    assert names(world, disabled=False) == set()
    sync(world)
    place.drop(PEOPLE[0])
    place.put(PEOPLE[1], PASSWORD, active=False)
    expected = {"absent": 1, "inactive": 1}
    assert counts(sync(world, dry_run=True)) == expected
    assert names(world, disabled=True) == set()
    assert counts(sync(world)) == expected
    assert names(world, disabled=True) == {PEOPLE[0], PEOPLE[1]}


async def test_inactive_and_back_is_the_same_person(make_world: WorldMaker, place: Place) -> None:
    for name in (*PEOPLE, ANNA):
        place.put(name, PASSWORD)
    world = world_of(make_world, place)
    sync(world)
    anna = enrol_account(world.installation, AccountName(ANNA), PASSWORD)
    place.put(ANNA, PASSWORD, active=False)
    assert counts(sync(world)) == {"inactive": 1}
    world.clock.advance(days=40)
    place.put(ANNA, PASSWORD)
    assert counts(sync(world)) == {"returned": 1}
    assert isinstance(await world.login(ANNA, PASSWORD + anna.code(world.clock())), Granted)


async def test_absent_for_a_day_and_back_without_a_uid_is_another_person(
    make_world: WorldMaker, tmp_path: Path
) -> None:
    place = passwd_file(tmp_path)
    for hours, is_same in ((23, True), (25, False)):
        for name in (*PEOPLE, ANNA):
            place.put(name, PASSWORD)
        world = world_of(make_world, place)
        sync(world)
        anna = enrol_account(world.installation, AccountName(ANNA), PASSWORD)
        place.drop(ANNA)
        assert counts(sync(world)) == {"absent": 1}
        world.clock.advance(hours=hours)
        place.put(ANNA, PASSWORD)
        assert counts(sync(world)) == ({"returned": 1} if is_same else {"replaced": 1})
        verdict = await world.login(ANNA, PASSWORD + anna.code(world.clock()))
        assert isinstance(verdict, Granted) is is_same


async def test_another_name_for_the_same_uid_keeps_all_that_its_owner_has(
    make_world: WorldMaker, tmp_path: Path
) -> None:
    place = sqlite(tmp_path)
    for name in (*PEOPLE, ANNA):
        place.put(name, PASSWORD)
    world = world_of(make_world, place)
    sync(world)
    anna = enrol_account(world.installation, AccountName(ANNA), PASSWORD)
    token = world.installation.app_passwords.make(ANNA, "phone").password
    with sqlite3.connect(tmp_path / "panel.sqlite") as panel:
        panel.execute("UPDATE mailbox SET username='anne@hoster.example', local_part='anne' WHERE username=?", (ANNA,))
    assert counts(sync(world)) == {"renamed": 1}
    assert isinstance(await world.login("anne@hoster.example", token), Granted)
    assert isinstance(await world.login("anne@hoster.example", PASSWORD + anna.code(world.clock())), Granted)
    assert isinstance(await world.login(ANNA, token), Denied)


def test_listing_that_fails_or_is_empty_disables_nobody(make_world: WorldMaker, tmp_path: Path) -> None:
    place = passwd_file(tmp_path)
    for name in PEOPLE:
        place.put(name, PASSWORD)
    world = world_of(make_world, place)
    sync(world)
    (tmp_path / "users").write_text("")
    with pytest.raises(SourceUnavailable, match="lists nobody"):
        sync(world)
    (tmp_path / "users").unlink()
    with pytest.raises(SourceUnavailable, match="cannot be read"):
        sync(world)
    assert names(world, disabled=True) == set()
    (run,) = world.installation.directory.status().runs
    assert "cannot be read" in run.error
    assert run.succeeded_at is not None


def test_brake_holds_what_would_be_too_many_and_releases_what_somebody_has_seen(
    make_world: WorldMaker, place: Place
) -> None:
    for name in PEOPLE:
        place.put(name, PASSWORD)
    world = world_of(make_world, place)
    sync(world)
    for name in PEOPLE[:12]:
        place.drop(name)
    place.put(PEOPLE[20], PASSWORD, active=False)
    place.put("new@hoster.example", PASSWORD)
    report = sync(world)
    assert counts(report) == {"added": 1, "inactive": 1}, "these are not held"
    assert [(each.domain, each.kind, each.number, each.of) for each in report.held] == [
        ("", "absent", 12, 30),
        ("hoster.example", "absent", 12, 30),
    ]
    assert world.installation.directory.status().held == report.held
    world.clock.advance(minutes=5)
    assert sync(world).held != (), "it does not go away by itself"
    for accepted in (AcceptedRemovals("hoster.example", 11), AcceptedRemovals("other.example", 12)):
        with pytest.raises(InvalidValue, match="not listed any more"):
            sync(world, accepted=accepted)
    assert names(world, disabled=True) == {PEOPLE[20]}
    assert counts(sync(world, accepted=AcceptedRemovals("hoster.example", 12))) == {"absent": 12}
    assert world.installation.directory.status().held == ()
    assert names(world, disabled=True) == {*PEOPLE[:12], PEOPLE[20]}


def test_administrator_is_mailed_once_when_removals_begin_to_be_held(make_world: WorldMaker, tmp_path: Path) -> None:
    place = passwd_file(tmp_path)
    for name in PEOPLE:
        place.put(name, PASSWORD)
    section = f'sources=[{{name="estate",{place.section}}}]'
    world = make_world(section, 'directory.mail_to="postmaster@example.net"', now=BEFORE)
    sync(world)
    for name in PEOPLE[:20]:
        place.drop(name)
    for _ in range(3):
        world.clock.advance(minutes=5)
        assert sync(world).held
    (mail,) = list_mails(world)
    assert (mail.recipient, mail.kind) == ("postmaster@example.net", "removals-held")
    for name in PEOPLE[:20]:
        place.put(name, PASSWORD)
    assert not sync(world).held
    for name in PEOPLE[:20]:
        place.drop(name)
    world.clock.advance(days=2)
    assert sync(world).held
    assert len(list_mails(world)) == 2, "another time is another mail"


def list_mails(world: World) -> list[MailSummary]:
    with reading(world.installation.database) as connection:
        return list(outbox.summaries(connection))


def test_brake_holds_uids_that_change_for_many_at_once(make_world: WorldMaker, tmp_path: Path) -> None:
    """Tables that were moved, with other times of making: nobody must lose a second factor by that."""
    place = sqlite(tmp_path)
    for name in PEOPLE:
        place.put(name, PASSWORD)
    world = world_of(make_world, place)
    sync(world)
    ids = [world.installation.accounts.get(name).id for name in PEOPLE]
    with sqlite3.connect(tmp_path / "panel.sqlite") as panel:
        panel.execute("UPDATE mailbox SET created = '2021' || substr(created, 5)")
    report = sync(world)
    assert counts(report) == {}
    assert {(each.kind, each.number) for each in report.held} == {("replaced", 30)}
    assert [world.installation.accounts.get(name).id for name in PEOPLE] == ids


def test_accounts_that_are_made_meanwhile_are_no_mistake(
    make_world: WorldMaker, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By logins, or by the worker while somebody runs the command."""
    for name in PEOPLE:
        place.put(name, PASSWORD)
    world = world_of(make_world, place)
    rest = Scratch.rest
    others: list[dict[str, int] | None] = []

    def rest_when_others_were_quicker(scratch: Scratch) -> object:
        if not others:
            others.append(None)
            others[0] = counts(sync(world))
        return rest(scratch)

    monkeypatch.setattr(Scratch, "rest", rest_when_others_were_quicker)
    report = sync(world)
    assert others == [{"added": len(PEOPLE)}]
    assert counts(report) == {}
    assert report.unchanged == len(PEOPLE)


def test_other_names_beyond_the_sources_domains_are_not_its_to_give(make_world: WorldMaker, tmp_path: Path) -> None:
    """Whoever may enter an alias domain in a panel must not get the mail of a domain that another source has."""
    place = sqlite(tmp_path)
    for name in PEOPLE:
        place.put(name, PASSWORD)
    with sqlite3.connect(tmp_path / "panel.sqlite") as connection:
        connection.execute("INSERT INTO alias_domain VALUES ('bank.example', 'hoster.example', 1)")
    world = make_world(f'sources=[{{name="estate",domains=["hoster.example"],{place.section}}}]', now=BEFORE)
    assert sync(world).added == 30
    assert world.installation.accounts.aliases(PEOPLE[0]) == ()


def test_what_an_administrator_disabled_stays_so(make_world: WorldMaker, place: Place) -> None:
    for name in PEOPLE:
        place.put(name, PASSWORD)
    world = world_of(make_world, place)
    sync(world)
    world.installation.accounts.set_disabled(PEOPLE[0], disabled=True)
    place.put(PEOPLE[0], PASSWORD, active=False)
    sync(world)
    place.put(PEOPLE[0], PASSWORD)
    sync(world)
    assert names(world, disabled=True) == {PEOPLE[0]}
    world.installation.accounts.set_disabled(PEOPLE[0], disabled=False)
    place.put(PEOPLE[1], PASSWORD, active=False)
    sync(world)
    world.installation.accounts.set_disabled(PEOPLE[1], disabled=False)
    sync(world)
    assert names(world, disabled=True) == {PEOPLE[1]}, "nor can that be lifted here"


def test_accounts_that_are_somebody_elses_are_named_and_left_alone(make_world: WorldMaker, place: Place) -> None:
    for name in PEOPLE:
        place.put(name, PASSWORD)
    world = make_world(f'sources=[{{kind="own",on_unknown="next"}},{{name="estate",{place.section}}}]', now=BEFORE)
    world.add(PEOPLE[0], "of another person")
    world.add("boss@hoster.example", "of another person")
    world.installation.accounts.add_alias("boss@hoster.example", PEOPLE[1])
    report = sync(world)
    assert counts(report) == {"added": 28, "refused": 2}
    assert "mailauth's own table" in report.examples["refused"][0]
    assert "another name of an account" in report.examples["refused"][1]
    assert counts(sync(world)) == {"refused": 2}


def test_alias_domains_are_followed(make_world: WorldMaker, tmp_path: Path) -> None:
    place = sqlite(tmp_path)
    for name in PEOPLE:
        place.put(name, PASSWORD)

    def panel(statement: str) -> None:
        with sqlite3.connect(tmp_path / "panel.sqlite") as connection:
            connection.execute(statement)

    panel("INSERT INTO alias_domain VALUES ('hoster.test', 'hoster.example', 1)")
    world = world_of(make_world, place)
    sync(world)
    aliases = world.installation.accounts.aliases
    assert aliases(PEOPLE[0]) == ("user00@hoster.test",)
    world.installation.accounts.add_alias(PEOPLE[0], "by-hand@hoster.example")
    panel("UPDATE alias_domain SET alias_domain = 'hoster.invalid'")
    assert counts(sync(world)) == {"updated": 30}
    assert aliases(PEOPLE[0]) == ("by-hand@hoster.example", "user00@hoster.invalid")


def test_who_is_long_gone_is_removed_after_a_time(make_world: WorldMaker, place: Place) -> None:
    for name in PEOPLE:
        place.put(name, PASSWORD)
    world = world_of(make_world, place)
    sync(world)
    place.drop(PEOPLE[0])
    sync(world)
    world.clock.advance(days=90)
    assert counts(sync(world)) == {}
    world.clock.advance(hours=1)
    assert counts(sync(world)) == {"removed": 1}
    assert PEOPLE[0] not in {each.name for each in world.installation.accounts.all()}
