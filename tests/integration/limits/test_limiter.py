"""The limiter: guesses are counted before they are verified, owners are not locked out (LIM1 to LIM7)."""

import asyncio

import pytest

from mailauth.core import otp
from mailauth.vocabulary.model import Denied, Granted, Unavailable
from mailauth.vocabulary.reasons import WhyDenied, WhyUnavailable
from tests.integration.limits.conftest import DEFAULTS, HOME, THIEF, throttled
from tests.transactions import writing
from tests.world import World, WorldMaker


async def test_exactly_the_burst_of_parallel_guesses_reaches_the_hash(limited: World) -> None:
    """LIM2: 400 at once, each another password, from one address."""
    limited.enrol("alice")
    hashed = 0
    hasher = limited.own_table.hasher
    verify = hasher.verify

    def counting(stored: str | None, password: bytes, name: str = "", default_scheme: str = "") -> bool:
        nonlocal hashed
        hashed += 1
        return verify(stored, password)

    hasher.verify = counting  # type: ignore[method-assign]
    verdicts = await asyncio.gather(*(limited.login("alice", f"guess{n}", client=THIEF) for n in range(400)))
    assert hashed == 60, "what one address may cost"
    assert sum(throttled(verdict) for verdict in verdicts) == 380, "of what was hashed, 20 guesses are answered"


async def test_one_more_is_admitted_after_each_interval(limited: World) -> None:
    limited.enrol("alice")
    for n in range(20):
        assert not throttled(await limited.login("alice", f"guess{n}", client=THIEF))
    assert throttled(await limited.login("alice", "guess20", client=THIEF))
    limited.clock.advance(seconds=119)
    assert throttled(await limited.login("alice", "guess21", client=THIEF))
    limited.clock.advance(seconds=2)
    assert not throttled(await limited.login("alice", "guess22", client=THIEF))
    assert throttled(await limited.login("alice", "guess23", client=THIEF))


async def test_strangers_everywhere_do_not_lock_the_owner_out(limited: World) -> None:
    """LIM1: neither at home, nor abroad with both factors, nor a device with an app password."""
    alice = limited.enrol("alice")
    device = limited.installation.app_passwords.make("alice", "phone")
    assert isinstance(await limited.login("alice", alice.password + alice.code(limited.clock()), client=HOME), Granted)
    answers = [await limited.login("alice", f"guess{n}", client=f"198.51.{n // 200}.{n % 200}") for n in range(300)]
    assert sum(not throttled(answer) for answer in answers) == 50
    limited.clock.advance(seconds=30)
    secret = alice.password + alice.code(limited.clock())
    assert throttled(await limited.login("alice", alice.password, client="203.0.113.1"))
    assert isinstance(await limited.login("alice", secret, client="203.0.113.1"), Granted)
    limited.clock.advance(seconds=30)
    secret = alice.password + alice.code(limited.clock())
    assert isinstance(await limited.login("alice", secret, client=HOME), Granted)
    assert isinstance(await limited.login("alice", device.password, client="203.0.113.1"), Granted)


async def test_recovery_code_works_where_strangers_used_up_the_accounts_limit(limited: World) -> None:
    limited.enrol("alice")
    _, codes = limited.installation.recovery_codes.issue("alice")
    for n in range(60):
        await limited.login("alice", f"guess{n}", client=f"198.51.100.{n}")
    verdict = await limited.login("alice", "correct horse" + codes[0], client="203.0.113.1")
    assert isinstance(verdict, Granted)


async def test_strangers_have_fewer_than_a_hundred_guesses_in_thirty_days(limited: World) -> None:
    """LIM1: one try from a new address every twenty minutes."""
    limited.add("alice")
    admitted = 0
    for n in range(30 * 72):
        limited.clock.advance(minutes=20)
        verdict = await limited.login("alice", f"guess{n}", client=f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}")
        admitted += not throttled(verdict)
    assert admitted <= 100


