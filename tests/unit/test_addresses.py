"""LIM12: addresses and networks in the one form in which they are compared, whoever wrote them."""

from ipaddress import ip_address, ip_network

import pytest

from mailauth.core.addresses import parse_address, parse_network
from mailauth.effects.configuration.loading import parse
from mailauth.vocabulary.errors import InvalidValue
from tests.cases import case
from tests.world import completed

DATE = '[cutover]\ndate = "2025-05-05T00:00Z"\n'


def test_address_is_one_however_it_is_written() -> None:
    for text, means in (
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::FFFF:c000:207", "192.0.2.7"),
        ("0:0:0:0:0:ffff:192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7%eth0", "192.0.2.7"),
        ("2001:0DB8::0007", "2001:db8::7"),
        ("fe80::1%eth0", "fe80::1"),
        ("64:ff9b::192.0.2.7", "192.0.2.7"),
    ):
        with case(text):
            assert parse_address(text) == ip_address(means)
            assert str(parse_address(text)) == means


def test_what_may_be_read_in_two_ways_is_no_address() -> None:
    for text in (
        "",
        "192.0.2.07",
        "192.0.02.7",
        "0300.0.2.7",
        "192.0.2",
        "::ffff:192.0.2.07",
        " 192.0.2.7",
        "x" * 200,
    ):
        with case(text), pytest.raises(InvalidValue, match="not an IP address"):
            parse_address(text)


def test_network_is_one_however_it_is_written() -> None:
    for text, means in (
        (" 192.0.2.0/24 ", "192.0.2.0/24"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("::/0", "::/0"),
    ):
        with case(text):
            assert parse_network(text) == ip_network(means)


def test_what_is_no_network_is_refused() -> None:
    for text in ("", "192.0.2.7/24", "192.0.02.0/24", "fe80::%eth0/64", "::ffff:192.0.2.1/120", "x", "192.0.2.0/33"):
        with case(text), pytest.raises(InvalidValue, match="not a network"):
            parse_network(text)


def test_networks_of_the_configuration_are_unmapped() -> None:
    configuration = parse(
        completed(
            DATE
            + '[limits]\ntrusted_networks = ["::ffff:198.51.100.0/120"]\n'
            + '[[login_memory.profile]]\nnetworks = ["::ffff:198.51.100.7"]\n'
            + '[portal]\ntrusted_proxies = ["::ffff:192.0.2.9"]\n'
        ),
        "x",
    )
    assert configuration.limits.trusted_networks == ["198.51.100.0/24"]
    assert configuration.login_memory.profile[0].networks == ["198.51.100.7/32"]
    assert configuration.portal.trusted_proxies == ["192.0.2.9/32"]
