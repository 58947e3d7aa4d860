"""A directory: by a search or by the DN alone, over plain, TLS and StartTLS; who may search, and whom it means."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from mailauth.vocabulary.reasons import WhyDenied, WhyGranted, WhyUnavailable
from tests.estates.places import fill, slapd
from tests.estates.servers import Slapd
from tests.world import CUTOVER, World, WorldMaker

ANNA, PASSWORD = "anna@hoster.example", "correct horse battery"
BEFORE = CUTOVER - timedelta(days=30)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    made = Slapd(tmp_path_factory.mktemp("slapd"))
    made.start()
    fill(made)
    slapd(made).put(ANNA, PASSWORD)
    yield made
    made.stop()


def world_of(make_world: WorldMaker, section: str) -> World:
    return make_world(f'sources=[{{name="directory",kind="ldap",{section}}}]', now=BEFORE)


def searching(server: Slapd, url: str, *more: str) -> str:
    service = f'bind_dn="{server.admin}",bind_password_file="{server.directory}/service-password"'
    return ",".join((f'url="{url}",base="ou=people,{server.base}",{service}', *more))


async def reason(world: World, name: str = ANNA, secret: str = PASSWORD) -> object:
    return (await world.login(name, secret)).reason


@pytest.mark.parametrize("way", ["plain", "tls", "starttls", "dn"])
async def test_ways_to_a_directory(make_world: WorldMaker, server: Slapd, way: str) -> None:
    sections = {
        "plain": searching(server, server.url),
        "tls": searching(server, server.tls_url, f'ca_file="{server.ca}"'),
        "starttls": searching(server, server.url, f'start_tls=true,ca_file="{server.ca}"'),
        "dn": f'url="{server.url}",dn="uid={{local}},ou=people,{server.base}",domains=["hoster.example"]',
    }
    world = world_of(make_world, sections[way])
    assert await reason(world, secret="wrong") is WhyDenied.PASSWORD_WRONG
    assert await reason(world) is WhyGranted.BEFORE_CUTOVER
    assert await reason(world, "anna@tenant.example") is WhyDenied.ACCOUNT_UNKNOWN
    assert await reason(world, "a,ou=people@hoster.example") in (WhyDenied.NAME_MALFORMED, WhyDenied.PASSWORD_WRONG)


@pytest.mark.parametrize("what", ["authority", "name", "plain port"])
async def test_certificate_that_is_not_the_servers_is_no_answer(
    make_world: WorldMaker, server: Slapd, what: str
) -> None:
    """No password goes to somebody who stands in between."""
    sections = {
        "authority": searching(server, server.tls_url),
        "name": searching(server, server.tls_url.replace("127.0.0.1", "localhost"), f'ca_file="{server.ca}"'),
        "plain port": searching(server, server.url.replace("ldap:", "ldaps:"), f'ca_file="{server.ca}"'),
    }
    world = world_of(make_world, sections[what])
    assert await reason(world) is WhyUnavailable.SOURCE_UNAVAILABLE


async def test_service_that_may_not_search_is_no_answer(make_world: WorldMaker, server: Slapd) -> None:
    (server.directory / "wrong").write_text("another")
    section = searching(server, server.url).replace("service-password", "wrong")
    assert await reason(world_of(make_world, section)) is WhyUnavailable.SOURCE_UNAVAILABLE
    elsewhere = searching(server, server.url).replace("ou=people", "ou=nowhere")
    assert await reason(world_of(make_world, elsewhere)) is WhyUnavailable.SOURCE_UNAVAILABLE


async def test_two_entries_of_one_address_are_nobody(make_world: WorldMaker, server: Slapd) -> None:
    place = slapd(server)
    place.put("twin@hoster.example", PASSWORD)
    connection = server.connection()
    facts = {"objectClass": [b"inetOrgPerson"], "cn": [b"x"], "sn": [b"x"], "mail": [b"Twin@hoster.example"]}
    dn = f"uid=other,ou=people,{server.base}"
    connection.add_s(dn, list({**facts, "userPassword": [PASSWORD.encode()]}.items()))
    world = world_of(make_world, searching(server, server.url))
    assert await reason(world, "twin@hoster.example") is WhyDenied.ACCOUNT_UNKNOWN
    connection.delete_s(dn)
    assert await reason(world, "twin@hoster.example") is WhyGranted.BEFORE_CUTOVER


async def test_several_addresses_in_the_names_attribute_are_told_and_not_chosen_from(
    make_world: WorldMaker, server: Slapd
) -> None:
    import ldap

    place = slapd(server)
    place.put("many@hoster.example", PASSWORD)
    change = [(ldap.MOD_ADD, "mail", [b"boss@hoster.example"])]
    server.connection().modify_s(f"uid=many,ou=people,{server.base}", change)
    world = world_of(make_world, searching(server, server.url))
    for name in ("many@hoster.example", "boss@hoster.example"):
        assert await reason(world, name) is WhyUnavailable.SOURCE_UNAVAILABLE
    place.drop("many@hoster.example")
