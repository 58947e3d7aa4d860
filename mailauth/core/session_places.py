"""Which of an account's portal sessions end where there would be too many of them. Pure.

Whoever has the password of an account that is not enrolled may log in as often as they like. That must not push out
the session in which its owner is about to type the first code, so places are taken from the site that holds most.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from ipaddress import IPv6Network
from typing import NamedTuple

PLACES = 32
"""How many sessions of one account there are at once."""


class Held(NamedTuple):
    """A session, as far as it matters here. `is_set_up_under_way`: an authenticator waits in it for its first code."""

    id: int
    network: str
    is_set_up_under_way: bool
    last_seen_at: datetime


def surplus(held: Sequence[Held], network: str) -> list[int]:
    """Return the ids of the sessions that end so that one more has a place, opened from a network.

    Each is one of the site that has most, the new one counted; of these one without a set-up under way, if there is
    one; of these the one that was unused for longest.
    """
    staying, ended = list(held), list[int]()
    while len(staying) >= PLACES:
        by_site = Counter([_site(network), *(_site(each.network) for each in staying)])
        ours = {site: by_site[site] for each in staying if (site := _site(each.network))}
        crowd = max(ours.values())
        gone = min(
            (each for each in staying if ours[_site(each.network)] == crowd),
            key=lambda each: (each.is_set_up_under_way, each.last_seen_at, each.id),
        )
        staying.remove(gone)
        ended.append(gone.id)
    return ended


def _site(network: str) -> str:
    """Return what one party may hold of the Internet: an IPv4 address, the /48 of an IPv6 network (RFC 6177)."""
    if ":" not in network:
        return network or "nowhere"
    around = IPv6Network(network, strict=False)
    return str(around.supernet(new_prefix=min(48, around.prefixlen)))
