"""Links in mails: each once, in time, for what it was made for; and what they do to an account."""

import base64
from datetime import timedelta

import pytest
from sqlalchemy import select

from mailauth.effects.store import mail_links, tables
from mailauth.usecases.own_account import MailLink
from mailauth.usecases.portal_sessions import Session
from mailauth.vocabulary.errors import InvalidValue, TooMany
from mailauth.vocabulary.model import Credential, Denied, Granted
from tests.cases import case
from tests.integration.portal_sessions.people import (
    FIREFOX,
    granted,
    in_parallel,
    kinds,
    link_in,
    loaded,
    log_in,
    mails,
    set_up,
)
from tests.transactions import reading, writing
from tests.world import World

ELSEWHERE = "alice@example.org"


def ask(world: World, address: str = ELSEWHERE) -> str:
    """Ask for another address; return the token in the mail."""
    world.installation.own_account.ask_for_address(log_in(world, world.add("alice")), address, FIREFOX)
    return link_in(world)


def address_of(world: World) -> str | None:
    with reading(world.installation.database) as connection:
        found: str | None = connection.execute(select(tables.account.c.recovery_address)).scalar_one()
        return found


def test_link_confirms_an_address_when_it_is_followed_and_not_when_it_is_opened(world: World) -> None:
    token = ask(world)
    ((to, notice),) = mails(world)
    assert (to, notice.kind) == (ELSEWHERE, "confirm-address")
    opened = world.installation.own_account.open_link(token)
    assert opened is not None
    assert (opened.purpose, opened.address) == ("confirm-address", ELSEWHERE)
    assert opened.expires_at == world.clock() + timedelta(hours=24)
    assert address_of(world) is None
    assert world.installation.own_account.follow_link(token, FIREFOX) == opened
    assert address_of(world) == ELSEWHERE
    assert log_in(world, world.add("bob")).recovery_address is None


def test_domain_of_an_address_is_kept_as_it_travels(world: World) -> None:
    """MAIL9."""
    token = ask(world, "alice@b\u00fccher.example")
    assert mails(world)[0][0] == "alice@xn--bcher-kva.example"
    world.installation.own_account.follow_link(token, FIREFOX)
    assert address_of(world) == "alice@xn--bcher-kva.example"


def test_link_serves_once(world: World) -> None:
    token = ask(world)
    assert world.installation.own_account.follow_link(token, FIREFOX) is not None
    assert world.installation.own_account.open_link(token) is None
    assert world.installation.own_account.follow_link(token, FIREFOX) is None


def test_link_serves_one_of_eight_threads(world: World) -> None:
    token = ask(world)
    results = in_parallel(8, lambda: world.installation.own_account.follow_link(token, FIREFOX))
    assert sum(isinstance(result, MailLink) for result in results) == 1
    assert kinds(world) == ["confirm-address", "address-changed"]


def test_link_is_used_by_compare_and_set(world: World) -> None:
    """CON1: elsewhere than on SQLite another process may have used it after it was found."""
    token = ask(world)
    with writing(world.installation.database) as connection:
        (link_id,) = connection.execute(select(tables.mail_link.c.id)).scalars()
        assert mail_links.use(connection, link_id, world.clock())
        assert not mail_links.use(connection, link_id, world.clock())
    assert world.installation.own_account.follow_link(token, FIREFOX) is None


@pytest.mark.parametrize(("purpose", "hours"), [("confirm", 24), ("undo", 72)])
def test_link_expires(world: World, purpose: str, hours: int) -> None:
    if purpose == "confirm":
        token = ask(world)
    else:
        set_up(world, world.add("alice"))
        token = link_in(world)
    world.clock.advance(hours=hours, seconds=-1)
    assert world.installation.own_account.open_link(token) is not None
    world.clock.advance(seconds=1)
    assert world.installation.own_account.open_link(token) is None
    assert world.installation.own_account.follow_link(token, FIREFOX) is None
    assert address_of(world) is None


def test_token_that_nobody_was_sent_is_no_link(world: World) -> None:
    ask(world)
    for token in ("", "x" * 43, "x" * 42 + "\n", "é" * 43, "../../etc/passwd", "a" * 100_000):
        with case(token):
            assert world.installation.own_account.open_link(token) is None
            assert world.installation.own_account.follow_link(token, FIREFOX) is None


