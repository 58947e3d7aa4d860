"""The simulation answers as an installation does: the same logins, the same answers."""

import random
from datetime import timedelta

from mailauth.vocabulary.model import Denied, Granted, Verdict
from tests.integration.limits.conftest import DEFAULTS
from tests.simulation.model import Site, String, Tail
from tests.world import World, WorldMaker

CLIENTS = ["192.0.2.7", "192.0.2.8", "2001:db8:0:1::1", "2001:db8:0:2::1"]


def answer(verdict: Verdict) -> str:
    return {Granted: "granted", Denied: "refused"}.get(type(verdict), "throttled")


async def test_simulation_answers_as_an_installation_does(make_world: WorldMaker) -> None:
    for seed in range(3):
        world = make_world(*DEFAULTS)
        await _play(world, Site(now=world.clock()), random.Random(seed))


async def _play(world: World, site: Site, dice: random.Random) -> None:
    alice = world.enrol("alice")
    site.change_account()
    stored: dict[str, String] = {}
    for number in range(250):
        seconds = dice.choice([0, 0, 1, 30, 120, 7200])
        world.clock.advance(seconds=seconds)
        site.pass_by(seconds)
        client = dice.choice(CLIENTS)
        text = f"wrong {number}"
        string = String(text)
        match dice.choice(["wrong", "wrong", "wrong with code", "code", "code", "right", "bare", "again", "again"]):
            case "wrong with code":
                text = f"wrong {number}{number:06}"
                string = String(text, tail=Tail.WRONG_CODE)
            case "code":
                wrong = f"{(int(alice.code(world.clock())) + 500_000 + number) % 1_000_000:06}"
                string = String(text := alice.password + wrong, password_is_right=True, tail=Tail.WRONG_CODE)
            case "right":
                world.clock.advance(seconds=90)  # into a step that nothing was spent of
                site.pass_by(90)
                text = alice.password + alice.code(world.clock())
                string = String(text, password_is_right=True, tail=Tail.RIGHT_CODE)
            case "bare":
                string = String(text := alice.password, password_is_right=True)
            case "again" if stored:
                text, string = dice.choice(list(stored.items()))
                string = _over(string)
        string = String(text, string.password_is_right, string.tail)
        stored[text] = string
        found = answer(await world.login("alice", text, client=client))
        assert found == site.login(client, string), (number, string, client, timedelta(seconds=seconds))


def _over(string: String) -> String:
    """Return how a string reads that was shown before: its code is spent or wrong by now."""
    return String(
        string.text, string.password_is_right, Tail.NOTHING if string.tail is Tail.NOTHING else Tail.WRONG_CODE
    )
