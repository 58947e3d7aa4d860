"""The ways from a mail server to mailauth, as sandboxes, and the doors of each: every one that deploy/ opens.

This machine has one of Dovecot 2.3 and 2.4. The ways of its own are the `main` ones; the `further` ones are PAM, and
what comes from another Debian release below build/roots: the other Dovecot, and Exim, which is no neighbour of
Postfix. What a client hears depends on the way: PAM has no words for a reason, and none for "temporary".
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.stack import clients, sandboxes
from tests.stack.clients import Login
from tests.stack.doors import DOVEADM, DOVEADM_ON_MAILAUTH, OF_DOVECOT, POSTFIX, Door
from tests.stack.sandboxes import REPOSITORY, Sandbox

RELEASES = {"2.3": "bookworm", "2.4": "trixie"}
"""Which release of Debian has which Dovecot."""


@dataclass(frozen=True)
class Way:
    """A sandbox, and the doors that are looked at there."""

    dovecot: str
    series: str
    postfix: str
    exim: bool = False

    def __str__(self) -> str:
        return f"{self.series}-{self.dovecot}-postfix-{self.postfix}" + "-exim" * self.exim

    @property
    def is_elsewhere(self) -> bool:
        """Whether its servers come from the other release."""
        return self.series != series_here()

    def options(self) -> tuple[str, ...]:
        """Return the options of `deploy/sandbox up`."""
        words = ["--dovecot", self.dovecot, "--postfix", self.postfix]
        words += ["--root", str(other_release())] if self.is_elsewhere else []
        return (*words, *["--exim"] * self.exim)

    @property
    def doors(self) -> tuple[Door, ...]:
        """Return the doors of the way, without those of a Dovecot that an earlier way has as well."""
        earlier = every_way()[: every_way().index(self)]
        is_seen = any((each.dovecot, each.series) == (self.dovecot, self.series) for each in earlier)
        of_dovecot = () if is_seen else self.of_dovecot
        return (*of_dovecot, self.of_postfix, *[EXIM] * self.exim, *[DOVEADM_ON_MAILAUTH] * (self.postfix == "direct"))

    @property
    def of_dovecot(self) -> tuple[Door, ...]:
        if self.dovecot != "pam":
            return OF_DOVECOT
        return tuple(_on_pam(door) for door in OF_DOVECOT if door != DOVEADM)

    @property
    def of_postfix(self) -> Door:
        match self.postfix, self.dovecot:
            case "saslauthd", _:
                return POSTFIX_ON_SASLAUTHD
            case "dovecot", "pam":
                return replace(POSTFIX, refused=_NO_REASON, unavailable=_NO_REASON)
            case "dovecot", _:
                return replace(POSTFIX, unavailable=_NO_REASON)
            case _:
                return POSTFIX


def _on_pam(door: Door) -> Door:
    """Whatever went wrong is a wrong password."""
    words = REFUSED_BY_PAM[door.name]
    return replace(door, refused=words, unavailable=words)


def address_of_exim(sandbox: Sandbox) -> clients.Address:
    host, port = json.loads((sandbox.dir / "sandbox.json").read_text())["exim"]
    return host, port


def _exim(sandbox: Sandbox, *login: str) -> Login:
    return clients.swaks(address_of_exim(sandbox), *login)


REFUSED_BY_PAM = {
    "imap": "[AUTHENTICATIONFAILED] Authentication failed.",
    "pop3": "[AUTH] Authentication failed.",
    "sieve": '"Authentication failed."',
    "submission": "535 5.7.8 Authentication failed.",
}
EXIM = Door("exim", "smtp", _exim, "535 Incorrect authentication data", "435 Unable to authenticate at present")
_SASL_FAILURE = "535 5.7.8 Error: authentication failed: authentication failure"
POSTFIX_ON_SASLAUTHD = replace(POSTFIX, service="smtp", refused=_SASL_FAILURE, unavailable=_SASL_FAILURE)
_NO_REASON = "535 5.7.8 Error: authentication failed: (reason unavailable)"
"""What Postfix makes of a refusal without words; and of Dovecot's "temporary", for which it has no ear."""


@functools.cache
def series_here() -> str:
    """Return 2.3 or 2.4: this machine's Dovecot."""
    shown = subprocess.run(["/usr/sbin/dovecot", "--version"], capture_output=True, text=True, check=True)
    found = re.match(r"\d+\.\d+", shown.stdout)
    assert found is not None
    return found.group()


@functools.cache
def other_release() -> Path:
    """Return the other release's root, made if it is missing (by deploy/bootstrap, as a rule)."""
    suite = next(suite for series, suite in RELEASES.items() if series != series_here())
    directory = REPOSITORY / "build" / "roots" / suite
    done = subprocess.run(
        [sandboxes.SANDBOX, "root", directory, suite], capture_output=True, text=True, env=os.environ, check=False
    )
    assert done.returncode == 0, done.stderr
    return directory


@functools.cache
def main_ways() -> tuple[Way, ...]:
    """Return this machine's ways by what Dovecot itself runs, so that each is there at least once.

    The first has Postfix on mailauth itself, the others have it behind Dovecot.
    """
    here = sandboxes.doors()
    return (Way(here[0], series_here(), "direct"), *(Way(door, series_here(), "dovecot") for door in here))


@functools.cache
def further_ways() -> tuple[Way, ...]:
    """Return the others: PAM, the other Dovecot, saslauthd, and Exim where it can be had."""
    every = (
        Way("checkpassword", "2.3", "dovecot"),
        Way("pam", "2.3", "saslauthd"),
        Way("lua", "2.3", "dovecot"),
        Way("lua", "2.4", "dovecot"),
        Way("pam", "2.4", "dovecot"),
    )
    missing = [way for way in every if way.is_elsewhere or way.dovecot not in sandboxes.doors()]
    host_of_exim = next(way for way in missing if way.is_elsewhere)
    return tuple(replace(way, exim=way == host_of_exim) for way in missing)


def every_way() -> tuple[Way, ...]:
    return main_ways() + further_ways()


def each_dovecot() -> list[Way]:
    """Return a way for each way in which a Dovecot asks, for what no Postfix has to do with."""
    return list({(way.dovecot, way.series): way for way in reversed(every_way())}.values())[::-1]


FIRST = main_ways()[0]
FURTHER = pytest.mark.xdist_group("stack/logins, further ways")
"""Ways that are up in another process than the main ones, where tests run in several."""


def params(ways: Iterable[Way]) -> list[object]:
    """Return ways as parameters of a test."""
    return [pytest.param(way, id=str(way), marks=_marks(way)) for way in ways]


def params_with(ways: Iterable[Way], each_of: Callable[[Way], Iterable[Door | str]]) -> list[object]:
    """Return each way with each door of it, or whatever it has several of, as parameters of a test."""
    return [
        pytest.param(way, each, id=f"{way}-{each if isinstance(each, str) else each.name}", marks=_marks(way))
        for way in ways
        for each in each_of(way)
    ]


def _marks(way: Way) -> list[pytest.MarkDecorator]:
    return [FURTHER] if way in further_ways() else []


_MAIN_DOVECOTS = [way for way in each_dovecot() if way in main_ways()]
on_the_first = pytest.mark.parametrize("played", params([FIRST]), indirect=True)
on_each_main_dovecot = pytest.mark.parametrize("played", params(_MAIN_DOVECOTS), indirect=True)
on_each_dovecot = pytest.mark.parametrize("played", params(each_dovecot()), indirect=True)
on_each_way = pytest.mark.parametrize("played", params(every_way()), indirect=True)
"""Where a test runs; without a mark, on each main way."""
