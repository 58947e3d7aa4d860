"""What other software writes about authenticators: values of PHP's, exports, and what is said of bad ones."""

from pathlib import Path

import pytest

from mailauth.effects.imports import Found, Left, otpauth, otpauth_migration, php_values, seeds
from mailauth.vocabulary.errors import InvalidValue
from mailauth.vocabulary.model import TotpParameters
from tests.cases import case
from tests.estates.factors import SEED, WRITTEN, export, field


def test_values_of_php_are_read() -> None:
    for written, value in (
        (b"N;", None),
        (b"b:1;", True),
        (b"i:-7;", -7),
        (b"d:0.5;", 0.5),
        (b's:3:"a"b";', b'a"b'),
        (b'a:2:{i:0;s:0:"";s:1:"k";a:1:{i:1;b:0;}}', {0: b"", b"k": {1: False}}),
    ):
        with case(written):
            assert php_values.loads(written) == value


def test_what_is_no_value_of_php_or_an_object_is_refused() -> None:
    for written in (
        b"",
        b"i:1",
        b"i:x;",
        b's:5:"abc";',
        b"a:1:{i:0;}",
        b"a:1:{N;N;}",
        b"a:0:{",
        b"i:1;i:2;",
        b'O:8:"stdClass":0:{}',
        b"a:1:{i:0;" * 40 + b"N;" + b"}" * 40,
        b"a:9999999:{",
    ):
        with case(written), pytest.raises((ValueError, TypeError)):
            php_values.loads(written)


def test_seed_is_read_however_it_is_written() -> None:
    for written in (WRITTEN, WRITTEN.lower(), f"{WRITTEN[:4]} {WRITTEN[4:8]}-{WRITTEN[8:]}", f"{WRITTEN}===="):
        with case(written):
            assert seeds.from_base32(written) == SEED
    assert seeds.from_hex(SEED.hex()) == seeds.from_hex(SEED.hex().upper()) == SEED


def test_bad_seed_is_refused_without_being_repeated() -> None:
    for read, written in (
        (seeds.from_base32, "0189"),
        (seeds.from_base32, "GEZDGNBV"),
        (seeds.from_base32, ""),
        (seeds.from_base32, WRITTEN * 20),
        (seeds.from_hex, "abc"),
        (seeds.from_hex, "zz" * 10),
        (seeds.from_hex, "ab" * 9),
    ):
        with case(written), pytest.raises(InvalidValue) as refused:
            read(written)
        assert not written or written not in str(refused.value)


def test_parameters_that_cannot_be_checked_are_refused() -> None:
    assert seeds.parameters("8", "60", "HmacSHA-256") == TotpParameters(8, 60, "SHA256")
    for digits, period_s, algorithm in ((7, 30, "SHA1"), (6, 45, "SHA1"), (6, 30, "MD5"), ("x", 30, "SHA1")):
        with case(digits, period_s, algorithm), pytest.raises(InvalidValue):
            seeds.parameters(digits, period_s, algorithm)


def test_key_uri_says_whose_it_is_and_how_its_codes_are_made() -> None:
    uri = (
        f"otpauth://totp/Hoster:anna%40example.org?secret={WRITTEN}&issuer=Hoster&digits=8&algorithm=SHA512&period=60"
    )
    assert otpauth.of_uri("line 1", uri) == Found("line 1", "anna@example.org", SEED, TotpParameters(8, 60, "SHA512"))
    assert otpauth.of_uri("line 1", f"otpauth://totp/anna?secret={WRITTEN}", "bob").owner == "bob"


def test_uri_that_cannot_be_taken_says_why_and_not_what() -> None:
    for uri, why in (
        (f"otpauth://hotp/anna?secret={WRITTEN}&counter=1", "it counts (HOTP)"),
        (f"otpauth://steam/anna?secret={WRITTEN}", "no otpauth://totp/"),
        (f"https://totp/anna?secret={WRITTEN}", "no otpauth://totp/"),
        ("otpauth://totp/anna", "cannot be read"),
        (f"otpauth://totp/anna?secret={WRITTEN}&digits=7", "7 digits"),
        (f"otpauth://totp/anna?secret={WRITTEN}&digits=x", "cannot be read"),
        (f"otpauth://totp/anna?secret={WRITTEN}&period=45", "45 s"),
        (f"otpauth://totp/anna?secret={WRITTEN}&algorithm=MD5", "cannot be read"),
        ("otpauth://totp/anna?secret=GEZDGNBV", "5 bytes"),
        (f"otpauth://totp/[?secret={WRITTEN}", ""),
        (f"otpauth://[x/anna?secret={WRITTEN}", "no URI"),
    ):
        with case(uri):
            record = otpauth.of_uri("line 1", uri)
            if why:
                assert isinstance(record, Left)
                assert why in record.why
                assert WRITTEN not in repr(record)


def test_export_of_google_authenticator_is_read(tmp_path: Path) -> None:
    """Its fields are those that the app's own exports have; the message is written here, field by field."""
    path = tmp_path / "export.txt"
    plain = field(1, SEED) + field(2, b"Hoster:anna@example.org") + field(3, b"Hoster") + field(4, 1) + field(5, 1)
    long = field(1, SEED) + field(2, b"bob") + field(4, 3) + field(5, 2) + field(6, 2)
    counting = field(1, SEED) + field(2, b"carol") + field(6, 1) + field(7, 300)
    path.write_text(export(plain + field(6, 2), long, counting, field(1, b"short") + field(2, b"dora"), b"\x07"))
    found = list(otpauth_migration.read(str(path)))
    assert found[:2] == [
        Found("the export, number 1", "anna@example.org", SEED),
        Found("the export, number 2", "bob", SEED, TotpParameters(8, 30, "SHA512")),
    ]
    left = [(each.owner, each.why) for each in found[2:] if isinstance(each, Left)]
    assert [owner for owner, _ in left] == ["carol", "dora", ""]
    assert ["counts" in left[0][1], "5 bytes" in left[1][1], "damaged" in left[2][1]] == [True] * 3


def test_export_that_is_cut_off_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "export.txt"
    whole = export(field(1, SEED) + field(2, b"anna"))
    for text in (whole[:60], whole.replace("data=", "data=*"), "otpauth-migration://offline\n" + whole[:50]):
        with case(text):
            path.write_text(text)
            assert not [each for each in otpauth_migration.read(str(path)) if isinstance(each, Found)]
    path.write_text("nothing\n")
    with pytest.raises(InvalidValue, match="nothing here begins with"):
        list(otpauth_migration.read(str(path)))
