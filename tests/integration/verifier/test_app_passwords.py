"""App passwords: what they open, how they end, and what they leave alone (APP1 to APP3)."""

import time
from collections.abc import Coroutine
from datetime import timedelta
from ipaddress import ip_network

import pytest

from mailauth.core import alphabet, app_password
from mailauth.usecases.login import app_password_cache
from mailauth.vocabulary.errors import TooMany
from mailauth.vocabulary.model import Attempt, Credential, Denied, Granted
from mailauth.vocabulary.reasons import WhyDenied, WhyGranted
from mailauth.vocabulary.secret import Secret
from tests.world import World


def attempt(name: str, secret: str) -> Attempt:
    return Attempt(name, Secret(secret.encode()), "imap")


async def forget(world: World) -> None:
    """Let the cache's second pass without waiting for it."""
    world.installation.verifier._app_passwords._cache._entries.clear()


@pytest.mark.parametrize(
    ("services", "opened"),
    [
        ((), {"imap", "pop3", "smtp", "submission", "sieve", "managesieve", "imap2", ""}),
        (("imap",), {"imap"}),
        (("smtp",), {"smtp", "submission"}),
        (("submission",), {"smtp", "submission"}),
        (("sieve", "pop3"), {"sieve", "managesieve", "pop3"}),
    ],
)
async def test_app_password_opens_its_services_and_no_other(
    world: World, services: tuple[str, ...], opened: set[str]
) -> None:
    alice = world.enrol("alice")
    secret = world.installation.app_passwords.make("alice", "phone", services).password
    for service in ("imap", "pop3", "smtp", "submission", "sieve", "managesieve", "portal", "imap2", ""):
        verdict = await world.login("alice", secret, service)
        if service in opened:
            assert verdict == Granted(alice.name, Credential.APP_PASSWORD, WhyGranted.APP_PASSWORD_GIVEN), service
        else:
            assert verdict == Denied(WhyDenied.APP_PASSWORD_SERVICE, alice.name), service


@pytest.mark.parametrize(
    ("client", "passes"),
    [("192.0.2.7", True), ("192.0.3.7", False), ("2001:db8::1", True), ("2001:db9::1", False), (None, False)],
)
async def test_app_password_works_from_its_networks_only(world: World, client: str | None, passes: bool) -> None:
    world.enrol("alice")
    networks = (ip_network("192.0.2.0/24"), ip_network("2001:db8::/64"))
    made = world.installation.app_passwords.make("alice", "printer", networks=networks)
    verdict = await world.login("alice", made.password, client=client)
    assert isinstance(verdict, Granted) is passes
    if not passes:
        assert isinstance(verdict, Denied)
        assert verdict.reason is WhyDenied.APP_PASSWORD_NETWORK


async def test_app_password_ends_at_its_expiry_though_it_was_just_used(world: World) -> None:
    world.enrol("alice")
    ends = world.clock.now + timedelta(days=1)
    secret = world.installation.app_passwords.make("alice", "loan", expires_at=ends).password
    world.clock.now = ends - timedelta(seconds=1)
    assert isinstance(await world.login("alice", secret), Granted)
    world.clock.now = ends
    verdict = await world.login("alice", secret)
    assert isinstance(verdict, Denied)
    assert verdict.reason is WhyDenied.APP_PASSWORD_EXPIRED


@pytest.mark.parametrize("how", ["revoked", "disabled", "removed"])
async def test_app_password_that_is_taken_away_is_out_within_a_second(world: World, how: str) -> None:
    # APP2
    world.enrol("alice")
    made = world.installation.app_passwords.make("alice", "phone")
    assert isinstance(await world.login("alice", made.password), Granted)
    if how == "revoked":
        world.installation.app_passwords.revoke("alice", made.id)
    elif how == "disabled":
        world.installation.accounts.set_disabled("alice", disabled=True)
    else:
        world.installation.accounts.remove("alice")
    gone_at = time.monotonic()
    while isinstance(await world.login("alice", made.password), Granted):
        assert time.monotonic() - gone_at < 1.0
    for name in ("alice", "ALICE"):
        assert isinstance(await world.login(name, made.password), Denied)


