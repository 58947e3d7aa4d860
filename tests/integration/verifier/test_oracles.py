"""The limiter and the memory must not tell what the reply does not: whether an account exists, or a password is right.

A throttled login is seen to be one, so when it comes must depend on what the guesser did alone (ENU1, ENU3).
"""

import asyncio
import base64
import threading
from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_address

import pytest

from mailauth.core import engine
from mailauth.vocabulary.model import Ask, Attempt, Denied, Granted, Unavailable, Verdict
from mailauth.vocabulary.reasons import WhyUnavailable
from mailauth.vocabulary.secret import Secret
from tests.world import CUTOVER, Person, World, WorldMaker

AS_SHIPPED = (
    "limits.source_burst=60",
    "limits.site_burst=600",
    "limits.account_and_source_burst=20",
    "limits.account_burst=50",
    "limits.code_burst=50",
    "limits.repeat_burst=60",
)


@pytest.fixture
def limited(make_world: WorldMaker) -> World:
    """Give a world with the limits that are shipped."""
    return make_world(*AS_SHIPPED)


def is_throttled(verdict: Verdict) -> bool:
    return isinstance(verdict, Unavailable) and verdict.reason is WhyUnavailable.THROTTLED


async def denials_before_throttled(world: World, name: str, secrets: Callable[[int], str]) -> int:
    """Return how many wrong logins in a row get a denial."""
    for number in range(200):
        verdict = await world.login(name, secrets(number))
        if is_throttled(verdict):
            return number
        assert isinstance(verdict, Denied), verdict
    return 200


SHAPES: dict[str, Callable[[int], str]] = {
    "the same tail": lambda n: "",
    "the same code": lambda n: "000000",
    "other codes": lambda n: f"{n + 1:06}",
    "the same recovery code": lambda n: "zzzz-2222-zzzz-2222",
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_throttling_does_not_tell_whether_a_password_is_right(make_world: WorldMaker, shape: str) -> None:
    counts = {}
    for password in ("correct horse", "another horse"):
        world = make_world(*AS_SHIPPED)
        world.enrol("alice")
        counts[password] = await denials_before_throttled(world, "alice", lambda n: password + SHAPES[shape](n))  # noqa: B023
    assert len(set(counts.values())) == 1, counts


@pytest.mark.parametrize("shape", ["the same tail", "the same code", "other codes"])
async def test_throttling_does_not_tell_what_state_an_account_is_in(make_world: WorldMaker, shape: str) -> None:
    counts = {}
    for state in ("unknown", "not enrolled", "enrolled", "disabled"):
        world = make_world(*AS_SHIPPED)
        if state == "not enrolled":
            world.add("alice")
        elif state != "unknown":
            world.enrol("alice")
        if state == "disabled":
            world.installation.accounts.set_disabled("alice", disabled=True)
        counts[state] = await denials_before_throttled(world, "alice", lambda n: "another horse" + SHAPES[shape](n))
    assert len(set(counts.values())) == 1, counts


async def test_grant_for_which_nobody_proved_anything_does_not_make_a_network_familiar(
    make_world: WorldMaker,
) -> None:
    # Where a PAM module behind ours checks the password, and no second factor is due yet.
    world = make_world(*AS_SHIPPED, now=CUTOVER - timedelta(days=1))
    world.add("alice")
    stranger = Attempt("alice", Secret(b"any"), "imap", ip_address("203.0.113.9"), ask=Ask.SECOND_FACTOR)
    assert isinstance(await world.installation.verifier.verify(stranger), Granted)
    for number in range(60):
        await world.login("alice", f"wrong {number}", client=f"198.51.100.{number}")
    assert is_throttled(await world.login("alice", "wrong again", client="203.0.113.9"))


async def test_memory_of_an_older_state_grants_nothing(make_world: WorldMaker) -> None:
    """Two logins of one client at once, and the password changes before the second is settled."""
    world = make_world("login_memory.life_s=600")
    alice = world.enrol("alice")
    secret = alice.password + alice.code(world.clock())
    decide = engine.decide
    verdicts: list[Verdict] = []

    def decide_late(*evidence: object) -> engine.Decision:
        """Let the other login be granted, and the password be changed, while this one is being decided."""
        decision = decide(*evidence)  # type: ignore[arg-type]
        patch.setattr(engine, "decide", decide)

        def other() -> None:
            verdicts.append(asyncio.run(world.login("alice", secret)))
            world.installation.accounts.set_password("alice", Secret(b"changed"), revoke_app_passwords=False)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        return decision

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "decide", decide_late)
        late = await world.login("alice", secret)
    assert isinstance(verdicts[0], Granted)
    assert isinstance(late, Denied), late


async def test_reset_account_does_not_live_on_in_the_memory(make_world: WorldMaker) -> None:
    world = make_world("login_memory.life_s=600")
    alice = world.enrol("alice")
    secret = alice.password + alice.code(world.clock())
    assert isinstance(await world.login("alice", secret), Granted)
    world.installation.accounts.remove("alice")
    again = world.add("alice")
    seed = base64.b32decode(world.installation.enrolment.begin("alice").secret)
    person = Person(again.name, again.password, seed)
    world.installation.enrolment.confirm("alice", Secret(person.code(world.clock(), -1).encode()))
    assert isinstance(await world.login("alice", secret), Denied)