def test_token_is_stored_nowhere_in_the_clear(world: World) -> None:
    token = ask(world)
    for file in world.directory.glob("mailauth.db*"):
        assert token.encode() not in file.read_bytes()
        assert base64.urlsafe_b64decode(token + "=") not in file.read_bytes()


def test_asking_again_voids_the_link_before(world: World) -> None:
    alice = world.add("alice")
    session = log_in(world, alice)
    for address in ("one@example.org", "two@example.org"):
        world.installation.own_account.ask_for_address(session, address, FIREFOX)
    assert world.installation.own_account.follow_link(link_in(world, 0), FIREFOX) is None
    assert world.installation.own_account.follow_link(link_in(world, 1), FIREFOX) is not None
    assert address_of(world) == "two@example.org"


def test_five_addresses_a_day_may_be_asked_for(world: World) -> None:
    session = log_in(world, world.add("alice"))
    for number in range(5):
        world.installation.own_account.ask_for_address(session, f"a{number}@example.org", FIREFOX)
    with pytest.raises(TooMany):
        world.installation.own_account.ask_for_address(session, "b@example.org", FIREFOX)
    world.clock.advance(days=1)
    world.installation.own_account.ask_for_address(session, "b@example.org", FIREFOX)


def test_what_is_no_other_address_is_refused(world: World) -> None:
    """MAIL2."""
    session = log_in(world, world.add("alice"))
    for address in (
        "",
        "alice",
        "alice@",
        "@example.org",
        "a@b@example.org",
        "a b@example.org",
        "alice@mailitwize.be",
        "ALICE@Mailitwize.be",
        "a@example.org\r\nBcc: b@example.org",
        "a\n@example.org",
        "a\x00@example.org",
        "a@example.org,b@example.org",
        "a@exam\u2028ple.org",
        "a" * 250 + "@example.org",
    ):
        with case(address), pytest.raises(InvalidValue):
            world.installation.own_account.ask_for_address(session, address, FIREFOX)
    assert mails(world) == []


def test_change_of_the_address_is_told_to_the_mailbox_and_to_the_address_that_goes(world: World) -> None:
    alice = world.add("alice")
    session = log_in(world, alice)
    for address in ("old@example.org", "new@example.org"):
        world.installation.own_account.ask_for_address(session, address, FIREFOX)
        world.installation.own_account.follow_link(link_in(world), FIREFOX)
    told = [(to, notice.facts["address"]) for to, notice in mails(world) if notice.kind == "address-changed"]
    assert told == [
        (alice.name, "old@example.org"),
        (alice.name, "new@example.org"),
        ("old@example.org", "new@example.org"),
    ]
    before = len(mails(world))
    world.installation.own_account.remove_address(session, FIREFOX)
    assert address_of(world) is None
    assert [(to, notice.facts) for to, notice in mails(world)[before:]] == [
        (alice.name, {"address": ""}),
        ("new@example.org", {"address": ""}),
    ]


def test_removing_the_address_voids_what_waits_to_be_confirmed(world: World) -> None:
    session = log_in(world, world.add("alice"))
    world.installation.own_account.ask_for_address(session, ELSEWHERE, FIREFOX)
    world.installation.own_account.remove_address(session, FIREFOX)
    assert world.installation.own_account.follow_link(link_in(world), FIREFOX) is None


async def test_undoing_takes_away_all_that_came_with_the_enrolment(world: World) -> None:
    alice = world.add("alice")
    before = world.installation.app_passwords.make("alice", "telephone").password
    world.clock.advance(hours=1)
    done = set_up(world, alice)
    token = link_in(world)
    world.clock.advance(hours=1)
    since = world.installation.app_passwords.make("alice", "thief").password
    assert isinstance(await world.login("alice", since), Granted)
    enrolled = world.installation.accounts.get("alice")
    assert world.installation.own_account.follow_link(token, FIREFOX) is not None
    assert world.installation.accounts.get("alice").totp is None
    assert world.installation.recovery_codes.left("alice") == 0
    assert world.installation.sessions.load(done.cookie) is None
    live = [each.name for each in world.installation.app_passwords.all("alice") if each.revoked_at is None]
    assert live == ["telephone"]
    assert isinstance(await world.login("alice", before), Granted)
    assert isinstance(await world.login("alice", alice.password + done.codes[0]), Denied)
    assert kinds(world)[-1] == "enrolment-undone"
    assert world.installation.accounts.get("alice").epoch == enrolled.epoch + 1, "what is being decided is void"
    with reading(world.installation.database) as connection:
        assert connection.execute(select(tables.portal_session)).all() == []