async def test_wrong_codes_with_the_right_password_are_capped_whatever_succeeds_between(limited: World) -> None:
    """LIM7: a thief with the password has 50 tries and 50 more in 30 days; the owner's logins do not reset them."""
    alice = limited.enrol("alice")
    tried = 0
    for n in range(200):
        limited.clock.advance(hours=3)
        owner = await limited.login("alice", alice.password + alice.code(limited.clock()), client=HOME)
        assert isinstance(owner, Granted)
        wrong = f"{(int(alice.code(limited.clock())) + 1 + n) % 1_000_000:06}"
        if wrong in {alice.code(limited.clock(), step) for step in (-1, 0, 1)}:
            continue
        tried += not throttled(await limited.login("alice", alice.password + wrong, client=f"198.51.100.{n}"))
    assert 50 <= tried <= 100


async def test_stale_device_with_an_old_password_is_counted_once(limited: World) -> None:
    alice = limited.enrol("alice")
    for n in range(50):
        verdict = await limited.login("alice", "the old password", client=f"203.0.113.{n}")
        assert verdict.reason is WhyDenied.PASSWORD_WRONG
    secret = alice.password + alice.code(limited.clock())
    assert isinstance(await limited.login("alice", secret, client="203.0.113.200"), Granted)


async def test_repeated_wrong_code_is_a_new_guess_each_time(limited: World) -> None:
    """A code that is wrong now comes true in some later step; sending it for ever must not be free."""
    alice = limited.enrol("alice")
    good = {alice.code(limited.clock(), step) for step in range(-3, 4)}
    wrong = next(f"{n:06}" for n in range(20) if f"{n:06}" not in good)
    verdicts = [await limited.login("alice", alice.password + wrong, client=f"198.51.100.{n}") for n in range(60)]
    assert sum(not throttled(verdict) for verdict in verdicts) == 50


async def test_repeats_are_limited_too(limited: World) -> None:
    limited.add("alice")
    verdicts = [await limited.login("alice", "old", client=THIEF) for _ in range(100)]
    assert sum(not throttled(verdict) for verdict in verdicts) == 60 + 20, "beyond their own limit they are guesses"


async def test_success_costs_nothing(limited: World) -> None:
    alice = limited.enrol("alice")
    for _ in range(100):
        limited.clock.advance(seconds=30)
        secret = alice.password + alice.code(limited.clock())
        assert isinstance(await limited.login("alice", secret, client="203.0.113.1"), Granted)


async def test_one_source_is_limited_over_all_accounts(limited: World) -> None:
    for n in range(100):
        verdict = await limited.login(f"user{n}", "guess", client=THIEF)
        assert throttled(verdict) == (n >= 60)


async def test_ipv6_is_limited_by_64_and_by_48(make_world: WorldMaker) -> None:
    world = make_world(*DEFAULTS, "limits.source_burst=5", "limits.site_burst=8")
    for n in range(10):
        assert throttled(await world.login(f"a{n}", "guess", client=f"2001:db8:0:1::{n:x}")) == (n >= 5)
    for n in range(5):
        assert throttled(await world.login(f"b{n}", "guess", client="2001:db8:0:2::1")) == (n >= 3)


async def test_trusted_network_has_no_limit_by_address(make_world: WorldMaker) -> None:
    world = make_world(*DEFAULTS, 'limits.trusted_networks=["203.0.113.0/28"]')
    for n in range(100):
        assert not throttled(await world.login(f"user{n}", "guess", client="203.0.113.3"))


async def test_every_spelling_of_a_name_is_charged_to_one_meter(limited: World) -> None:
    """LIM3."""
    limited.add("alice")
    limited.installation.accounts.add_alias("alice", "al")
    names = ("alice", "ALICE", "alice@mailitwize.be", " Alice@MAILITWIZE.BE ", "al")
    verdicts = [await limited.login(names[n % 5], f"guess{n}", client=THIEF) for n in range(40)]
    assert sum(not throttled(verdict) for verdict in verdicts) == 20


async def test_services_share_the_limiter(limited: World) -> None:
    """LIM4."""
    limited.add("alice")
    services = ("imap", "pop3", "smtp", "submission", "sieve", "portal")
    verdicts = [await limited.login("alice", f"guess{n}", services[n % 6], THIEF) for n in range(40)]
    assert sum(not throttled(verdict) for verdict in verdicts) == 20


async def test_unknown_accounts_are_throttled_alike(limited: World) -> None:
    limited.enrol("alice")
    for name in ("alice", "nobody"):
        verdicts = [await limited.login(name, f"guess{n}", client=THIEF) for n in range(25)]
        assert [throttled(verdict) for verdict in verdicts] == [False] * 20 + [True] * 5
        limited.clock.advance(hours=2)


