"""PW7: hashes that other software has stored, each by one that it has made of `correct horse`, or of `password`."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.effects import password_schemes
from mailauth.effects.password_schemes import SCHEMES, is_locked, matches, require_known, settles, with_scheme
from mailauth.vocabulary.errors import HashUnreadable
from tests.cases import case

WHO = "anna@example.org"
BY_DOVECOT = """
{SHA1}L55TUjtiq8FBorTWAZ0jy6g129A=
{SSHA512}Uhc3Q9HHiNHGwo8AzxcUfHHzpqcK/VoaGr2C8Rglx42hfJ6aBUwgAbq4dORmJZTqVjicbngQXOVLtCPjXZiJjL1tgu0=
{SCRAM-SHA-256}4096,oP+VH+bjpjulW3HPLbEZhg==,yvpsuG+qz2xnkSrNxsGQsdp+Mhj8gcm75dHuH+J8pmU=,dF/TVJewdInL/PzTU3icAPBIPeB2H4PQXZIPSnsANXQ=
{BLF-CRYPT}$2y$05$PuQRNosNUn71FgxhjK2kYuu99pJzyRGWovusL6eZwVB.FrAm8Wz7u
{PLAIN}correct horse
{SHA512}VraY3v7bWkNbY0r+MyC7rz/c2SC2xQOkRvx7endrKY1HnRumqLYXgI6wv1ec6aldZoNHvKtxSQhayTyyeZUZew==
{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=
{DES-CRYPT}i2QVfcYfjAVZg
{CRYPT}$2y$05$.BIS/wDAS0pMCFSPmov.TO0JmGzVPqsktkAi0db3BgOF/I6zrKAxm
{SSHA}OF1/N2bnx8E53pxN1VOQJAqXuztQW5oW
{MD5-CRYPT}$1$lnmOJrF2$C0E6BCrDm252Zn7UHg/Ks1
{PLAIN-MD5}3cb4e732631f47e6eb961f34554b7cde
{SCRAM-SHA-1}4096,PVpHbw4pBs7N/w+qbhnMrw==,Gi3NrFiSD2dgqj22tyWCBydYkqk=,SZ45EPkkQbMtvNCuNY44SzODhsE=
{SHA512-CRYPT}$6$XW929JWlvEEuhNxo$.6u/mUAcjQetwbV2wmZp2TQ2xyQ.HangWjbFYkS1tBaKy1IUZLoPrTGI224mLxRj7TywydfLcRXwZlx/aTpCV0
{CLEAR}correct horse
{CLEARTEXT}correct horse
{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$FoG/jt+UcYLHXwmKaQ84BA$oI2JMZSIE/FVczpAwOnyux+GcUiAQUfFJZ2GiuV3hcQ
{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$h8eUgQM1I5YlT/ZS62zW+g$mUoMKIca1K2s05IYK6jNQYGKklJo1oLycp6v30qtiuM
{SSHA256}4zzuZKFKcLxd1WbMFbW+kddznqVHUo5uaQ6cXSqTGUZammW3
{MD5}$1$dNAhSc86$arbX7mDkP41Q4v8oZZucM1
{PBKDF2}$1$KrAj20BwZUs2ssAz$5000$52cdbac22b6df992a6152658faeab4d1d2272aa6
{SHA256}QQTTb42iwlQ0n4WDZ5Pr4CngyVcGOjTJHC6SAxh7VjE=
{PLAIN-TRUNC}correct horse
{SHA256-CRYPT}$5$yKKprEj43HZZ2QwP$UOkMfXQVNa.tTP0/yCcgvBlaGcKoELqjgkofE8IiWcB
{SMD5}P48vVDbuNjWTcuLn/yNMF2jcu04=
{DIGEST-MD5}806c82b74e99ba9dcf353310c59469d7
{LDAP-MD5}PLTnMmMfR+brlh80VUt83g==
""".strip().splitlines()
"""`doveadm pw -s SCHEME -p 'correct horse' -u anna@example.org`, Dovecot 2.3.19."""
NOT_BY_US = ("{OTP}sha1 1024 6a824e28726c681a c0d1f5ea3eace4eb", "{PLAIN-MD4}b4fe5d2ad49f136f957a7a6b1c029cd2")


@pytest.mark.parametrize("stored", BY_DOVECOT, ids=lambda stored: stored[1 : stored.index("}")])
def test_hash_of_dovecots_is_checked(stored: str) -> None:
    assert matches(stored, b"correct horse", WHO)
    for wrong in (b"correct hors", b"Correct horse", b"", b"x" * 512):
        if stored.startswith(("{DES-CRYPT}", "{PLAIN-TRUNC}")) and wrong == b"correct hors":
            continue  # eight characters count
        assert not matches(stored, wrong, WHO), wrong


def test_each_scheme_is_checked_in_the_encodings_that_its_suffix_names() -> None:
    digest = hashlib.sha256(b"correct horse").digest()
    for stored in (
        "{SHA256.HEX}" + digest.hex(),
        "{sha256.hex}" + digest.hex().upper(),
        "{SHA256}" + digest.hex(),
        "{SHA256.B64}" + base64.b64encode(digest).decode(),
        "{SHA256.BASE64}" + base64.b64encode(digest).decode(),
        "{PLAIN.B64}" + base64.b64encode(b"correct horse").decode(),
        "{PLAIN.HEX}" + b"correct horse".hex(),
        "{PLAIN-MD5.B64}" + base64.b64encode(hashlib.md5(b"correct horse").digest()).decode(),
    ):
        with case(stored):
            assert matches(stored, b"correct horse")
            assert not matches(stored, b"correct horsf")


def test_hash_without_a_prefix_is_known_by_its_form_or_by_the_default() -> None:
    bare = [stored.partition("}")[2] for stored in BY_DOVECOT if stored.partition("}")[2].startswith("$")]
    for stored in bare:
        with case(stored):
            if not stored.startswith("$1$KrAj20BwZUs2ssAz"):  # Dovecot's PBKDF2 looks like crypt's MD5 there
                assert matches(stored, b"correct horse")
    assert matches(hashlib.md5(b"correct horse").hexdigest(), b"correct horse", default="PLAIN-MD5")
    assert matches("correct horse", b"correct horse", default="PLAIN")
    assert matches("{MD5RAW}" + hashlib.md5(b"correct horse").hexdigest(), b"correct horse")
    with pytest.raises(HashUnreadable):
        matches("correct horse", b"correct horse")


BY_PASSLIB = (
    "$bcrypt-sha256$v=2,t=2b,r=5$DzTvPceJftWEZ2p4MbQr5O$bdbCaVh.oBQjwaL8nfnMRG5N9orxfhW",
    "$pbkdf2-sha256$1000$2FuLsfb.f6/1npMyhhCC8A$7wbt9e4Q7lHf/gmlrDzP9DzsJhzsrx6iN8ZqdgUdjZ4",
    "$pbkdf2-sha512$1000$854TYgyhtLb2/r8XglAqZQ$"
    "36Ps6jAggAbz2.pArm/81nfvja2CRmABs3OY9MRlylXBnHNauheUJf1uJsvSv5HxBW/1PaKdEKCtW0zr6.D41A",
)
"""Of `password`, by passlib 1.7.4."""


def test_hashes_of_passlib_are_checked() -> None:
    for stored in BY_PASSLIB:
        with case(stored):
            assert matches(stored, b"password")
            assert not matches(stored, b"passwore")


def test_hashes_of_389_and_freeipa_are_checked() -> None:
    salt = bytes(range(64))
    sha256 = hashlib.pbkdf2_hmac("sha256", b"correct horse", salt, 2048, 256)
    sha512 = hashlib.pbkdf2_hmac("sha512", b"correct horse", salt[:16], 1000, 64)
    written = [base64.b64encode(each).decode().rstrip("=") for each in (salt[:16], sha512)]
    for stored in (
        "{PBKDF2_SHA256}" + base64.b64encode((2048).to_bytes(4) + salt + sha256).decode(),
        "{PBKDF2-SHA512}" + "$".join(["1000", *written]),
        "{PBKDF2-SHA512}$" + "$".join(["1000", *written]),
    ):
        with case(stored):
            assert matches(stored, b"correct horse")
            assert not matches(stored, b"correct horsf")


def test_bcrypt_counts_72_bytes_and_fails_for_no_length() -> None:
    """As PHP and Dovecot have it: who could log in there can here."""
    long = b"x" * 72
    stored = "{BLF-CRYPT}$2y$04$abcdefghijklmnopqrstuu5Lo0g67CiD3M4RpN1BmBb4Crp5w7dbK"
    made = password_schemes._crypt_rn(long, stored.partition("}")[2][:29].encode())
    assert made is not None
    for tail in (b"", b"y", b"z" * 400):
        assert matches("{BLF-CRYPT}" + made.decode(), long + tail)
    assert not matches("{BLF-CRYPT}" + made.decode(), long[:71])


def test_what_would_cost_too_much_is_not_computed() -> None:
    for stored in (
        "{ARGON2ID}$argon2id$v=19$m=262145,t=1,p=1$c2FsdHNhbHQ$iOjo6OjoiOjo6OjoiOjo6Ojo",
        "{ARGON2ID}$argon2id$v=19$m=64,t=21,p=1$c2FsdHNhbHQ$iOjo6OjoiOjo6OjoiOjo6Ojo",
        "{ARGON2ID}$argon2id$v=19$m=209716,t=5,p=1$c2FsdHNhbHQ$iOjo6OjoiOjo6OjoiOjo6Ojo",
        "$2y$15$abcdefghijklmnopqrstuu5Lo0g67CiD3M4RpN1BmBb4Crp5w7dbK",
        "$6$rounds=1000001$saltsalt$" + "x" * 86,
        "$y$jET$saltsaltsaltsaltsalts.$" + "x" * 43,
        "{PBKDF2}$1$salt$1000001$" + "ab" * 20,
        "$pbkdf2-sha256$1000001$0ZrzXitFSGltTQnBWOsdeg$Y11AchqV4b0sUisdZd0Xr97KWoymNE0LNNrnEgY4H9M",
        "{PBKDF2-SHA256}500001$c2FsdA$" + base64.b64encode(b"x" * 33).decode(),  # two blocks, as 300 kB have 9,000
        "$pbkdf2-sha512$500001$c2FsdA$" + base64.b64encode(b"x" * 65).decode().rstrip("="),
        "{SCRAM-SHA-1}1000001,PVpHbw4pBs7N/w+qbhnMrw==,Gi3NrFiSD2dgqj22tyWCBydYkqk=,x",
    ):
        with case(stored), pytest.raises(HashUnreadable, match="too much"):
            matches(stored, b"x")


def test_parameters_of_yescrypt_that_no_system_writes_are_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """This one has a cost below the bound, and takes more than a gigabyte by its blocks."""
    monkeypatch.setattr(password_schemes, "_crypt_rn", lambda *_: pytest.fail("it was computed"))
    with pytest.raises(HashUnreadable, match="damaged"):
        matches("$y$j8szz$saltsaltsaltsaltsalts.$" + "x" * 43, b"x")


@pytest.mark.parametrize(
    ("stored", "counted"),
    [
        ("{DES-CRYPT}i2QVfcYfjAVZg", 8),
        ("i2QVfcYfjAVZg", 8),
        ("{BLF-CRYPT}$2y$05$PuQRNosNUn71FgxhjK2kYuu99pJzyRGWovusL6eZwVB.FrAm8Wz7u", 72),
        ("$2a$05$PuQRNosNUn71FgxhjK2kYuu99pJzyRGWovusL6eZwVB.FrAm8Wz7u", 72),
        ("{PLAIN-TRUNC}10-correct ho", 10),
        ("{PLAIN-TRUNC}correct horse", None),
        ("{PLAIN}correct horse", None),
        ("{MD5-CRYPT}$1$lnmOJrF2$C0E6BCrDm252Zn7UHg/Ks1", None),
        ("$bcrypt-sha256$v=2,t=2b,r=12$n79VH.0Q2TMWmt3Oqt9uku$Kq4Noyk3094Y2QlB8NdRT8SvGiI4ft2", None),
    ],
)
def test_hash_of_a_part_of_the_password_is_known_as_one(stored: str, counted: int | None) -> None:
    """A password of just so many bytes may be the beginning of a longer one."""
    if counted is None:
        assert settles(stored, b"x" * 400)
    else:
        assert settles(stored, b"x" * (counted - 1))
        assert not settles(stored, b"x" * counted)


def test_locked_hash_is_known_by_its_mark() -> None:
    """shadow(5): nobody's password matches, and no more is meant."""
    locked = ("*", "!", "!!", "*LK*", "!$6$salt$x", "{CRYPT}!", "{CRYPT}*", "{BLF-CRYPT}!$2y$05$x", "{sha512-crypt}*")
    assert [each for each in locked if not is_locked(each)] == []
    others = ("", "{PLAIN}!", "{PLAIN}*secret", "$6$salt$x", "{NOSUCH}!", "{SHA}!")
    assert [each for each in others if is_locked(each)] == []
    assert not is_locked("!secret", "PLAIN")


def test_what_cannot_be_checked_is_named_by_its_scheme_alone() -> None:
    for stored in NOT_BY_US:
        with case(stored), pytest.raises(HashUnreadable, match="cannot be checked here") as refused:
            matches(stored, b"correct horse")
        assert stored.partition("}")[2] not in str(refused.value)


@given(
    st.sampled_from([*SCHEMES, "NOSUCH"]),
    st.sampled_from(["", ".HEX", ".B64", ".X"]),
    st.text(st.characters(codec="utf-8"), max_size=80) | st.from_regex(r"[$][0-9a-z]{1,3}[$][ -~]{0,60}"),
)
def test_nothing_but_right_wrong_or_unreadable_comes_of_any_hash(kind: str, suffix: str, written: str) -> None:
    try:
        found = matches(f"{{{kind}{suffix}}}{written}", b"correct horse", WHO)
    except HashUnreadable as error:
        said = str(error)
    else:
        said = ""
        assert found in (True, False)
    assert len(written) < 8 or written not in said


def test_what_can_be_checked_is_told_without_computing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """An estate's 40,000 hashes are looked at in seconds, whatever each of them costs."""

    def computed(*_: object) -> bytes:
        raise AssertionError("a slow hash was computed")

    yescrypt = "$y$j9T$saltsaltsaltsaltsalts.$5Uq1M7FGJVZ1rWqbo8nRdu1XULNVYJXvLOd2ut9z6q3"
    require_known(yescrypt)
    for place in ("_crypt_rn", "argon2.PasswordHasher", "hashlib.pbkdf2_hmac"):
        monkeypatch.setattr(f"mailauth.effects.password_schemes.{place}", computed)
    for stored in (*BY_DOVECOT, *BY_PASSLIB):
        with case(stored):
            require_known(stored)
    for stored in NOT_BY_US:
        with case(stored), pytest.raises(HashUnreadable, match="cannot be checked here"):
            require_known(stored)
    for stored in (
        "$2y$15$" + "a" * 53,
        "{ARGON2ID}$argon2id$v=19$m=262145,t=1,p=1$c2FsdHNhbHQ$iOjo6OjoiOjo6OjoiOjo6Ojo",
    ):
        with case(stored), pytest.raises(HashUnreadable, match="too much"):
            require_known(stored)


_DIGEST = st.text("./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", max_size=90)
_WRITTEN = st.one_of(
    st.builds(
        "$2{}${:02}${}".format, st.sampled_from("abxy"), st.integers(0, 5), _DIGEST.filter(lambda d: len(d) > 2)
    ),
    st.from_regex(r"[$]2[abxy][$]0[0-5][$][./A-Za-z0-9]{53}", fullmatch=True),
    st.from_regex(r"[$]5[$](rounds=[0-9]{1,4}[$])?[./A-Za-z0-9]{0,17}[$][./A-Za-z0-9]{43}", fullmatch=True),
    st.from_regex(r"[$]6[$](rounds=[0-9]{1,4}[$])?[./A-Za-z0-9]{0,17}[$][./A-Za-z0-9]{85,86}", fullmatch=True),
    st.from_regex(
        r"[$]y[$]j[./0-9]([5T]|[./A-Za-z0-9]{1,4})[$][./A-Za-z0-9]{0,24}[$][./A-Za-z0-9]{43}", fullmatch=True
    ),
    st.from_regex(
        r"[$]argon2(i|d|id)[$]v=0?1[0-9][$]m=[0-9]{1,2},t=[0-3],p=[0-3][$][+/A-Za-z0-9]{1,30}=?[$][+/A-Za-z0-9]{1,30}",
        fullmatch=True,
    ),
    st.from_regex(
        r"[$]bcrypt-sha256[$][vtr]=2,t=2[abc],r=0?[3-5][$][./A-Za-z0-9]{22}[$][./A-Za-z0-9]{31}", fullmatch=True
    ),
    st.from_regex(
        r"[$]pbkdf2(-sha(256|512|1))?[$][0-9]{1,3}[$][./A-Za-z0-9]{0,9}[$][./A-Za-z0-9]{0,30}", fullmatch=True
    ),
    st.builds("{{{}}}{}".format, st.sampled_from([*SCHEMES]), st.text(st.characters(codec="utf-8"), max_size=60)),
)


@given(_WRITTEN)
def test_what_passes_without_being_computed_can_be_computed(stored: str) -> None:
    """Otherwise an account is taken over that nobody can log in to."""
    try:
        require_known(stored)
    except HashUnreadable as error:
        with pytest.raises(HashUnreadable, match=str(error)):
            matches(stored, b"correct horse", WHO)
    else:
        assert matches(stored, b"correct horse", WHO) in (True, False)


def test_default_is_written_before_what_does_not_say_its_scheme() -> None:
    bare = hashlib.md5(b"correct horse").hexdigest()
    assert matches(with_scheme(bare, "PLAIN-MD5"), b"correct horse")
    for stored in ("{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=", *BY_PASSLIB):
        assert with_scheme(stored, "PLAIN-MD5") == stored
    assert with_scheme("i2QVfcYfjAVZg", "CRYPT") == "i2QVfcYfjAVZg"
