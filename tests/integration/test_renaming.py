"""An account that is renamed: its owner keeps everything, nobody else gets anything, and half of it never happens."""

import base64

import pytest
from sqlalchemy import update

from mailauth.effects.store import name_bound_rows
from mailauth.effects.store.tables import outbox
from mailauth.vocabulary.errors import AccountExists, AccountUnknown, InvalidValue
from mailauth.vocabulary.model import AccountName, Credential, Granted
from mailauth.vocabulary.notices import NoticeKind, Origin
from mailauth.vocabulary.reasons import WhyDenied, WhyGranted, WhyUnavailable
from mailauth.vocabulary.secret import Secret
from mailauth.wiring import mailing
from tests.integration.mails.conftest import Outbox
from tests.integration.mails.delivering import delivery
from tests.integration.mails.servers import smtp_server
from tests.transactions import writing
from tests.world import Person, World, WorldMaker

OLD, NEW, THIRD = "anna.jansen@mailitwize.be", "anna.peeters@mailitwize.be", "anna@mailitwize.be"


def rename(world: World, before: str = OLD, after: str = NEW, *, keep_alias: bool = True) -> None:
    world.installation.renaming.rename(before, after, keep_alias=keep_alias)


async def granted(world: World, name: str, secret: str) -> bool:
    return isinstance(await world.login(name, secret), Granted)


async def test_all_that_somebody_has_works_on_under_the_new_name_however_often(make_world: WorldMaker) -> None:
    world = make_world()
    anna = world.enrol(OLD)
    _, codes = world.installation.recovery_codes.issue(OLD)
    first = world.installation.app_passwords.make(OLD, "phone").password
    rename(world)
    second = world.installation.app_passwords.make(NEW, "tablet").password
    for name in (NEW, OLD):
        world.clock.advance(minutes=1)
        assert await granted(world, name, anna.password + anna.code(world.clock()))
    assert await granted(world, NEW, f"{anna.password}{codes[0]}")
    assert not await granted(world, NEW, f"{anna.password}{codes[0]}"), "spent"
    assert world.installation.recovery_codes.prove(NEW, Secret(codes[1].encode()))
    rename(world, NEW, THIRD)
    third = world.installation.app_passwords.make(THIRD, "laptop").password
    world.clock.advance(minutes=1)
    assert await granted(world, THIRD, anna.password + anna.code(world.clock()))
    assert await granted(world, THIRD, f"{anna.password}{codes[2]}")
    for name in (THIRD, NEW, OLD):
        for app_password in (first, second, third):
            assert await granted(world, name, app_password), (name, app_password)
    assert world.installation.accounts.aliases(THIRD) == (OLD, NEW)
    rename(world, THIRD, OLD)  # back to the first
    assert await granted(world, OLD, first)
    assert await granted(world, OLD, third)
    assert await granted(world, OLD, f"{anna.password}{codes[3]}")


async def test_an_enrolment_that_waits_for_its_first_code_is_finished_under_the_new_name(
    make_world: WorldMaker,
) -> None:
    world = make_world()
    anna = world.enrol(OLD)
    new = Person(AccountName(NEW), anna.password, base64.b32decode(world.installation.enrolment.begin(OLD).secret))
    rename(world)
    world.installation.enrolment.confirm(NEW, Secret(new.code(world.clock(), -1).encode()))
    assert await granted(world, NEW, new.password + new.code(world.clock()))


async def test_without_an_alias_the_old_name_is_unknown_and_may_be_somebody_elses(make_world: WorldMaker) -> None:
    world = make_world()
    world.enrol(OLD)
    app_password = world.installation.app_passwords.make(OLD, "phone").password
    rename(world, keep_alias=False)
    assert (await world.login(OLD, app_password)).reason is WhyDenied.APP_PASSWORD_UNKNOWN
    with pytest.raises(AccountUnknown):
        world.installation.accounts.get(OLD)
    world.enrol(OLD)
    assert not await granted(world, OLD, app_password)
    assert await granted(world, NEW, app_password)


async def test_what_is_moved_to_another_account_in_the_database_does_not_serve_there(make_world: WorldMaker) -> None:
    """KEY1, for who can write to the database: whatever is written beside it as the account's former names."""
    world = make_world()
    world.enrol(OLD)
    mallory = world.enrol("mallory@mailitwize.be")
    _, codes = world.installation.recovery_codes.issue(mallory.name)
    app_password = world.installation.app_passwords.make(mallory.name, "phone").password
    rename(world)
    with writing(world.installation.database) as connection:
        ids: dict[str, int] = dict(connection.exec_driver_sql("SELECT name, id FROM account").all())
        victim, thief = ids[NEW], ids[mallory.name]
        for table in ("app_password", "recovery_code"):
            connection.exec_driver_sql(f"UPDATE {table} SET account_id = ? WHERE account_id = ?", (victim, thief))
    for former in ("", OLD, mallory.name, f"{mallory.name} {OLD}", f"{OLD} {mallory.name}", f"{NEW} {mallory.name}"):
        with writing(world.installation.database) as connection:
            connection.exec_driver_sql("UPDATE account SET former_names = ? WHERE id = ?", (former, victim))
        world.clock.advance(minutes=2)
        assert not await granted(world, NEW, app_password), former
        assert not world.installation.recovery_codes.prove(NEW, Secret(codes[0].encode())), former


