"""One code presented by twenty at once, from twenty addresses, opens one door once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.rounds import rounds
from tests.stack.bursts import Try, over_imap, over_socket, sources
from tests.stack.doors import DOORS, IN, Door
from tests.stack.people import AFTER, Owner, Site
from tests.stack.ways import EXIM, every_way, main_ways, on_each_dovecot, on_each_main_dovecot, on_the_first, params

AT_ONCE = 20
ROUNDS_OVER_THE_SOCKET = 40
ROUNDS_OVER_DOVECOT = 5
AT_ONCE_OVER_EXIM = 6


def password_and_code(owner: Owner) -> str:
    return owner.typed()


def password_and_recovery_code(owner: Owner) -> str:
    return owner.password + owner.recovery_codes()[0]


each_kind = pytest.mark.parametrize("presented", [password_and_code, password_and_recovery_code])


def burst(site: Site, presented: Callable[[Owner], str]) -> list[Try]:
    owner = site.enrolled()
    secret = presented(owner)
    return [Try(owner.name, secret, source) for source in sources(AT_ONCE)]


@on_the_first
@each_kind
def test_of_twenty_over_mailauths_socket_one_passes(site: Site, presented: Callable[[Owner], str]) -> None:
    for _ in rounds(ROUNDS_OVER_THE_SOCKET):
        tries = burst(site, presented)
        name = tries[0].name
        replies = sorted(over_socket(site.sandbox.auth_socket, tries))
        refused = f"FAIL\t1\tuser={name}\treason=[ALERT] {AFTER}".encode()
        assert replies == [*[refused] * (AT_ONCE - 1), f"OK\t1\tuser={name}".encode()], site.log_of(name)


@on_each_main_dovecot
@each_kind
def test_of_twenty_over_dovecots_socket_one_passes(site: Site, presented: Callable[[Owner], str]) -> None:
    for _ in rounds(1):
        bursts = [burst(site, presented) for _ in range(ROUNDS_OVER_DOVECOT)]
        replies = over_socket(site.sandbox.dovecot_auth_socket, [each for tries in bursts for each in tries])
        for number, tries in enumerate(bursts):
            own = replies[number * AT_ONCE : (number + 1) * AT_ONCE]
            words = sorted(reply.split(b"\t")[0] for reply in own)
            assert words == [*[b"FAIL"] * (AT_ONCE - 1), b"OK"], (own, site.log_of(tries[0].name))


@on_each_dovecot
@each_kind
def test_of_twenty_imap_clients_one_passes(site: Site, presented: Callable[[Owner], str]) -> None:
    imap, *_ = site.way.of_dovecot
    for _ in rounds(ROUNDS_OVER_DOVECOT if site.way in main_ways() else 1):
        tries = burst(site, presented)
        outcomes = asyncio.run(over_imap(site, tries))
        name = tries[0].name
        assert sorted(outcomes) == sorted([*[imap.refusal()] * (AT_ONCE - 1), IN]), site.log_of(name)


@pytest.mark.parametrize("played", params(way for way in every_way() if way.exim), indirect=True)
def test_of_several_senders_by_exim_with_one_recovery_code_one_passes(site: Site) -> None:
    owner = site.enrolled()
    secret = password_and_recovery_code(owner)
    with ThreadPoolExecutor(AT_ONCE_OVER_EXIM) as pool:
        found = list(pool.map(lambda source: EXIM.login(site, owner.name, secret, source), sources(AT_ONCE_OVER_EXIM)))
    assert sorted(found) == [EXIM.refusal()] * (AT_ONCE_OVER_EXIM - 1) + [IN], site.log_of(owner.name)


@on_each_main_dovecot
def test_a_code_that_loses_a_race_is_logged_as_a_replay(site: Site) -> None:
    tries = burst(site, password_and_code)
    asyncio.run(over_imap(site, tries))
    reasons = site.reasons(tries[0].name, AT_ONCE)
    assert sorted(reasons) == [*["code-replayed"] * (AT_ONCE - 1), "second-factor-given"]


def test_one_code_at_all_doors_at_once_opens_one_of_them(site: Site) -> None:
    for _ in rounds(1):
        found = at_all_doors_twice_at_once(site, site.enrolled())
        refused = [words for door, words in found if words == door.refusal()]
        let_in = [words for _, words in found if words == IN]
        assert (len(let_in), len(refused)) == (1, len(found) - 1), found


def at_all_doors_twice_at_once(site: Site, owner: Owner) -> list[tuple[Door, str]]:
    """Try one code from as many addresses."""
    typed = owner.typed()
    doors = DOORS * 2
    with ThreadPoolExecutor(len(doors)) as pool:
        words = pool.map(lambda door, source: door.login(site, owner.name, typed, source), doors, sources(len(doors)))
        return list(zip(doors, words, strict=True))
