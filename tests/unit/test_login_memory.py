"""MEM1: whom a remembered login serves, and by which profile."""

from datetime import timedelta
from ipaddress import ip_address, ip_network

import pytest

from mailauth.core.login_memory import NONE, Profile, Profiles, network_of, service_class

DAY, HOUR = Profile(timedelta(days=1), None, 99), Profile(timedelta(hours=1), timedelta(minutes=5), 9)


@pytest.mark.parametrize("service", ["imap", "pop3", "smtp", "submission", "sieve", "lmtp", ""])
def test_one_device_reads_and_sends_mail(service: str) -> None:
    assert service_class(service) == "mail"


def test_what_opened_mail_opens_no_portal() -> None:
    assert service_class("portal") == "portal"


@pytest.mark.parametrize(
    ("client", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::6", "2001:db8:1:3::/64"),
    ],
)
def test_memory_is_bound_to_an_address_or_to_the_network_of_an_ipv6_host(client: str, network: str) -> None:
    assert network_of(ip_address(client)) == network


def test_first_network_that_fits_has_the_profile_and_all_others_the_default_one() -> None:
    profiles = Profiles(NONE, [(ip_network("192.0.2.0/28"), DAY), (ip_network("192.0.2.0/24"), HOUR)])
    found = [profiles.of(ip_address(client)) for client in ("192.0.2.15", "192.0.2.16", "198.51.100.1", "2001:db8::1")]
    assert found == [DAY, HOUR, NONE, NONE]


def test_without_networks_everybody_has_the_default() -> None:
    assert Profiles(HOUR).of(ip_address("192.0.2.1")) == HOUR
