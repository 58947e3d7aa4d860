"""WEB10: which sessions end where an account has too many, so that nobody pushes out its owner."""

from datetime import UTC, datetime, timedelta

from mailauth.core.session_places import PLACES, Held, surplus

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)


def held(*places: tuple[str, bool]) -> list[Held]:
    """Return sessions as they were last used, each with its network and whether a set-up is under way."""
    return [
        Held(number, network, is_under_way, NOON + timedelta(seconds=number))
        for number, (network, is_under_way) in enumerate(places)
    ]


def test_nobody_ends_while_there_is_a_place() -> None:
    assert surplus(held(*[("192.0.2.1", False)] * (PLACES - 1)), "192.0.2.1") == []


def test_the_one_that_was_unused_for_longest_makes_room() -> None:
    assert surplus(held(*[("192.0.2.1", False)] * PLACES), "192.0.2.1") == [0]
    assert surplus(held(*[("192.0.2.1", False)] * (PLACES + 2)), "192.0.2.1") == [0, 1, 2]


def test_site_that_holds_most_makes_room_though_others_are_older() -> None:
    ours = [("192.0.2.1", False), ("192.0.2.2", False)]
    assert surplus(held(*ours, *[("198.51.100.7", True)] * (PLACES - 2)), "198.51.100.7") == [2]
    assert surplus(held(*ours, *[("198.51.100.7", False)] * (PLACES - 2)), "203.0.113.5") == [2]


def test_networks_of_one_ipv6_site_are_one() -> None:
    theirs = [(f"2001:db8:7:{number:x}::/64", True) for number in range(PLACES - 1)]
    assert surplus(held(("2001:db8:8::/64", False), *theirs), "2001:db8:7:ffff::/64") == [1]


def test_set_up_that_is_under_way_stays_where_another_of_its_site_can_go() -> None:
    assert surplus(held(("192.0.2.1", True), *[("192.0.2.1", False)] * (PLACES - 1)), "192.0.2.1") == [1]
    assert surplus(held(*[("192.0.2.1", True)] * PLACES), "192.0.2.1") == [0]


def test_every_site_alike_loses_the_one_that_was_unused_for_longest() -> None:
    assert surplus(held(*[(f"192.0.2.{number}", False) for number in range(PLACES)]), "198.51.100.1") == [0]
    assert surplus(held(*[("", False)] * PLACES), "198.51.100.1") == [0]
