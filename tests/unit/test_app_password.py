"""APP1: the shape of app passwords, and what they open."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest

from mailauth.core import alphabet, app_password
from mailauth.core.app_password import Token
from mailauth.vocabulary.model import AccountName, AppPassword
from mailauth.vocabulary.reasons import WhyDenied
from tests.cases import case

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
DEVICE = AppPassword(
    id=7,
    account_id=3,
    account=AccountName("alice@mailitwize.be"),
    name="telephone",
    selector="abcde",
    key_id="1",
    digest=b"d" * 32,
    services=frozenset(),
    networks=(),
    created_at=NOW - timedelta(days=1),
    expires_at=None,
    revoked_at=None,
    account_disabled=False,
)
TOKEN = app_password.generate(lambda size: bytes(range(size)))


def test_generated_app_password_is_the_golden_one() -> None:
    """The format is in people's mail clients: it must not change."""
    assert TOKEN == "aaasea2eawdaqcajbifs25eq"
    assert app_password.recognise(TOKEN.encode()) == Token("aaase", b"a2eawdaqcajbifs2")


def test_checksum_is_the_one_of_the_format() -> None:
    """Ten bits and a letter of the SHA-256 over a label and the body, whatever way the code computes them."""
    for seed in range(40):
        with case(seed):
            drawn = hashlib.sha256(bytes([seed])).digest()[:14]
            token = app_password.generate(lambda _, drawn=drawn: drawn)
            digest = hashlib.sha256(b"mailauth app password\x00" + token[:21].encode()).digest()
            number = int.from_bytes(digest[:2], "big") >> 6
            letter = "abcdefghijkmnpqrstuvwxyz"[digest[2] % 24]
            assert token[21:] == alphabet.ALPHABET[number >> 5] + alphabet.ALPHABET[number & 31] + letter


@pytest.mark.parametrize("body", [b"0" * 21, b"a" * 20 + b"l", b"o" * 21, b"\xff" * 21, "é".encode() * 10 + b"a"])
def test_right_checksum_over_other_characters_is_no_app_password(body: bytes) -> None:
    assert app_password.recognise(body + app_password._checksum(body).encode()) is None


def test_generation_draws_once_what_it_needs() -> None:
    drawn: list[int] = []

    def draw(size: int) -> bytes:
        drawn.append(size)
        return b"\xff" * size

    assert app_password.generate(draw)[:21] == "9" * 21
    assert drawn == [14]  # 21 characters are 105 bits


def test_generated_app_password_has_24_characters_and_ends_in_a_letter() -> None:
    assert len(TOKEN) == 24
    assert set(TOKEN) <= set(alphabet.ALPHABET)
    assert TOKEN[-1] in alphabet.LETTERS


def test_grouping_and_case_do_not_matter() -> None:
    for typed in (
        TOKEN,
        TOKEN.upper(),
        alphabet.grouped(TOKEN),
        alphabet.grouped(TOKEN).upper(),
        alphabet.grouped(TOKEN).replace("-", " "),
        " ".join(TOKEN),
        "-".join(TOKEN),
        f" {TOKEN} ",
    ):
        with case(typed):
            assert app_password.recognise(typed.encode()) == Token(TOKEN[:5], TOKEN[5:21].encode())


def test_pasted_app_password_is_read_with_what_pasting_brings_along() -> None:
    """NAME4: what a login hears is not read so; there, those bytes belong to a password."""
    shown = "-".join(TOKEN[at : at + 4] for at in range(0, 24, 4))
    read = app_password.recognise(TOKEN.encode())
    assert read is not None
    for pasted in (TOKEN, shown, f"\ufeff{shown}\u00a0", shown.replace("-", "\u2011"), shown.replace("-", "\u2009")):
        with case(pasted):
            assert app_password.read(pasted.encode()) == read
    assert app_password.read(shown.replace("-", "\u2011").encode() * 9) is None
    assert app_password.read(b"\xff" * 24) is None


