"""OTP6: what an authenticator app scans."""

from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qsl, urlsplit

import pyotp
import pytest

from mailauth.core import otp

SEED = b"12345678901234567890"


def test_uri_is_the_golden_one() -> None:
    assert otp.uri(SEED, "user@mailitwize.be", "Mail-IT-Wize") == (
        "otpauth://totp/Mail-IT-Wize:user%40mailitwize.be?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Mail-IT-Wize"
    )


def test_uri_has_no_parameter_that_apps_ignore() -> None:
    parameters = dict(parse_qsl(urlsplit(otp.uri(SEED, "a@b.example", "P")).query, strict_parsing=True))
    assert set(parameters) == {"secret", "issuer"}


@pytest.mark.parametrize(
    ("account", "issuer"),
    [
        ("user@mailitwize.be", "Mail-IT-Wize"),
        ("zoë@xn--bcher-kva.example", "Café Müller & Söhne"),
        ("ユーザー@example.jp", "メール"),
        ("a+b=c?d#e&f@example.org", "50% off / 7 days"),
        ("o'neill@example.org", "Provider, with spaces"),
    ],
)
def test_uri_is_read_back_as_it_was_written(account: str, issuer: str) -> None:
    uri = otp.uri(SEED, account, issuer)
    assert uri.isascii()
    assert " " not in uri
    read = pyotp.parse_uri(uri)
    assert isinstance(read, pyotp.TOTP)
    assert (read.name, read.issuer, read.secret) == (account, issuer, otp.base32(SEED))
    assert (read.digits, read.interval, read.digest().name) == (6, 30, "sha1")


def test_issuer_stands_in_label_and_parameter() -> None:
    parts = urlsplit(otp.uri(SEED, "a@b.example", "Two Words"))
    assert parts.path == "/Two%20Words:a%40b.example"
    assert dict(parse_qsl(parts.query))["issuer"] == "Two Words"


@pytest.mark.parametrize(("account", "issuer"), [("a@b.example", "Mail:IT"), ("a:b@c.example", "Mail")])
def test_colon_is_refused_in_issuer_and_account(account: str, issuer: str) -> None:
    with pytest.raises(ValueError, match="colon"):
        otp.uri(SEED, account, issuer)


def test_first_authenticator_is_called_as_the_account_and_another_one_by_its_day_or_time() -> None:
    """FAC3: some apps put a new entry into the place of one with the same label, at once."""
    east, begun = (
        timezone(timedelta(hours=2)),
        datetime(2026, 3, 31, 22, 5, tzinfo=UTC),
    )  # the next day, there

    def named(in_force_since: datetime | None) -> str:
        return otp.label("a@b.example", begun, in_force_since, east)

    assert named(None) == "a@b.example"
    assert named(datetime(2025, 4, 1, tzinfo=UTC)) == "a@b.example 2026-04-01"
    assert named(datetime(2026, 3, 31, 21, 59, tzinfo=UTC)) == "a@b.example 2026-04-01"
    assert named(datetime(2026, 3, 31, 22, 0, tzinfo=UTC)) == "a@b.example 2026-04-01 00.05"