async def test_sessions_and_what_was_remembered_are_void(make_world: WorldMaker) -> None:
    world = make_world("login_memory.life_s=600")
    anna = world.enrol(OLD)
    secret = anna.password + anna.code(world.clock())
    assert await granted(world, OLD, secret)
    assert await granted(world, OLD, secret), "it is remembered"
    account, sessions = world.installation.accounts.get(OLD), world.installation.sessions
    verdict = Granted(account.name, Credential.PASSWORD_AND_CODE, WhyGranted.SECOND_FACTOR_GIVEN, epoch=account.epoch)
    cookie = sessions.open(verdict, Origin(service="portal"))
    assert sessions.load(cookie) is not None
    rename(world)
    assert sessions.load(cookie) is None
    for name in (OLD, NEW):
        assert not await granted(world, name, secret)


async def test_what_was_counted_counts_on(make_world: WorldMaker) -> None:
    world = make_world("limits.account_burst=3")
    world.add(OLD)
    world.add("anna.jansen.junior@mailitwize.be")
    for number in range(3):
        assert (await world.login(OLD, f"wrong {number}")).reason is WhyDenied.PASSWORD_WRONG
    assert (await world.login(NEW, "wrong")).reason is WhyDenied.ACCOUNT_UNKNOWN
    rename(world, keep_alias=False)
    assert (await world.login(NEW, "wrong again", client="198.51.100.1")).reason is WhyUnavailable.THROTTLED
    assert world.installation.limits.tats(OLD) == ()
    assert world.installation.limits.clear(NEW)
    assert (await world.login(NEW, "wrong again", client="198.51.100.1")).reason is WhyDenied.PASSWORD_WRONG


def test_name_that_is_in_use_is_refused(make_world: WorldMaker) -> None:
    world = make_world()
    world.enrol(OLD)
    world.add("bob@mailitwize.be")
    world.installation.accounts.add_alias("bob@mailitwize.be", "robert@mailitwize.be")
    for taken in ("bob@mailitwize.be", "robert@mailitwize.be"):
        with pytest.raises(AccountExists, match=f"there is an account or alias {taken} already"):
            rename(world, OLD, taken)
    with pytest.raises(InvalidValue, match="name already"):
        rename(world, OLD, OLD.upper())


async def test_an_alias_of_ones_own_may_become_the_name(make_world: WorldMaker) -> None:
    world = make_world()
    world.enrol(OLD)
    app_password = world.installation.app_passwords.make(OLD, "phone").password
    world.installation.accounts.add_alias(OLD, NEW)
    rename(world, NEW, NEW)  # named by the alias itself
    assert world.installation.accounts.get(OLD).name == NEW
    assert world.installation.accounts.aliases(NEW) == (OLD,)
    assert await granted(world, NEW, app_password)


async def test_renaming_that_fails_half_way_has_changed_nothing(
    make_world: WorldMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world()
    anna = world.enrol(OLD)
    app_password = world.installation.app_passwords.make(OLD, "phone").password

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(name_bound_rows, "move_meters", killed)  # the last but one statement
    with pytest.raises(KeyboardInterrupt):
        rename(world)
    assert await granted(world, OLD, anna.password + anna.code(world.clock()))
    assert await granted(world, OLD, app_password)
    assert not world.installation.accounts.aliases(OLD)
    with pytest.raises(AccountUnknown):
        world.installation.accounts.get(NEW)


async def recipients_of_what_waits(box: Outbox) -> list[str]:
    """Have all mails tried again, given up or not, and return whom the server got one for."""
    mailing.of(box.world.installation).delivery.retry_all(waiting=True, given_up=True)
    async with smtp_server() as server:
        while (await delivery(box, server.port).run_once()).total:
            pass
    return sorted(recipient for envelope in server.envelopes for recipient in envelope.rcpt_tos)


def with_mails(world: World, name: str, recovery_address: str | None = None) -> Outbox:
    """Return a new account's outbox: with mails that wait, one that was given up, and one of an older mailauth."""
    box = Outbox(world, name)
    box.set(recovery_address=recovery_address)
    for _ in range(2):
        box.tell(NoticeKind.AUTHENTICATOR_REMOVED)
        box.tell(NoticeKind.RECOVERY_CODES, codes=["k7qm-2xvp-9hfd-c3wn"], first=True)
    first, second = [row for row in box.rows() if row.recipient == name][:2]
    with writing(world.installation.database) as connection:
        given_up = {"state": "given-up", "ended_at": world.clock()}
        connection.execute(update(outbox).where(outbox.c.id == first.id).values(given_up))
        connection.execute(update(outbox).where(outbox.c.id == second.id).values(account_id=None))
    return box


@pytest.mark.parametrize("keep_alias", [True, False])
async def test_mails_that_wait_follow_the_account_and_reach_nobody_who_gets_the_name(
    make_world: WorldMaker, keep_alias: bool
) -> None:
    """REC4: there are recovery codes among them, which let in under the new name."""
    world = make_world()
    box = with_mails(world, OLD)
    Outbox(world, THIRD).tell(NoticeKind.AUTHENTICATOR_REMOVED)
    rename(world, keep_alias=keep_alias)
    if not keep_alias:
        world.add(OLD)
    assert await recipients_of_what_waits(box) == sorted([NEW] * 4 + [THIRD])


async def test_mails_of_an_account_that_is_removed_reach_nobody_who_gets_its_name_or_number(
    make_world: WorldMaker,
) -> None:
    world = make_world()
    Outbox(world, THIRD).tell(NoticeKind.AUTHENTICATOR_REMOVED)
    box = with_mails(world, OLD, recovery_address="anna@example.org")
    world.installation.accounts.remove(OLD)
    world.add(OLD)
    assert [row.account_id for row in box.rows()] == [world.installation.accounts.get(THIRD).id]
    assert await recipients_of_what_waits(box) == [THIRD]