def test_undoing_still_works_after_the_authenticator_was_replaced(world: World) -> None:
    """Who has bound a phone of their own to somebody's account does not escape by binding another.

    It takes the link that the mailbox got then: who once read the mailbox holds the one before (test_intruder.py).
    """
    alice = world.add("alice")
    done = set_up(world, alice)
    set_up(world, alice, loaded(world, done.cookie))
    assert world.installation.own_account.follow_link(link_in(world), FIREFOX) is not None
    assert world.installation.accounts.get("alice").totp is None


def test_link_does_not_undo_a_later_enrolment(world: World) -> None:
    alice = world.add("alice")
    set_up(world, alice)
    token = link_in(world)
    world.installation.enrolment.reset("alice")
    alice.seed = b""
    set_up(world, alice)
    assert world.installation.own_account.follow_link(token, FIREFOX) is None
    assert world.installation.accounts.get("alice").totp is not None


def test_fault_while_a_link_is_followed_leaves_it_good(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(world, world.add("alice"))
    token = link_in(world)
    count = len(mails(world))

    def breaks(*_args: object, **_named: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(type(world.installation.notices), "tell", breaks)
        with pytest.raises(RuntimeError):
            world.installation.own_account.follow_link(token, FIREFOX)
    assert world.installation.accounts.get("alice").totp is not None
    assert len(mails(world)) == count
    assert world.installation.own_account.follow_link(token, FIREFOX) is not None


def test_link_of_a_removed_account_is_none(world: World) -> None:
    token = ask(world)
    world.installation.accounts.remove("alice")
    assert world.installation.own_account.open_link(token) is None


def test_language_that_was_chosen_is_kept_and_mails_are_written_in_it(world: World) -> None:
    alice = world.add("alice")
    session = log_in(world, alice)
    world.installation.own_account.set_language(session, "nl")
    assert log_in(world, alice).language == "nl"
    world.installation.app_passwords.make("alice", "telephone")
    with reading(world.installation.database) as connection:
        assert connection.execute(select(tables.outbox.c.language)).scalar_one() == "nl"


def test_language_of_the_page_is_that_of_the_mails_until_one_is_chosen(world: World) -> None:
    alice = world.add("alice")
    sessions, own_account = world.installation.sessions, world.installation.own_account

    def log_in_on_a_page(language: str) -> Session:
        return loaded(world, sessions.open(granted(world, alice.name, Credential.PASSWORD), FIREFOX, language))

    assert log_in_on_a_page("fr").language == "fr"
    assert log_in_on_a_page("de").language == "fr"
    own_account.set_language(log_in_on_a_page("de"), "nl")
    assert log_in_on_a_page("de").language == "nl"


OWN = (
    "alice@bücher.example",
    "ALICE@BÜCHER.example",
    "Alice@xn--bcher-kva.example",
    "alice+shop@bücher.example",
    "Alice+a+b@XN--BCHER-KVA.example",
    "alice-shop@bücher.example",
    "alice+50%@bücher.example",
    "sales@mailitwize.be",
    "Sales+x@MailITWize.be",
    "anna-maria@bücher.example",
    "anna-maria-x@bücher.example",
    "mailto:alice@bücher.example",
    "\u200balice+shop@bücher.example",
)


def test_address_that_leads_to_the_mailbox_itself_is_refused(world: World) -> None:
    """REC5: who cannot read the mailbox would not read it there either."""
    accounts = world.installation.accounts
    alice, bob = world.add("alice@bücher.example"), world.add("alice+bob@bücher.example")
    for alias in ("sales@mailitwize.be", "anna-maria@bücher.example"):
        accounts.add_alias(alice.name, alias)
    session = log_in(world, alice)
    for address in OWN:
        with case(address), pytest.raises(InvalidValue):
            world.installation.own_account.ask_for_address(session, address, FIREFOX)
    assert mails(world) == []
    for address in ("alice@mailitwize.be", "alicia@bücher.example", bob.name, "x+alice@bücher.example"):
        with case(address):
            world.installation.own_account.ask_for_address(session, address, FIREFOX)


def test_address_that_became_an_alias_before_it_was_confirmed_is_not_taken(world: World) -> None:
    token = ask(world, "sales@mailitwize.be")
    world.installation.accounts.add_alias("alice", "sales")
    assert world.installation.own_account.follow_link(token, FIREFOX) is None
    assert address_of(world) is None