async def test_hot_path_asks_neither_the_database_nor_a_hash(world: World) -> None:
    alice = world.enrol("alice")
    secret = world.installation.app_passwords.make("alice", "phone").password
    waiting = world.installation.verifier.decide(attempt("alice", secret))
    assert isinstance(waiting, Coroutine)
    waiting.close()
    await world.login("alice", secret)
    world.installation.database.close()
    world.own_table.pool.close()
    assert world.installation.verifier.decide(attempt("alice", secret)) == Granted(
        alice.name, Credential.APP_PASSWORD, WhyGranted.APP_PASSWORD_GIVEN
    )


@pytest.mark.parametrize("spelling", ["grouped", "spaced", "capitals", "every character"])
async def test_spaces_dashes_and_case_do_not_matter(world: World, spelling: str) -> None:
    world.enrol("alice")
    made = world.installation.app_passwords.make("alice", "phone")
    typed = {
        "grouped": made.shown,
        "spaced": made.shown.replace("-", " "),
        "capitals": made.password.upper(),
        "every character": "-".join(made.password),
    }[spelling]
    assert isinstance(await world.login("alice", typed), Granted)


async def test_app_password_opens_its_own_account_only(world: World) -> None:
    world.enrol("alice")
    world.enrol("bob")
    secret = world.installation.app_passwords.make("alice", "phone").password
    world.installation.accounts.add_alias("alice", "sales")
    assert isinstance(await world.login("sales", secret), Granted)
    for name in ("bob", "nobody"):
        verdict = await world.login(name, secret)
        assert isinstance(verdict, Denied)
        assert verdict.reason is WhyDenied.APP_PASSWORD_UNKNOWN


async def test_right_selector_with_another_secret_is_refused(world: World) -> None:
    world.enrol("alice")
    secret = world.installation.app_passwords.make("alice", "phone").password
    await world.login("alice", secret)
    body = secret[:5] + "".join(alphabet.ALPHABET[(alphabet.ALPHABET.index(c) + 1) % 32] for c in secret[5:21])
    forged = body + app_password._checksum(body.encode())
    assert app_password.recognise(forged.encode()) is not None
    verdict = await world.login("alice", forged)
    assert isinstance(verdict, Denied)
    assert verdict.reason is WhyDenied.APP_PASSWORD_UNKNOWN


async def test_mistyped_app_password_is_no_password_check_that_passes(world: World) -> None:
    world.enrol("alice")
    secret = world.installation.app_passwords.make("alice", "phone").password
    for place in range(24):
        swapped = "b" if secret[place] != "b" else "c"
        assert not isinstance(await world.login("alice", secret[:place] + swapped + secret[place + 1 :]), Granted)
    assert not isinstance(await world.login("alice", secret[:-1]), Granted)
    assert not isinstance(await world.login("alice", secret + "a"), Granted)


async def test_twenty_five_is_the_most_and_revoked_ones_do_not_count(world: World) -> None:
    world.enrol("alice")
    made = [world.installation.app_passwords.make("alice", f"device {number}") for number in range(25)]
    with pytest.raises(TooMany):
        world.installation.app_passwords.make("alice", "one more")
    world.installation.app_passwords.revoke("alice", made[0].id)
    assert isinstance(
        await world.login("alice", world.installation.app_passwords.make("alice", "one more").password), Granted
    )


async def test_guessed_selectors_do_not_grow_the_cache_without_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_password_cache, "MAX_ENTRIES", 50)
    world.enrol("alice")
    secret = world.installation.app_passwords.make("alice", "phone").password
    for number in range(120):
        body = alphabet.spell(number.to_bytes(14, "big"), 21)
        await world.login("alice", body + app_password._checksum(body.encode()))
        assert len(world.installation.verifier._app_passwords._cache._entries) <= 50
    assert isinstance(await world.login("alice", secret), Granted)


async def test_password_change_takes_app_passwords_along_only_if_asked(world: World) -> None:
    world.enrol("alice")
    secret = world.installation.app_passwords.make("alice", "phone").password
    accounts = world.installation.accounts
    accounts.set_password("alice", Secret(b"battery staple"), revoke_app_passwords=False)
    assert isinstance(await world.login("alice", secret), Granted)
    accounts.set_password("alice", Secret(b"staple battery"), revoke_app_passwords=True)
    await forget(world)
    assert isinstance(await world.login("alice", secret), Denied)
