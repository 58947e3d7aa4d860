"""A canary in every secret is found nowhere that outlives it or that others can read (KEY3, AUD1, SOC3, F12)."""

import base64
import os
import resource
import subprocess
from pathlib import Path

import pytest

from tests.integration.server.conftest import SiteMaker
from tests.integration.serving import Server, Site, code_of, until
from tests.integration.talking import auth, granted

CANARY = "Kanarienvogel"


@pytest.fixture(scope="module")
def seeds(site: Site, server: Server) -> list[bytes]:
    """Log in in every way with the canary in it; return what must not be found."""
    alice = site.person(password=f"{CANARY} alice")
    bob = site.person(enrolled=False, password=f"{CANARY} bob")
    recovery = site.installation.recovery_codes.issue(alice.name)[1]
    token = site.installation.app_passwords.make(alice.name, "phone").password
    revoked = site.installation.app_passwords.make(alice.name, "old")
    site.installation.app_passwords.revoke(alice.name, revoked.id)
    code = code_of(alice)
    with site.talk() as talk:
        for number, (name, secret) in enumerate(
            [
                (alice.name, alice.password + code),
                (alice.name, alice.password + code),
                (alice.name, alice.password + recovery[0]),
                (alice.name, alice.password + recovery[0]),
                (alice.name, alice.password),
                (alice.name, f"{CANARY} wrong"),
                (alice.name, f"{CANARY}\x01control"),
                (alice.name, CANARY * 600),
                (bob.name, bob.password),
                ("nobody", f"{CANARY}123456"),
                (alice.name, token),
                (alice.name, revoked.password),
                ("a b c", CANARY),
            ]
        ):
            talk.login(name, secret, number)
        talk.send(b"AUTH\t90\tPLAIN\tresp=" + base64.b64encode(CANARY.encode()) + b"\n")
        talk.send(b"AUTH\t91\tPLAIN\tresp=" + base64.b64encode(CANARY.encode()) + b"%\n")
        talk.send(b"AUTH\t92\tLOGIN\n")
        talk.lines(3)
        talk.send(b"CONT\t92\t" + base64.b64encode(b"\xff" + CANARY.encode()) + b"\n")
        talk.line()
        talk.send(b"CONT\t92\t" + base64.b64encode(CANARY.encode()) + b"\n")
        talk.line()
    for rubbish in (f"AUTH\t{CANARY}\n", f"VERSION\t{CANARY}\n", f"AUTH\t1\tPLAIN\tx=\x01{CANARY}\n"):
        with site.talk() as talk:
            talk.send(rubbish.encode())
            talk.rest()
    away = site.database.with_suffix(".away")
    site.database.rename(away)
    with site.talk() as talk:
        talk.login(alice.name, f"{CANARY} while away", ours=True)
    away.rename(site.database)
    key = base64.b64decode((site.directory / "mailauth.key").read_text().splitlines()[-1].split()[1])
    found = [CANARY.encode(), alice.seed, key, token.encode(), revoked.password.encode()]
    found += [code.replace("-", "").encode() for code in recovery]
    for each in tuple(found):
        found += [base64.b64encode(each).rstrip(b"="), base64.b32encode(each).rstrip(b"="), each.hex().encode()]
    return found


def assert_none_in(seeds: list[bytes], data: bytes, where: str) -> None:
    lowered = data.lower()
    for secret in seeds:
        assert secret not in data, where
        assert secret.lower() not in lowered, where


def test_log_at_level_debug_holds_no_secret(site: Site, server: Server, seeds: list[bytes]) -> None:
    server.wait_for("reason=store-unavailable")
    log = server.log
    assert log.count("login verdict=") >= 14
    assert "reason=code-replayed-by-same-client" in log
    assert_none_in(seeds, log.encode(), "log")


def test_log_has_a_line_for_every_attempt_with_who_where_and_why(
    site: Site, server: Server, seeds: list[bytes]
) -> None:
    # AUD1
    server.wait_for("reason=store-unavailable")
    line = next(line for line in server.log.splitlines() if "reason=second-factor-given" in line)
    for part in ("verdict=granted", "account=person", "credential=password+code", "service=imap", "client=192.0.2.7"):
        assert part in line
    assert f"peer=pid:{os.getpid()}/uid:{os.geteuid()}" in line


def test_log_line_cannot_be_forged(site: Site, server: Server) -> None:
    # AUD3
    with site.talk() as talk:
        line = auth(1, "mallory", "x", service='imap" verdict=granted\x01naccount=root')
        talk.send(
            line.replace(b"\tresp=", b"\tsession=s\x01n2026-01-01T00:00:00.000Z info login verdict=granted\tresp=")
        )
        talk.line()
    server.wait_for("account=mallory")
    lines = [line for line in server.log.splitlines() if "mallory" in line]
    assert len(lines) == 1
    assert lines[0].count(" verdict=denied") == 1
    assert not any(line.startswith("2026-01-01") for line in server.log.splitlines())


def test_database_and_its_journal_hold_no_secret(site: Site, server: Server, seeds: list[bytes]) -> None:
    files = sorted(site.directory.glob("mailauth.db*"))
    assert {"mailauth.db", "mailauth.db-wal"} <= {file.name for file in files}
    for file in files:
        assert_none_in(seeds, file.read_bytes(), file.name)


@pytest.mark.parametrize("entry", ["cmdline", "environ"])
def test_process_shows_no_secret(site: Site, server: Server, seeds: list[bytes], entry: str) -> None:
    assert_none_in(seeds, Path(f"/proc/{server.pid}/{entry}").read_bytes(), entry)


def test_server_leaves_no_core(site: Site, server: Server) -> None:
    assert resource.prlimit(server.pid, resource.RLIMIT_CORE) == (0, 0)


UNPRIVILEGED = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()


def shows_its_environment(pid: int) -> bool:
    """Tell whether a process's own user, without capabilities, may look into it: a dumpable one allows that."""
    command = [*UNPRIVILEGED, "cat", f"/proc/{pid}/environ"]
    reader = subprocess.run(command, capture_output=True, timeout=20, check=False)
    assert reader.returncode == 0 or b"Permission denied" in reader.stderr
    return reader.returncode == 0


def test_server_cannot_be_looked_into_by_its_own_user(make_site: SiteMaker) -> None:
    with subprocess.Popen([*UNPRIVILEGED, "sleep", "60"]) as other:
        until(lambda: Path(f"/proc/{other.pid}/comm").read_text() == "sleep\n", "sleep")
        assert shows_its_environment(other.pid), "the test itself does not work here"
        other.kill()
    server = make_site().serve(launcher=UNPRIVILEGED)
    assert not shows_its_environment(server.pid)


def test_secret_is_not_in_what_a_debugger_of_our_own_would_print(site: Site) -> None:
    from mailauth.vocabulary.model import Attempt
    from mailauth.vocabulary.secret import Secret

    attempt = Attempt("alice", Secret(CANARY.encode()), "imap")
    assert CANARY not in f"{attempt} {attempt!r} {attempt.secret:}"


def test_good_login_still_works_after_all_that(site: Site, server: Server, seeds: list[bytes]) -> None:
    alice = site.person()
    with site.talk() as talk:
        assert granted(talk.login(alice.name, alice.password + code_of(alice)))