async def test_set_back_clock_leaves_no_limit_used_up_for_ever(limited: World) -> None:
    """F5."""
    limited.add("alice")
    limited.clock.advance(days=365)
    for n in range(30):
        await limited.login("alice", f"guess{n}", client=THIEF)
    limited.clock.advance(days=-365)
    await limited.login("alice", "guess30", client=THIEF)
    limited.clock.advance(days=51)
    assert not throttled(await limited.login("alice", "guess31", client=THIEF))


async def test_what_cannot_be_counted_is_not_allowed(limited: World) -> None:
    """LIM5: the limiter's table is gone, everything else is there."""
    from sqlalchemy import text

    alice = limited.enrol("alice")
    with writing(limited.installation.database) as connection:
        connection.execute(text("DROP TABLE limiter"))
    verdict = await limited.login("alice", alice.password + alice.code(limited.clock()))
    assert verdict == Unavailable(WhyUnavailable.STORE_UNAVAILABLE, alice.name)


async def test_stored_password_with_an_old_code_bans_nobody(make_world: WorldMaker) -> None:
    """A mail client that has stored what was accepted sends it for weeks, six times at each look for mail."""
    world = make_world(*DEFAULTS, "login_memory.life_s=600")
    alice = world.enrol("alice")
    stored = alice.password + alice.code(world.clock())
    assert isinstance(await world.login("alice", stored, client=HOME), Granted)
    for _ in range(200):
        world.clock.advance(minutes=10)
        for _ in range(6):
            verdict = await world.login("alice", stored, client=HOME)
            assert verdict.reason is WhyDenied.CODE_REPLAYED_BY_SAME_CLIENT or throttled(verdict), verdict
    secret = alice.password + alice.code(world.clock())
    assert isinstance(await world.login("alice", secret, client=HOME), Granted)
    assert isinstance(await world.login("alice", stored, client="203.0.113.8"), Denied)


async def test_string_that_was_accepted_once_never_passes_again(
    limited: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be a guess that is not counted: its six digits come true in some later step."""
    alice = limited.enrol("alice")
    stored = alice.password + alice.code(limited.clock())
    assert isinstance(await limited.login("alice", stored, client=HOME), Granted)
    limited.clock.advance(minutes=30)
    monkeypatch.setattr(otp, "code_at", lambda _seed, _step, *_: stored[-6:])  # the code comes true again
    for client in (HOME, THIEF, None):
        assert isinstance(await limited.login("alice", stored, client=client), Denied)
    other = "another" + stored[len(alice.password) :]
    assert (await limited.login("alice", other, client=HOME)).reason is WhyDenied.PASSWORD_WRONG


async def test_who_shares_a_trusted_host_with_the_owner_is_counted_as_a_stranger(make_world: WorldMaker) -> None:
    """LIM1: the owner has logged in by the web mail; others there guess at most 80 times in 30 days."""
    world = make_world(*DEFAULTS, 'limits.trusted_networks=["203.0.113.3/32"]')
    alice = world.enrol("alice")
    for client in ("203.0.113.3", None):
        world.clock.advance(minutes=5)
        secret = alice.password + alice.code(world.clock())
        assert isinstance(await world.login("alice", secret, client=client), Granted)
        verdicts = [await world.login("alice", f"guess{n} {client}", client=client) for n in range(100)]
        assert sum(not throttled(verdict) for verdict in verdicts) == 50


@pytest.mark.parametrize("shape", ["{n}", "{n}123456", "{n}k7qm-2xvp-9hfd-c3wn"])
async def test_meters_do_not_tell_who_is_enrolled(limited: World, shape: str) -> None:
    """ENU1: unknown, not enrolled and enrolled accounts are throttled after the same number of tries."""
    limited.enrol("alice")
    limited.add("carol")
    admitted = {}
    for name in ("alice", "carol", "nobody"):
        verdicts = [
            await limited.login(name, "guess" + shape.format(n=n), client=f"198.51.100.{n}") for n in range(70)
        ]
        admitted[name] = sum(not throttled(verdict) for verdict in verdicts)
    assert len(set(admitted.values())) == 1, admitted
