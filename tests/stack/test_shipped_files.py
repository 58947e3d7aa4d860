"""What a sysadmin copies from deploy/: it says what it is, and the sandbox runs it unchanged."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from mailauth.core import names
from mailauth.edges.cli.serve import PARTS
from mailauth.effects.configuration.user_sections import PortalSection
from tests.cases import case
from tests.stack.sandboxes import REPOSITORY, Sandbox

DEPLOY = REPOSITORY / "deploy"
FOLDERS = ("dovecot-2.3", "dovecot-2.4", "nginx", "postfix", "systemd")
CONFIGURATIONS = sorted(
    path
    for folder in FOLDERS
    for path in (DEPLOY / folder).rglob("*")
    if path.suffix in {".conf", ".cf", ".service", ".socket"}
)
# SOC2: the services' exposure, as systemd-analyze counts it
MAX_EXPOSURE = {"auth": 1.0, "portal": 1.0, "worker": 1.5}


def test_each_file_says_at_its_head_what_it_is_for_and_what_must_not_stand_beside_it() -> None:
    for path in CONFIGURATIONS:
        with case(path):
            head = re.match(r"(#.*\n)+", path.read_text())
            assert head is not None
            for word in ("For:", "Copy:", "must NOT stand"):
                assert word in head.group(), word


def test_no_file_answers_nologin() -> None:
    """Postfix on Dovecot's auth socket lets such a user in."""
    for path in (path for folder in FOLDERS for path in (DEPLOY / folder).rglob("*")):
        if path.is_file():
            code = [line for line in path.read_text().splitlines() if not line.lstrip().startswith(("#", "--"))]
            assert "nologin" not in "\n".join(code), path


def test_the_last_passdb_knows_nobody() -> None:
    lines = (DEPLOY / "dovecot-2.3" / "mailauth.deny").read_text().splitlines()
    assert all(line.startswith("#") for line in lines)


def test_dovecot_hands_on_each_character_that_a_name_may_have_and_none_that_opens_paths_or_quotes() -> None:
    """NAME1: Dovecot counts bytes, so a letter stands for all that have the same bytes."""
    allowed = [
        character
        for character in map(chr, (*range(0xD800), *range(0xE000, 0x110000)))
        if names.is_allowed_in_local(character) or character in "@ ABCXYZ"
    ]
    settings = [
        re.findall(r'^auth_username_chars = "(.*)"$', path.read_text(), re.MULTILINE)
        for path in DEPLOY.glob("dovecot-2.*/mailauth-*.conf")
    ]
    assert len(settings) == 5
    for setting in settings:
        assert setting == settings[0]
        [characters] = setting
        listed = set(characters.replace(r"\"", '"').encode())
        assert {character for character in allowed if not set(character.encode()) <= listed} == set()
        assert not listed & set(b"/\\%`()[]\x7f" + bytes(range(32)) + b"\xc0\xc1\xfe\xff")


def test_one_lua_file_serves_both_versions() -> None:
    assert (DEPLOY / "dovecot-2.4" / "mailauth.lua").resolve() == DEPLOY / "dovecot-2.3" / "mailauth.lua"


def test_the_sandbox_runs_the_shipped_files_with_nothing_changed_but_paths(sandbox: Sandbox) -> None:
    ground = json.loads((sandbox.dir / "sandbox.json").read_text())["ground"]
    series = ".".join(sandbox.versions["dovecot"].split(".")[:2])
    dovecot = DEPLOY / f"dovecot-{series}"
    pairs = [
        (dovecot / f"mailauth-{sandbox.dovecot}.conf", f"etc/dovecot/mailauth-{sandbox.dovecot}.conf"),
        (dovecot / "mailauth.deny", "etc/dovecot/mailauth.deny"),
    ]
    if sandbox.dovecot == "lua":
        pairs.append((dovecot / "mailauth.lua", "usr/lib/mailauth/mailauth.lua"))
    for shipped, used in pairs:
        assert (Path(ground) / used).read_text().replace(ground, "") == shipped.read_text()
    postfix = DEPLOY / "postfix" / sandbox.postfix
    assert (postfix / "main.cf").read_text() in (sandbox.postfix_conf / "main.cf").read_text().replace(ground, "")
    master = (sandbox.postfix_conf / "master.cf").read_text().replace(ground, "")
    for service in ("submissions", "submission"):
        host, port = getattr(sandbox, f"postfix_{service}")
        master = master.replace(f"{host}:{port}", service)
    # Without TLS from the start, its clients come in clear.
    master = master.replace("smtpd_tls_security_level=may", "smtpd_tls_security_level=encrypt")
    assert (postfix / "master.cf").read_text() in master


