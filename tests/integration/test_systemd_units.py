"""What an administrator is told to do about a socket that systemd does not hold."""

from pathlib import Path

import pytest

from mailauth.effects import systemd_units

SHIPPED = Path(__file__).parents[2] / "deploy" / "systemd"
DOVECOT, POSTFIX = "/run/mailauth/auth.sock", "/var/spool/postfix/mailauth/auth.sock"
STOP = "systemctl stop 'mailauth-auth*.socket' mailauth-auth.service; "


@pytest.fixture(autouse=True)
def shipped_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd_units, "UNIT_DIRECTORIES", (str(SHIPPED),))


@pytest.mark.parametrize("missing", [DOVECOT, POSTFIX])
def test_every_configured_socket_is_started_again_whichever_is_missing(missing: str) -> None:
    said = systemd_units.advice(missing, [DOVECOT, POSTFIX, "/run/of/a/site/auth.sock"])
    assert said == STOP + "systemctl enable --now mailauth-auth.socket mailauth-auth-postfix.socket"


def test_a_socket_that_is_not_configured_is_not_started() -> None:
    assert systemd_units.advice(POSTFIX, [POSTFIX]) == STOP + "systemctl enable --now mailauth-auth-postfix.socket"


def test_a_socket_without_a_unit_needs_one() -> None:
    assert systemd_units.advice("/run/of/a/site/auth.sock", [DOVECOT]).startswith("make a .socket unit for it")
