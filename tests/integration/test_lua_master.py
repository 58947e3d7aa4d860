"""A master passdb in front of mailauth's Lua passdb: a master's password is nobody else's wrong one (DOOR2)."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from pam_module.harness.fake_server import fail, ok
from tests.integration.dovecot23 import DENY, WHY_NOT, answering, running

LUA = Path(__file__).resolve().parents[2] / "deploy" / "dovecot-2.3" / "mailauth.lua"
MASTERS = """
auth_master_user_separator = /
passdb {{
  driver = passwd-file
  args = {dir}/masters
  master = yes
  pass = yes
}}
passdb {{
  driver = lua
  args = file={dir}/mailauth.lua blocking=yes
}}
"""
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


def plain(authorisation: str, name: str, secret: str) -> str:
    return base64.b64encode(f"{authorisation}\0{name}\0{secret}".encode()).decode()


def test_a_user_for_whom_a_master_has_vouched_is_looked_up_and_not_tried() -> None:
    def files(directory: Path) -> None:
        (directory / "masters").write_text("admin:{PLAIN}of the master\n")
        script = LUA.read_text().replace("/run/mailauth/auth.sock", str(directory / "auth.sock"))
        (directory / "mailauth.lua").write_text(script)

    with running(MASTERS + DENY, files) as dovecot:

        def log_in(secret: str) -> str:
            response = plain("anna@example.org", "admin", secret)
            return dovecot.say(dovecot.imap_port, "a AUTHENTICATE PLAIN " + response)

        with answering(dovecot, ok("anna@example.org")) as server:
            assert log_in("of the master").startswith("a OK ")
        assert [(each.user, each.secret, each.parameters["mailauth"]) for each in server.asked] == [
            ("anna@example.org", "", "lookup")
        ]
        with answering(dovecot, ok("anna@example.org")) as server:
            assert dovecot.imap("anna@example.org/admin", "of the master").startswith("a OK ")
        assert [(each.user, each.secret) for each in server.asked] == [("anna@example.org", "")]
        with answering(dovecot, ok("anna@example.org")) as server:
            assert log_in("wrong").startswith("a NO ")
        assert server.raw == [], "a wrong password of the master's is not tried on the user"
        with answering(dovecot, fail(code="unknown")):
            assert log_in("of the master").startswith("a NO [AUTHORIZATIONFAILED] ")
        with answering(dovecot, fail(code="temp_fail")):
            assert log_in("of the master").startswith("a NO [UNAVAILABLE] ")