def test_other_shapes_are_not_app_passwords() -> None:
    for typed in (
        "",
        TOKEN[:-1],
        TOKEN + "a",
        TOKEN + "\n",
        TOKEN + "\t",
        TOKEN.replace("a", "o"),
        "x" * 24,
        " " * 24,
        " ".join(TOKEN) + " ",
        "  ".join(TOKEN),
        TOKEN + "123456",
        "correct horse" + TOKEN,
        alphabet.grouped(TOKEN).replace("-", "_"),
        alphabet.grouped(TOKEN).replace("-", "\u2011"),
    ):
        with case(typed):
            assert app_password.recognise(typed.encode()) is None


def test_every_character_is_covered_by_the_checksum() -> None:
    for place in range(24):
        with case(place):
            changed = "b" if TOKEN[place] != "b" else "c"
            assert app_password.recognise((TOKEN[:place] + changed + TOKEN[place + 1 :]).encode()) is None


def test_longest_typing_has_a_separator_between_any_two() -> None:
    assert app_password.recognise(" ".join(TOKEN).encode()) is not None
    assert len(" ".join(TOKEN)) == 47
    assert app_password.recognise((" ".join(TOKEN) + " ").encode()) is None


def test_app_password_without_limits_opens_mail_from_anywhere() -> None:
    assert app_password.refusal(DEVICE, "imap", None, NOW) is None
    assert app_password.refusal(DEVICE, "smtp", ip_address("2001:db8::1"), NOW) is None


@pytest.mark.parametrize("services", [(), ("imap",)])
def test_app_password_never_opens_the_portal(services: tuple[str, ...]) -> None:
    device = replace(DEVICE, services=frozenset(services))
    assert app_password.refusal(device, "portal", None, NOW) is WhyDenied.APP_PASSWORD_SERVICE


def test_app_password_opens_its_services_only() -> None:
    device = replace(DEVICE, services=frozenset({"imap", "sieve"}))
    assert app_password.refusal(device, "imap", None, NOW) is None
    assert app_password.refusal(device, "managesieve", None, NOW) is None
    assert app_password.refusal(device, "pop3", None, NOW) is WhyDenied.APP_PASSWORD_SERVICE
    assert app_password.refusal(device, "", None, NOW) is WhyDenied.APP_PASSWORD_SERVICE


def test_app_password_works_from_its_networks_only() -> None:
    device = replace(DEVICE, networks=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/64")))
    for inside in ("192.0.2.0", "192.0.2.255", "2001:db8::7"):
        assert app_password.refusal(device, "imap", ip_address(inside), NOW) is None
    for outside in ("192.0.3.0", "192.0.1.255", "2001:db8:0:1::7"):
        refused = app_password.refusal(device, "imap", ip_address(outside), NOW)
        assert refused is WhyDenied.APP_PASSWORD_NETWORK


def test_app_password_with_networks_is_refused_where_the_address_is_not_known() -> None:
    device = replace(DEVICE, networks=(ip_network("0.0.0.0/0"),))
    assert app_password.refusal(device, "imap", None, NOW) is WhyDenied.APP_PASSWORD_NETWORK


@pytest.mark.parametrize(("seconds", "is_over"), [(-1, True), (0, True), (1, False)])
def test_app_password_ends_at_its_expiry(seconds: int, is_over: bool) -> None:
    device = replace(DEVICE, expires_at=NOW + timedelta(seconds=seconds))
    assert app_password.refusal(device, "imap", None, NOW) == (WhyDenied.APP_PASSWORD_EXPIRED if is_over else None)
    assert app_password.is_live(device, NOW) is not is_over


def test_revoked_app_password_is_refused_and_not_live() -> None:
    device = replace(DEVICE, revoked_at=NOW)
    assert app_password.refusal(device, "imap", None, NOW) is WhyDenied.APP_PASSWORD_REVOKED
    assert not app_password.is_live(device, NOW)
    assert app_password.is_live(DEVICE, NOW)


def test_disabled_account_comes_before_every_other_reason() -> None:
    device = replace(DEVICE, account_disabled=True, revoked_at=NOW - timedelta(minutes=1), expires_at=NOW)
    assert app_password.refusal(device, "portal", None, NOW) is WhyDenied.ACCOUNT_DISABLED
    assert app_password.refusal(replace(device, account_disabled=False), "portal", None, NOW) is (
        WhyDenied.APP_PASSWORD_REVOKED
    )
