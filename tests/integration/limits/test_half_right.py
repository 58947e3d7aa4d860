"""One right factor gets nobody the other one, however full the account is (requirements LIM1, LIM7, ENU1)."""

from sqlalchemy import event

from mailauth.vocabulary.model import Denied, Granted
from mailauth.vocabulary.reasons import WhyDenied
from mailauth.vocabulary.secret import Secret
from tests.integration.limits.conftest import DEFAULTS, HOME, THIRD, throttled, use_up_the_accounts_limit
from tests.world import World, WorldMaker


def count_hashes(world: World) -> list[bytes]:
    """Return a list that grows with each password that is hashed."""
    hashed: list[bytes] = []
    source = world.own_table
    verify = source.hasher.verify

    def counted(stored: str | None, password: bytes, name: str = "", default_scheme: str = "") -> bool:
        hashed.append(password)
        return verify(stored, password)

    source.hasher.verify = counted  # type: ignore[method-assign]
    return hashed


async def test_whoever_has_the_second_factor_cannot_guess_on_at_the_password(limited: World) -> None:
    """A stolen phone, or recovery codes that were read in the mailbox: fifty passwords at a full account."""
    alice = limited.enrol("alice")
    _, codes = limited.installation.recovery_codes.issue("alice")
    await use_up_the_accounts_limit(limited)
    for n in range(60):
        verdict = await limited.login("alice", f"guess {n}{codes[0]}", client=f"203.0.113.{n}")
        assert throttled(verdict), verdict
    assert throttled(await limited.login("alice", alice.password + codes[0], client="203.0.113.99"))
    for n in range(60):
        limited.clock.advance(seconds=1)
        verdict = await limited.login("alice", f"guess {n}" + alice.code(limited.clock()), client=f"203.0.114.{n}")
        assert throttled(verdict), verdict
    limited.clock.advance(seconds=30)
    right = alice.password + alice.code(limited.clock())
    assert throttled(await limited.login("alice", right, client="203.0.113.99"))
    limited.installation.accounts.set_password("alice", Secret(b"quite another"), revoke_app_passwords=False)
    limited.clock.advance(seconds=30)
    right = "quite another" + alice.code(limited.clock())
    assert isinstance(await limited.login("alice", right, client=HOME), Granted), "a change ends what was counted"


async def test_used_up_limit_of_factors_does_the_same_work_for_every_password(limited: World) -> None:
    """Else its time, a durable write for instance, would name the right one."""
    alice = limited.enrol("alice")
    await use_up_the_accounts_limit(limited)
    for n in range(55):
        limited.clock.advance(seconds=1)
        await limited.login("alice", f"guess {n}" + alice.code(limited.clock()), client=f"203.0.113.{n}")
    work: list[str] = []

    def seen(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        work.append(statement)

    event.listen(limited.installation.database.engine, "before_cursor_execute", seen)
    done = []
    for n, password in enumerate(("another horse", alice.password, "a third horse")):
        limited.clock.advance(seconds=30)
        work.clear()
        code = alice.code(limited.clock())
        assert throttled(await limited.login("alice", password + code, client=f"203.0.114.{n}"))
        done.append(list(work))
    assert done[0] == done[1] == done[2]


async def test_device_and_strangers_do_not_use_up_the_codes(limited: World) -> None:
    """A code that was wrong once is not judged again, told or not."""
    alice = limited.enrol("alice")
    await use_up_the_accounts_limit(limited)
    for _ in range(60):
        limited.clock.advance(seconds=60)
        assert throttled(await limited.login("alice", alice.password + "000000", client=HOME))
    limited.clock.advance(seconds=30)
    right = alice.password + alice.code(limited.clock())
    assert isinstance(await limited.login("alice", right, client=THIRD), Granted)


async def test_used_up_codes_do_not_tell_that_a_password_is_right(limited: World) -> None:
    """Neither by the answer, nor by the work: the same candidate with many codes, right or wrong."""
    limited.enrol("alice")
    await use_up_the_accounts_limit(limited)
    hashed = count_hashes(limited)
    for password in ("correct horse", "another horse"):
        for n in range(55):
            client = f"203.0.{n}.{len(password)}"
            assert throttled(await limited.login("alice", f"{password}{n:06}", client=client))
        before = len(hashed)
        assert throttled(await limited.login("alice", f"{password}999999", client=f"203.0.99.{len(password)}"))
        assert len(hashed) == before + 1, password


async def test_used_up_codes_are_refused_like_every_wrong_login(make_world: WorldMaker) -> None:
    """While the account is not full: no other answer for a right password."""
    world = make_world(*DEFAULTS, "limits.account_burst=1000", "limits.account_and_source_burst=1000")
    alice = world.enrol("alice")
    for n in range(55):
        assert isinstance(await world.login("alice", f"{alice.password}{n:06}", client=THIRD), Denied)
    right = await world.login("alice", alice.password + alice.code(world.clock()), client=THIRD)
    assert right.reason is WhyDenied.CODE_NOT_JUDGED
    assert isinstance(right, Denied)
    assert isinstance(await world.login("alice", "another horse999999", client=THIRD), Denied)


async def test_new_password_gives_the_owner_the_codes_back(limited: World) -> None:
    """A thief with the old one has used them up; the new one makes home unfamiliar for a moment."""
    alice = limited.enrol("alice")
    assert isinstance(await limited.login("alice", alice.password + alice.code(limited.clock()), client=HOME), Granted)
    for n in range(60):
        await limited.login("alice", f"{alice.password}{n:06}", client=f"198.51.100.{n}")
    limited.installation.accounts.set_password("alice", Secret(b"quite another"), revoke_app_passwords=False)
    for client in (HOME, THIRD):
        limited.clock.advance(seconds=30)
        right = "quite another" + alice.code(limited.clock())
        assert isinstance(await limited.login("alice", right, client=client), Granted), client


async def test_stale_devices_use_up_no_address_while_strangers_keep_the_account_full(limited: World) -> None:
    """What they send was never told to be wrong; it costs what a repetition costs all the same."""
    alice = limited.enrol("alice")
    limited.installation.accounts.set_password("alice", Secret(b"quite another"), revoke_app_passwords=False)
    await use_up_the_accounts_limit(limited)
    for n in range(120):
        limited.clock.advance(seconds=30)
        for old in ("correct horse", "an older password"):
            assert throttled(await limited.login("alice", old, client=HOME)), n
    right = "quite another" + alice.code(limited.clock())
    assert isinstance(await limited.login("alice", right, client=HOME), Granted)


async def test_others_of_a_48_keep_nobody_out_who_gives_both_factors_at_home(limited: World) -> None:
    alice = limited.enrol("alice")
    home = "2001:db8:0:1::1"
    right = alice.password + alice.code(limited.clock())
    assert isinstance(await limited.login("alice", right, client=home), Granted)
    for n in range(620):
        await limited.login(f"somebody{n}", "guess", client=f"2001:db8:0:{2 + n % 40:x}::1")
    assert throttled(await limited.login("alice", "guess", client="2001:db8:0:99::1"))
    limited.clock.advance(seconds=30)
    right = alice.password + alice.code(limited.clock())
    assert isinstance(await limited.login("alice", right, client=home), Granted)
