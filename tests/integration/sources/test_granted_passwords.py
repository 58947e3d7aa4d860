"""A password alone that was accepted is not hashed again for a while, and decides nothing beyond being right."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from mailauth.core.password_chain import Right
from mailauth.core.source_entry import DomainPatterns
from mailauth.effects.sources.fake import FakeSource
from mailauth.usecases.login.granted_passwords import FOLLOWED_LIFE_S, LIFE_S
from mailauth.usecases.login.password_check import Link
from mailauth.vocabulary.model import Denied, Granted
from mailauth.vocabulary.reasons import WhyDenied
from tests.world import CUTOVER, World, WorldMaker

PASSWORD = "correct horse"


def counting(world: World) -> Callable[[], int]:
    """Return what tells how many hashes were computed so far."""
    hashed: list[bytes] = []
    verify = world.own_table.hasher.verify

    def counted(stored: str | None, password: bytes, name: str = "", default_scheme: str = "") -> bool:
        hashed.append(password)
        return verify(stored, password, name)

    world.own_table.hasher.verify = counted  # type: ignore[method-assign]
    return lambda: len(hashed)


async def test_a_client_that_polls_costs_one_hash_in_four_hours(
    make_world: WorldMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(now=CUTOVER - timedelta(days=9))
    world.add("anna")
    hashes, now = counting(world), [0.0]
    monkeypatch.setattr(world.installation.verifier._granted_passwords, "_monotonic", lambda: now[0])
    for _ in range(5):
        assert isinstance(await world.login("anna", PASSWORD), Granted)
    assert hashes() == 1
    for count, (service, client, secret) in enumerate(
        (
            ("pop3", "192.0.2.7", PASSWORD),
            ("imap", "203.0.113.9", PASSWORD),
            ("imap", "192.0.2.7", "wrong"),
            ("imap", "192.0.2.7", "wrong"),
        ),
        start=2,
    ):
        await world.login("anna", secret, service=service, client=client)
        assert hashes() == count, (service, client, secret)
    now[0] = FOLLOWED_LIFE_S - 1
    await world.login("anna", PASSWORD)
    assert hashes() == 5
    now[0] = FOLLOWED_LIFE_S
    await world.login("anna", PASSWORD)
    assert hashes() == 6


async def test_where_another_password_is_not_noticed_it_is_asked_for_after_ten_minutes(
    make_world: WorldMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(now=CUTOVER - timedelta(days=9))
    source, now = FakeSource(lambda _name, _password: Right("fake")), [0.0]
    link = Link(source, DomainPatterns(["*"]), makes_accounts=True)
    monkeypatch.setattr(world.installation.passwords, "links", (link,))
    monkeypatch.setattr(world.installation.verifier._granted_passwords, "_monotonic", lambda: now[0])
    for at, asked in ((0.0, 1), (LIFE_S - 1, 1), (LIFE_S, 2)):
        now[0] = at
        assert isinstance(await world.login("anna", PASSWORD), Granted)
        assert len(source.asked) == asked


async def test_what_was_right_opens_nothing_once_the_account_has_changed(make_world: WorldMaker) -> None:
    def new_password(world: World) -> None:
        from mailauth.vocabulary.secret import Secret

        world.installation.accounts.set_password("anna", Secret(b"another one"), revoke_app_passwords=False)

    def disable(world: World) -> None:
        world.installation.accounts.set_disabled("anna", disabled=True)

    def reach_the_date(world: World) -> None:
        world.clock.advance(days=10)

    for change, reason in (
        (new_password, WhyDenied.PASSWORD_WRONG),
        (disable, WhyDenied.ACCOUNT_DISABLED),
        (reach_the_date, WhyDenied.NOT_ENROLLED),
    ):
        world = make_world(now=CUTOVER - timedelta(days=9))
        world.add("anna")
        assert isinstance(await world.login("anna", PASSWORD), Granted)
        change(world)
        verdict = await world.login("anna", PASSWORD)
        assert isinstance(verdict, Denied)
        assert verdict.reason is reason


async def test_refusal_takes_a_hash_whatever_was_granted_before(make_world: WorldMaker) -> None:
    """Else its time would tell somebody in the same network that a password is right."""
    world = make_world(now=CUTOVER - timedelta(days=9))
    world.add("anna")
    hashes = counting(world)
    await world.login("anna", PASSWORD)
    world.clock.advance(days=10)
    for secret in (PASSWORD, "wrong"):
        before = hashes()
        assert isinstance(await world.login("anna", secret), Denied)
        assert hashes() == before + 1, secret


async def test_nothing_is_remembered_of_the_portal_nor_without_a_client(make_world: WorldMaker) -> None:
    world = make_world(now=CUTOVER - timedelta(days=9))
    world.add("anna")
    hashes = counting(world)
    for count in (1, 2):
        await world.login("anna", PASSWORD, service="portal")
        assert hashes() == 2 * count - 1
        await world.login("anna", PASSWORD, client=None)
        assert hashes() == 2 * count
