"""One code, one client, by every door that hands on the client's address; and none by saslauthd, which does not."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.talking import Talk, auth
from tests.stack import web_mail
from tests.stack.bursts import Try, over_imap, sources
from tests.stack.clients import ELSEWHERE, HOME
from tests.stack.doors import IN, Door
from tests.stack.every_door.playing import Played, owner_with_code
from tests.stack.every_door.ways import EXIM, POSTFIX_ON_SASLAUTHD, Way, address_of_exim, ways

AT_ONCE = 6
LATER = 3
CLIENTS = 20

on_each_way = pytest.mark.parametrize("played", ways(), indirect=True, ids=str)


def with_an_address(way: Way) -> list[Door]:
    return [door for door in way.doors if door != POSTFIX_ON_SASLAUTHD]


@on_each_way
def test_six_imap_logins_at_once_and_three_later_pass_on_one_typed_secret(played: Played) -> None:
    site = played.site
    owner, typed = owner_with_code(site)
    mail_client = Try(owner.name, typed, HOME)
    assert asyncio.run(over_imap(site, [mail_client] * AT_ONCE)) == [IN] * AT_ONCE, site.log_of(owner.name)
    for _ in range(LATER):
        assert asyncio.run(over_imap(site, [mail_client])) == [IN], site.log_of(owner.name)
    reasons = site.reasons(owner.name, AT_ONCE + LATER)
    assert reasons.count("second-factor-given") == 1
    assert reasons.count("remembered") == AT_ONCE + LATER - 1


@pytest.mark.parametrize(
    ("played", "door"),
    [pytest.param(way, door, id=f"{way}-{door.name}") for way in ways() for door in with_an_address(way)],
    indirect=["played"],
)
def test_several_connections_pass_by_one_door_and_none_from_elsewhere(played: Played, door: Door) -> None:
    site = played.site
    owner, typed = owner_with_code(site)
    with ThreadPoolExecutor(LATER) as pool:
        found = list(pool.map(lambda _: door.login(site, owner.name, typed), range(LATER)))
    assert found == [IN] * LATER, site.log_of(owner.name)
    assert door.login(site, owner.name, typed, ELSEWHERE) == door.refusal()
    assert door.login(site, owner.name, typed) == IN


def of_web_mail(way: Way) -> list[Door]:
    """By Dovecot, and by each server that sends."""
    imap, *_ = way.of_dovecot
    sending = web_mail.over_smtp(way.of_postfix, lambda sandbox: sandbox.postfix_submission)
    exim = web_mail.over_smtp(EXIM, address_of_exim)
    return [imap, *[sending] * (way.of_postfix != POSTFIX_ON_SASLAUTHD), *[exim] * way.exim]


@pytest.mark.parametrize(
    ("played", "door"),
    [pytest.param(way, door, id=f"{way}-{door.name}") for way in ways() for door in of_web_mail(way)],
    indirect=["played"],
)
def test_a_web_mail_host_logs_in_at_every_click(played: Played, door: Door) -> None:
    web_mail.check_a_day(played.site, door)
    web_mail.check_a_break(played.site, door)


@pytest.mark.parametrize("played", [way for way in ways() if way.exim], indirect=True, ids=str)
def test_imap_and_exim_are_one_client(played: Played) -> None:
    owner, typed = owner_with_code(played.site)
    assert asyncio.run(over_imap(played.site, [Try(owner.name, typed, HOME)])) == [IN]
    assert EXIM.login(played.site, owner.name, typed) == IN


@pytest.mark.parametrize("played", [way for way in ways() if way.postfix == "saslauthd"], indirect=True, ids=str)
def test_saslauthd_knows_no_client_and_has_no_memory(played: Played) -> None:
    site = played.site
    owner, typed = owner_with_code(site)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda _: POSTFIX_ON_SASLAUTHD.login(site, owner.name, typed), range(AT_ONCE)))
    assert sorted(found) == [POSTFIX_ON_SASLAUTHD.refusal()] * (AT_ONCE - 1) + [IN], site.log_of(owner.name)
    assert POSTFIX_ON_SASLAUTHD.login(site, owner.name, typed) == POSTFIX_ON_SASLAUTHD.refusal()
    assert "client=" not in site.log_of(owner.name)


@on_each_way
def test_of_twenty_clients_with_one_code_one_passes(played: Played) -> None:
    site = played.site
    owner, typed = owner_with_code(site)
    outcomes = asyncio.run(over_imap(site, [Try(owner.name, typed, source) for source in sources(CLIENTS)]))
    assert outcomes.count(IN) == 1, site.log_of(owner.name)


@pytest.mark.parametrize("played", [way for way in ways() if way.exim], indirect=True, ids=str)
def test_of_several_senders_by_exim_with_one_recovery_code_one_passes(played: Played) -> None:
    site = played.site
    owner = site.enrolled()
    secret = owner.password + owner.recovery_codes()[0]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda source: EXIM.login(site, owner.name, secret, source), sources(AT_ONCE)))
    assert sorted(found) == [EXIM.refusal()] * (AT_ONCE - 1) + [IN], site.log_of(owner.name)


@on_each_way
def test_dovecots_socket_says_fail_to_whoever_asks_as_postfix_does(played: Played) -> None:
    """Never an OK with `nologin`, which Postfix takes for a success."""
    site = played.site
    owner, typed = owner_with_code(site)
    other = site.owner()
    refused = [
        (owner.name, owner.password),
        (owner.name, owner.password + owner.wrong_code()),
        (owner.name, "wrong" + typed),
        (owner.name, owner.app_password("sieve")),
        (other.name, other.password),
        ("nobody@mailitwize.be", "correct horse"),
    ]
    with Talk(site.sandbox.dovecot_auth_socket).introduced() as talk:
        for number, (name, secret) in enumerate(refused, start=1):
            line = auth(number, name, secret, service="smtp", client=HOME)
            talk.send(line.replace(b"\tresp=", b"\tnologin\tresp="))
        replies = talk.lines(len(refused))
    assert all(reply.startswith(b"FAIL\t") for reply in replies), replies