CONCERNS_US = {
    "syslog_name",
    "smtpd_tls_security_level",
    "smtpd_tls_wrappermode",
    "smtpd_sasl_auth_enable",
    "smtpd_sasl_service",
    "smtpd_relay_restrictions",
}


def test_postfix_has_no_word_against_the_files_and_they_leave_a_sites_restrictions_alone(tmp_path: Path) -> None:
    """An `-o` of a restriction, even an empty one, takes the place of main.cf's."""
    for folder in sorted((DEPLOY / "postfix").iterdir()):
        place = tmp_path / folder.name
        place.mkdir()
        for file in ("main.cf", "master.cf"):
            (place / file).write_text((folder / file).read_text())
        with case(folder.name):
            for what in ("-n", "-M", "-P"):
                shown = subprocess.run(
                    ["/usr/sbin/postconf", "-c", place, what], capture_output=True, text=True, check=True
                )
                assert shown.stderr == "", what
            lines = shown.stdout.splitlines()
            services, names = zip(*(line.partition(" = ")[0].rsplit("/", 1) for line in lines), strict=True)
            assert set(services) == {"submission/inet", "submissions/inet"}
            assert set(names) <= CONCERNS_US


def test_dovecot_sees_the_two_passdbs_and_no_other(sandbox: Sandbox) -> None:
    shown = subprocess.run(
        ["doveconf", "-c", sandbox.dovecot_conf, "passdb"], capture_output=True, text=True, check=True
    )
    drivers = re.findall(r"^  driver = (\S+)$", shown.stdout, re.MULTILINE)
    if not drivers or drivers[0] == "passwd-file":  # Dovecot 2.4 shows a driver only where it is not the name
        drivers = ["lua", *drivers]
    assert drivers == [sandbox.dovecot, "passwd-file"]


@pytest.mark.parametrize("part", MAX_EXPOSURE)
def test_the_services_sandbox_is_tight(part: str) -> None:
    unit = DEPLOY / "systemd" / f"mailauth-{part}.service"
    shown = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        check=True,
    )
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", shown.stdout)
    assert exposure is not None
    assert float(exposure.group(1)) <= MAX_EXPOSURE[part]


def test_there_is_a_unit_for_each_part() -> None:
    for part in PARTS:
        unit = (DEPLOY / "systemd" / f"mailauth-{part}.service").read_text()
        assert f"\nExecStart=mailauth --config /etc/mailauth/mailauth.toml serve {part}\n" in unit


def test_the_portals_socket_is_one_thing_to_configuration_systemd_and_nginx() -> None:
    settings = PortalSection()
    unit = (DEPLOY / "systemd" / "mailauth-portal.socket").read_text()
    assert f"\nListenStream={settings.socket_path}\n" in unit
    assert f"\nSocketGroup={settings.socket_group}\nSocketMode={settings.socket_mode}\n" in unit
    assert f"server unix:{settings.socket_path};" in (DEPLOY / "nginx" / "mailauth-portal.conf").read_text()


def test_the_units_do_not_hide_the_peers_uid() -> None:
    for unit in (DEPLOY / "systemd").glob("*.service"):
        settings = [line for line in unit.read_text().splitlines() if not line.startswith("#")]
        assert "PrivateUsers=yes" not in settings


def test_services_start_when_the_clock_has_been_set_and_pull_that_in_nowhere() -> None:
    """CLK1: codes and dates need it. systemd.special(7): order after time-sync.target, "but not pull it in"."""
    for unit in (DEPLOY / "systemd").glob("*.service"):
        lines = unit.read_text().splitlines()
        [after] = [line for line in lines if line.startswith("After=")]
        assert {"time-set.target", "time-sync.target"} <= set(after.removeprefix("After=").split()), unit
        assert not [line for line in lines if line.startswith(("Wants=", "Requires=")) and "time-" in line]
