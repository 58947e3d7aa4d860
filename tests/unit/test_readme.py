"""README's installation: every step that the shipped files ask for is there, in an order that works."""

import re
from pathlib import Path

TOP = Path(__file__).parents[2]
README = (TOP / "README.md").read_text("utf-8")


def installation() -> list[str]:
    """Return the commands of the section, one a step."""
    section = README.partition("## Install")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("# ")]
    return [step.strip() for line in lines for step in re.split(r"  # |&&", line.removeprefix("# "))]


def position(words: str) -> int:
    [found] = [number for number, step in enumerate(installation()) if step.startswith(words)]
    return found


def test_installation_has_every_step_in_an_order_that_works() -> None:
    order = [
        "make install",
        "systemd-sysusers",
        "systemctl daemon-reload",
        "mailauth init",
        "chown mailauth: /etc/mailauth/mailauth.key",
        "chgrp mailauth /etc/mailauth/mailauth.toml",
        "chown -R mailauth: /var/lib/mailauth",
        "runuser -u mailauth -- mailauth config check",
        "systemctl enable --now mailauth-auth.socket mailauth-portal.socket",
        "systemctl enable --now mailauth-worker.service",
    ]
    places = [position(words) for words in order]
    assert places == sorted(places)


def test_installation_hands_over_what_the_unit_says() -> None:
    unit = (TOP / "deploy" / "systemd" / "mailauth-auth.service").read_text("utf-8")
    handed_over = re.findall(r"^# +((?:chown|chgrp) .*)$", unit, re.MULTILINE)
    assert len(handed_over) == 3
    assert set(handed_over) <= set(installation())


def test_units_that_are_started_are_shipped() -> None:
    for step in installation():
        for unit in re.findall(r"mailauth-[a-z]+\.(?:socket|service)", step):
            assert (TOP / "deploy" / "systemd" / unit).exists()
