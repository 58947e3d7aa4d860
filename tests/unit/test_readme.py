"""README's installation: every step that the shipped files ask for is there, in an order that works."""

import re
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

from mailauth.core.login_memory import Profile
from mailauth.effects.configuration.loading import parse, with_settings
from mailauth.effects.configuration.reference import first_file
from tests.world import PROVIDER

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


def test_there_is_a_socket_unit_for_each_socket_that_a_shipped_file_asks_for_and_the_readme_names_it() -> None:
    """Otherwise a service that systemd starts by another socket could not make it."""
    units = {}
    for path in sorted((TOP / "deploy" / "systemd").glob("mailauth-auth*.socket")):
        keys = dict(re.findall(r"^(\w+)=(.*)$", path.read_text("utf-8"), re.MULTILINE))
        units[keys["ListenStream"]] = (path.name, keys["SocketMode"], keys["SocketGroup"])
        assert keys["Service"] == "mailauth-auth.service"
        assert path.name in README.partition("## Install")[2].partition("\n## ")[0]
    asked_for = {"/run/mailauth/auth.sock": ("0660", "dovecot")}  # the configuration's default
    for shipped in ("postfix/direct/main.cf", "exim/mailauth.auth"):
        table = dict(re.findall(r'^# +(\w+) = "(.*)"$', (TOP / "deploy" / shipped).read_text("utf-8"), re.MULTILINE))
        asked_for[table["path"]] = (table["mode"], table["group"])
    assert {path: unit[1:] for path, unit in units.items()} == asked_for


def test_the_service_pulls_in_no_socket_that_was_not_enabled() -> None:
    """It would be one without a table in the configuration, with which mailauth does not start."""
    service = (TOP / "deploy" / "systemd" / "mailauth-auth.service").read_text("utf-8")
    pulled_in = re.findall(r"^(?:Sockets|Requires|Wants|BindsTo)=(.*)$", service, re.MULTILINE)
    assert not [unit for words in pulled_in for unit in words.split() if unit.endswith(".socket")]
    [ordered] = re.findall(r"^After=(.*)$", service, re.MULTILINE)
    assert {path.name for path in (TOP / "deploy" / "systemd").glob("mailauth-auth*.socket")} <= set(ordered.split())


def test_units_that_are_started_are_shipped() -> None:
    for step in installation():
        for unit in re.findall(r"mailauth-[a-z]+\.(?:socket|service)", step):
            assert (TOP / "deploy" / "systemd" / unit).exists()


def test_lines_for_web_mail_let_it_log_in_all_day_long_and_share_no_limit() -> None:
    block = README.partition("Web mail")[2].partition("```toml\n")[2].partition("```")[0]
    limits, _, profile = block.partition("[[login_memory.profile]]\n")
    settings = [limits.removeprefix("[limits]\n").strip().replace("trusted", "limits.trusted")]
    settings += [f"login_memory.profile=[{{{profile.strip()}}}]"]
    configuration = parse(with_settings(first_file(PROVIDER), settings, "README.md"), "README.md")
    profiles = configuration.login_memory.profiles()
    assert profiles.of(ip_address("192.0.2.80")) == Profile(timedelta(hours=10), timedelta(minutes=30), 10_000)
    assert profiles.of(ip_address("192.0.2.81")).life == timedelta(minutes=10)
    assert "192.0.2.80/32" in configuration.limits.trusted_networks


def test_open_sessions_are_said_to_go_on_with_the_line_that_ends_them() -> None:
    """APP4."""
    assert "open in Dovecot reads on until it is ended: `doveadm kick ACCOUNT`" in " ".join(README.split())
