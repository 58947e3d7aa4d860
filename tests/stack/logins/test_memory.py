"""One code, one client: a client's several connections pass on one typed string, and nobody else's do.

By every door that hands on the client's address; and none by saslauthd, which does not.
"""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.talking import Talk
from tests.stack import clients, web_mail
from tests.stack.bursts import Try, over_imap
from tests.stack.clients import ELSEWHERE, HOME
from tests.stack.doors import IMAP, IN, POSTFIX, SIEVE, SUBMISSION, Door
from tests.stack.people import Site
from tests.stack.ways import (
    EXIM,
    POSTFIX_ON_SASLAUTHD,
    Way,
    address_of_exim,
    every_way,
    on_each_dovecot,
    on_the_first,
    params,
    params_with,
)

AT_ONCE = 6
LATER = 3


def test_thunderbirds_connections_and_its_smtp_pass_on_one_typed_secret(site: Site) -> None:
    owner = site.enrolled()
    typed = owner.typed()

    async def at_once(count: int) -> list[clients.Login]:
        tries = (clients.imap_login(site.sandbox.imap, owner.name, typed) for _ in range(count))
        return await asyncio.gather(*tries)

    assert all(asyncio.run(at_once(2)))
    for door in (IMAP, IMAP, IMAP, POSTFIX, SUBMISSION, SIEVE):
        assert door.login(site, owner.name, typed) == IN, door.name
    assert site.reasons(owner.name, 8) == ["second-factor-given", *["remembered"] * 7]


@on_each_dovecot
def test_six_imap_logins_at_once_and_three_later_pass_on_one_typed_secret(site: Site) -> None:
    owner = site.enrolled()
    mail_client = Try(owner.name, owner.typed(), HOME)
    assert asyncio.run(over_imap(site, [mail_client] * AT_ONCE)) == [IN] * AT_ONCE, site.log_of(owner.name)
    for _ in range(LATER):
        assert asyncio.run(over_imap(site, [mail_client])) == [IN], site.log_of(owner.name)
    reasons = site.reasons(owner.name, AT_ONCE + LATER)
    assert reasons.count("second-factor-given") == 1
    assert reasons.count("remembered") == AT_ONCE + LATER - 1


def with_an_address(way: Way) -> list[Door]:
    return [door for door in way.doors if door != POSTFIX_ON_SASLAUTHD]


@pytest.mark.parametrize(("played", "door"), params_with(every_way(), with_an_address), indirect=["played"])
def test_several_connections_pass_by_one_door_and_none_from_elsewhere(site: Site, door: Door) -> None:
    owner = site.enrolled()
    typed = owner.typed()
    with ThreadPoolExecutor(LATER) as pool:
        found = list(pool.map(lambda _: door.login(site, owner.name, typed), range(LATER)))
    assert found == [IN] * LATER, site.log_of(owner.name)
    assert door.login(site, owner.name, typed, ELSEWHERE) == door.refusal()
    assert door.login(site, owner.name, typed) == IN


@pytest.mark.parametrize("played", params(way for way in every_way() if way.exim), indirect=True)
def test_imap_and_exim_are_one_client(site: Site) -> None:
    owner = site.enrolled()
    typed = owner.typed()
    assert IMAP.login(site, owner.name, typed) == IN
    assert EXIM.login(site, owner.name, typed) == IN


@pytest.mark.parametrize("played", params(way for way in every_way() if way.postfix == "saslauthd"), indirect=True)
def test_saslauthd_knows_no_client_and_has_no_memory(site: Site) -> None:
    owner = site.enrolled()
    typed = owner.typed()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda _: POSTFIX_ON_SASLAUTHD.login(site, owner.name, typed), range(AT_ONCE)))
    assert sorted(found) == [POSTFIX_ON_SASLAUTHD.refusal()] * (AT_ONCE - 1) + [IN], site.log_of(owner.name)
    assert POSTFIX_ON_SASLAUTHD.login(site, owner.name, typed) == POSTFIX_ON_SASLAUTHD.refusal()
    assert "client=" not in site.log_of(owner.name)


@pytest.mark.parametrize("door", [IMAP, POSTFIX], ids=lambda door: door.name)
def test_the_same_string_from_another_address_is_a_replay(site: Site, door: Door) -> None:
    owner = site.enrolled()
    typed = owner.typed()
    assert door.login(site, owner.name, typed, HOME) == IN
    assert door.login(site, owner.name, typed, ELSEWHERE) == door.refusal()
    assert door.login(site, owner.name, typed, HOME) == IN
    assert site.reasons(owner.name, 3) == ["second-factor-given", "code-replayed", "remembered"]


@on_the_first
def test_a_part_of_what_is_remembered_opens_nothing(site: Site) -> None:
    owner = site.enrolled()
    typed = owner.typed()
    assert IMAP.login(site, owner.name, typed) == IN
    code = typed.removeprefix(owner.password)
    parts = [owner.password, code, typed[:-1], typed[1:], f"{owner.password} {code}", typed + code, typed.upper()]
    with ThreadPoolExecutor(len(parts)) as pool:
        found = list(pool.map(lambda part: IMAP.login(site, owner.name, part), parts))
    assert found == [IMAP.refusal()] * len(parts), site.log_of(owner.name)
    assert not clients.imap(site.sandbox.imap, owner.name, "")


@on_the_first
def test_the_memory_of_one_account_does_not_serve_another(site: Site) -> None:
    password = f"shared {secrets.token_hex(8)}"
    one, other = site.enrolled(password), site.enrolled(password)
    typed = one.typed()
    assert IMAP.login(site, one.name, typed) == IN
    assert IMAP.login(site, other.name, typed) == IMAP.refusal()


@on_the_first
def test_a_mail_client_opens_no_portal(site: Site) -> None:
    owner = site.enrolled()
    typed = owner.typed()
    assert IMAP.login(site, owner.name, typed) == IN
    with Talk(site.sandbox.auth_socket) as talk:
        assert talk.introduced().login(owner.name, typed, service="portal", client=HOME).startswith(b"FAIL\t")
    assert site.reasons(owner.name, 1) == ["second-factor-given"]


@on_the_first
def test_a_change_of_password_voids_the_memory(site: Site) -> None:
    owner = site.enrolled()
    old, typed = owner.password, owner.typed()
    assert IMAP.login(site, owner.name, typed) == IN
    owner.change_password(f"new {secrets.token_hex(8)}")
    assert IMAP.login(site, owner.name, typed) == IMAP.refusal()
    owner.change_password(old)
    assert IMAP.login(site, owner.name, typed) == IMAP.refusal()
    assert IMAP.login(site, owner.name, owner.typed()) == IN


@on_the_first
def test_a_disabled_account_is_not_remembered(site: Site) -> None:
    owner = site.enrolled()
    typed = owner.typed()
    assert IMAP.login(site, owner.name, typed) == IN
    owner.disable()
    assert IMAP.login(site, owner.name, typed) == IMAP.refusal()


def of_web_mail(way: Way) -> list[Door]:
    """By Dovecot, and by each server that sends."""
    imap, *_ = way.of_dovecot
    sending = web_mail.over_smtp(way.of_postfix, lambda sandbox: sandbox.postfix_submission)
    exim = web_mail.over_smtp(EXIM, address_of_exim)
    return [imap, *[sending] * (way.of_postfix != POSTFIX_ON_SASLAUTHD), *[exim] * way.exim]


@pytest.mark.parametrize(("played", "door"), params_with(every_way(), of_web_mail), indirect=["played"])
def test_a_web_mail_host_logs_in_at_every_click(site: Site, door: Door) -> None:
    web_mail.check_a_day(site, door)
    web_mail.check_a_break(site, door)
