"""Password hashes that other software has stored: of which scheme one is, and whether a password matches it.

The schemes are Dovecot's (its manual's "Password schemes": `{SCHEME}` or `{SCHEME.HEX}` before the hash), what
crypt(5) knows (`$6$...`, with or without `{CRYPT}`), passlib's and those of the 389 directory server. argon2-cffi,
libxcrypt and hashlib do the work. One hash is computed, whatever the answer; no error repeats anything of it.

Not here, since nothing that is installed can check them: OTP, CRAM-MD5 and HMAC-MD5 (a state of MD5, not a hash of
the password), PLAIN-MD4. Makes no hashes; that is `passwords.py`.
"""

import base64
import binascii
import ctypes
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from typing import NamedTuple

import argon2
from argon2.exceptions import InvalidHash, VerificationError, VerifyMismatchError

from mailauth.vocabulary.errors import HashUnreadable

MAX_ARGON2_KIB = 256 * 1024
MAX_ARGON2_PASSES = 20
MAX_ARGON2_WORK_KIB = 1024 * 1024
"""Memory by passes: what a login waits for. With both bounds above used up it would be most of its deadline."""
MAX_BCRYPT_COST = 14
MIN_BCRYPT_COST = 4
"""What crypt_blowfish takes at least."""
MAX_ROUNDS = 1_000_000
"""Of sha-crypt, PBKDF2 and SCRAM; of PBKDF2 for all blocks of the hash together (RFC 8018 s5.2). Beyond these one
login would keep a core, or all memory, for seconds."""
MAX_YESCRYPT_COST = "D"
"""As `$y$jDT$` has it: 256 MiB."""
_LEAST_YESCRYPT_COST = "0"

_PREFIX = re.compile(r"\{([A-Za-z0-9_-]+)(?:\.([A-Za-z0-9]+))?\}(.*)", re.DOTALL)
MAX_CRYPT_BYTES = 511
"""crypt(3): CRYPT_MAX_PASSPHRASE_SIZE, with its NUL. A longer password is computed as well, and never right."""
BCRYPT_BYTES, DES_BYTES = 72, 8
"""How many bytes of a password count at most (crypt(5))."""
_CRYPT_DATA_BYTES = 32768
"""crypt_rn(3): the size of `struct crypt_data`, which libxcrypt's ABI has fixed."""
_BCRYPT = re.compile(r"\$2[abxy]\$(\d\d)\$[./A-Za-z0-9]{53}")
_SHA_CRYPT = re.compile(
    r"\$(?:(5)|6)\$(?:rounds=([1-9]\d{3,8})\$)?[^$:\n]{0,16}\$(?(1)[./A-Za-z0-9]{43}|[./A-Za-z0-9]{86})"
)
_YESCRYPT = re.compile(r"(\$g?y\$j)([/0-9A-Za-z])([5T]\$[./A-Za-z0-9]{0,86}\$[./A-Za-z0-9]{43})")
"""With the parameters that crypt_gensalt(3) writes: cost, and 8 or 32 blocks. Others may take any memory and time."""
_MD5_CRYPT = re.compile(r"\$1\$[^$:\n]{0,8}\$[./A-Za-z0-9]{22}")
_DES_CRYPT = re.compile(r"[./A-Za-z0-9]{13}")
_ARGON2 = re.compile(
    r"\$argon2(?:i|d|id)\$v=[1-9]\d{0,8}\$m=([1-9]\d{0,8}),t=([1-9]\d{0,8}),p=([1-9]\d{0,2})\$([^$]+)\$([^$]+)"
)
_COST = re.compile(r"\$2[abxy]\$\d\d|\$argon2\w+\$v=\d+\$[^$]+|\$\w+\$rounds=\d+|\$y\$\w+|\$\w*(?=\$)")
"""What of a hash tells how long it takes."""
_DAMAGED = (ValueError, TypeError, LookupError)
"""What reading a hash raises that is not as its scheme writes it; errors of base64 and of Unicode are among them."""
_DIGITS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""Of crypt(5), in their order."""


class Encoding(Enum):
    """How the bytes of a hash are written where the prefix does not say it."""

    TEXT = auto()  # the scheme has a form of its own
    HEX = auto()
    BASE64 = auto()


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a stored hash is written, and how a password is compared with it.

    `matches` gets the password, the hash (decoded unless it is text) and the account's name. `size`: of an unsalted
    hash in bytes, by which Dovecot tells hexadecimal from base64. `read`: the part of `matches` that costs nothing,
    where the rest of it costs much; it raises what that raises. `counts`: how many bytes of a password at most, where
    that is bounded.
    """

    matches: Callable[[bytes, bytes, str], bool]
    form: Encoding = Encoding.TEXT
    size: int | None = None
    read: Callable[[bytes], object] | None = None
    counts: Callable[[bytes], int | None] | None = None


def matches(stored: str, password: bytes, name: str = "", default: str = "CRYPT") -> bool:
    """Tell whether a password matches a stored hash.

    `name`: the account's, which DIGEST-MD5 hashes along. `default`: the scheme of what has no prefix and no form that
    tells it. Raises HashUnreadable, without the hash, for a scheme that is not known here, a damaged hash, or one that
    would cost too much.
    """
    scheme, written = _read(stored, default)
    try:
        return scheme.matches(password, written, name)
    except _DAMAGED as error:
        raise HashUnreadable("a stored password hash is damaged") from error


def require_known(stored: str, default: str = "CRYPT") -> None:
    """Raise what `matches` would raise, in microseconds: no hash is computed of schemes that are made to be slow."""
    scheme, written = _read(stored, default)
    try:
        if scheme.read is not None:
            scheme.read(written)
        else:
            scheme.matches(b"", written, "")
    except _DAMAGED as error:
        raise HashUnreadable("a stored password hash is damaged") from error


def is_locked(stored: str, default: str = "CRYPT") -> bool:
    """Tell whether a stored hash is nobody's on purpose: of crypt's, with `!` or `*` before it (shadow(5))."""
    prefix = _PREFIX.fullmatch(stored)
    kind, written = (prefix[1], prefix[3]) if prefix else (_unprefixed(stored, default), stored)
    return written.startswith(("!", "*")) and SCHEMES.get(kind.upper().replace("_", "-")) is _CRYPT


def settles(stored: str, password: bytes, default: str = "CRYPT") -> bool:
    """Tell whether a hash that matches a password matches no longer one: some schemes leave out what is at its end.

    `password` may be other than its owner's where that is not so. Raises HashUnreadable.
    """
    scheme, written = _read(stored, default)
    counted = None if scheme.counts is None else scheme.counts(written)
    return counted is None or len(password) < counted


def with_scheme(stored: str, default: str) -> str:
    """Return a hash that needs no default: as it is, or with the name of the default where it does not say its own.

    `default`: one of `SCHEMES`.
    """
    if _PREFIX.fullmatch(stored) or _unprefixed(stored, "") or default == "CRYPT":
        return stored
    return f"{{{default}}}{stored}"


def kind(stored: str, default: str = "CRYPT") -> str:
    """Return what tells how long a hash takes: its scheme, and of crypt's forms which, with its cost."""
    prefix = _PREFIX.fullmatch(stored)
    written = prefix[3] if prefix else stored
    cost = _COST.match(written)
    scheme = (prefix[1] if prefix else _unprefixed(stored, default)).upper()
    return f"{scheme} {cost[0] if cost else ''}"


def _read(stored: str, default: str) -> tuple[Scheme, bytes]:
    prefix = _PREFIX.fullmatch(stored)
    kind, encoding, written = prefix.groups() if prefix else (_unprefixed(stored, default), None, stored)
    scheme = SCHEMES.get(kind.upper().replace("_", "-"))
    if scheme is None:
        raise HashUnreadable(f"a stored password hash is of a scheme that cannot be checked here: {{{kind.upper()}}}")
    if scheme.form is Encoding.TEXT and encoding is None:
        return scheme, written.encode()
    try:
        return scheme, _decoded(written, scheme, encoding)
    except (ValueError, binascii.Error) as error:
        raise HashUnreadable("a stored password hash is damaged") from error


def _unprefixed(stored: str, default: str) -> str:
    """Return the scheme of a hash that stands there without one, by its form."""
    for beginning, kind in (
        ("$argon2", "ARGON2"),
        ("$bcrypt-sha256$", "BCRYPT-SHA256"),
        ("$pbkdf2-sha256$", "PASSLIB-PBKDF2"),
        ("$pbkdf2-sha512$", "PASSLIB-PBKDF2"),
        ("$pbkdf2$", "PASSLIB-PBKDF2"),
        ("$", "CRYPT"),
    ):
        if stored.startswith(beginning):
            return kind
    return default


def _decoded(written: str, scheme: Scheme, encoding: str | None) -> bytes:
    """Return the bytes of a hash: as the suffix says, else as Dovecot tells it, by the length of an unsalted one."""
    form = {None: scheme.form, "HEX": Encoding.HEX, "B64": Encoding.BASE64, "BASE64": Encoding.BASE64}.get(
        None if encoding is None else encoding.upper()
    )
    if form is None:
        raise ValueError("no such encoding")
    if encoding is None and scheme.size is not None and "=" not in written:
        form = Encoding.HEX if len(written) == 2 * scheme.size else Encoding.BASE64
    if form is Encoding.HEX:
        return bytes.fromhex(written)
    return base64.b64decode(written + "=" * (-len(written) % 4), validate=True)


def _digest(algorithm: str) -> Callable[[bytes, bytes, str], bool]:
    def matches(password: bytes, stored: bytes, _name: str) -> bool:
        found = hashlib.new(algorithm, password, usedforsecurity=False).digest()
        if len(stored) != len(found):
            raise ValueError("of another length")
        return _same(found, stored)

    return matches


def _salted(algorithm: str) -> Callable[[bytes, bytes, str], bool]:
    """The digest of password and salt, with the salt behind it (draft-stroeder-hashed-userpassword-values)."""
    size = hashlib.new(algorithm, usedforsecurity=False).digest_size

    def matches(password: bytes, stored: bytes, _name: str) -> bool:
        if len(stored) <= size:
            raise ValueError("no salt")
        found = hashlib.new(algorithm, password + stored[size:], usedforsecurity=False).digest()
        return _same(found, stored[:size])

    return matches


def _plain(password: bytes, stored: bytes, _name: str) -> bool:
    return _same(password, stored)


def _plain_truncated(password: bytes, stored: bytes, _name: str) -> bool:
    """Dovecot's PLAIN-TRUNC: `8-password`, of which 8 characters count; without a number all do."""
    count, dash, rest = stored.partition(b"-")
    if not dash or not count.isdigit():
        return _same(password, stored)
    return _same(password[: int(count)], rest)


def _counted_of_truncated(stored: bytes) -> int | None:
    count, dash, _ = stored.partition(b"-")
    return int(count) if dash and count.isdigit() else None


def _digest_md5(password: bytes, stored: bytes, name: str) -> bool:
    """The A1 of DIGEST-MD5 (RFC 2831 s2.1.2.1): user, realm and password."""
    user, _, realm = name.rpartition("@") if "@" in name else (name, "", "")
    found = hashlib.md5(b":".join((user.encode(), realm.encode(), password)), usedforsecurity=False).digest()
    return _same(found, stored)


class _Pbkdf2(NamedTuple):
    """What a hash by PBKDF2 says; the SCRAM schemes are one with a step behind it."""

    algorithm: str
    salt: bytes
    rounds: int
    expected: bytes

    def checked(self) -> "_Pbkdf2":
        """Return it. Raises ValueError, and HashUnreadable for what costs too much."""
        if self.rounds < 1 or not self.expected:
            raise ValueError("no rounds, or no hash")
        blocks = -(-len(self.expected) // hashlib.new(self.algorithm).digest_size)
        _require_bearable(self.rounds * blocks <= MAX_ROUNDS)
        return self

    def of(self, password: bytes, size: int | None) -> bytes:
        return hashlib.pbkdf2_hmac(self.algorithm, password, self.salt, self.rounds, size)


def _pbkdf2(read: Callable[[bytes], _Pbkdf2]) -> Scheme:
    def matches(password: bytes, stored: bytes, _name: str) -> bool:
        its = read(stored).checked()
        return _same(its.of(password, len(its.expected)), its.expected)

    return Scheme(matches, read=lambda stored: read(stored).checked())


def _read_pbkdf2_of_dovecot(stored: bytes) -> _Pbkdf2:
    """`$1$salt$rounds$hash`, PBKDF2-HMAC-SHA-1 with the salt as it is written."""
    empty, version, salt, rounds, digest = stored.decode("ascii").split("$")
    if empty or version != "1":
        raise ValueError("another version")
    return _Pbkdf2("sha1", salt.encode(), int(rounds), bytes.fromhex(digest))


def _read_pbkdf2_of_passlib(stored: bytes) -> _Pbkdf2:
    """`$pbkdf2-sha256$rounds$salt$hash`, both in base64 with a dot for the plus and without padding."""
    _, kind, rounds, salt, digest = stored.decode("ascii").split("$")
    algorithm = {"pbkdf2": "sha1", "pbkdf2-sha256": "sha256", "pbkdf2-sha512": "sha512"}[kind]
    return _Pbkdf2(algorithm, _ab64(salt), int(rounds), _ab64(digest))


def _pbkdf2_of_389(algorithm: str) -> Scheme:
    """`rounds$salt$hash` in base64, as FreeIPA and mailcow have it; `{PBKDF2_SHA256}` has all of that in one piece.

    The piece is 4 bytes of rounds, 64 of salt and 256 of hash.
    """

    def read(stored: bytes) -> _Pbkdf2:
        if b"$" in stored:
            rounds, salt, digest = (each.decode("ascii") for each in stored.lstrip(b"$").split(b"$"))
            return _Pbkdf2(algorithm, _ab64(salt), int(rounds), _ab64(digest))
        whole = base64.b64decode(stored, validate=True)
        return _Pbkdf2(algorithm, whole[4:68], int.from_bytes(whole[:4]), whole[68:])

    return _pbkdf2(read)


def _scram(algorithm: str) -> Scheme:
    """`rounds,salt,StoredKey,ServerKey` (RFC 5802 s3)."""

    def read(stored: bytes) -> _Pbkdf2:
        rounds, salt, stored_key, _server_key = stored.split(b",")
        expected = base64.b64decode(stored_key, validate=True)
        return _Pbkdf2(algorithm, base64.b64decode(salt, validate=True), int(rounds), expected).checked()

    def matches(password: bytes, stored: bytes, _name: str) -> bool:
        its = read(stored)
        client_key = hmac.digest(its.of(password, None), b"Client Key", algorithm)
        return _same(hashlib.new(algorithm, client_key).digest(), its.expected)

    return Scheme(matches, read=read)


def _argon2(password: bytes, stored: bytes, _name: str) -> bool:
    _read_argon2(stored)
    try:
        return argon2.PasswordHasher().verify(stored, password)
    except VerifyMismatchError:
        return False
    except (InvalidHash, VerificationError) as error:
        raise ValueError("no argon2 hash") from error


def _read_argon2(stored: bytes) -> None:
    """Raise for what libargon2 would refuse (its `validate_inputs` and `decode_string`), or what costs too much."""
    parameters = _ARGON2.fullmatch(stored.decode("ascii"))
    if parameters is None:
        raise ValueError("no argon2 hash")
    memory_kib, passes, lanes = (int(parameters[n]) for n in (1, 2, 3))
    salt, digest = (_unpadded(parameters[n]) for n in (4, 5))
    written = [base64.b64encode(each).rstrip(b"=").decode() for each in (salt, digest)]
    if written != [parameters[4], parameters[5]]:
        raise ValueError("bits that mean nothing at the end of its base64")
    if memory_kib < 8 * lanes or len(salt) < 8 or len(digest) < 4:
        raise ValueError("no argon2 hash")
    is_bearable = memory_kib <= MAX_ARGON2_KIB and passes <= MAX_ARGON2_PASSES
    _require_bearable(is_bearable and memory_kib * passes <= MAX_ARGON2_WORK_KIB)


def _bcrypt_sha256(password: bytes, stored: bytes, _name: str) -> bool:
    """passlib's: bcrypt of the base64 of a digest, so that more than 72 bytes count."""
    setting, salt = _read_bcrypt_sha256(stored)
    return _crypt(base64.b64encode(hmac.digest(salt, password, "sha256")), setting, "")


def _read_bcrypt_sha256(stored: bytes) -> tuple[bytes, bytes]:
    """Return the hash as bcrypt writes it, and what the password is keyed with."""
    empty, _, parameters, salt, digest = stored.decode("ascii").split("$")
    fields = dict(each.split("=", 1) for each in parameters.split(","))
    if empty or fields["v"] != "2":
        raise ValueError("another version")
    setting = f"${fields['t']}${int(fields['r']):02d}${salt}{digest}"
    _require_bearable_crypt(setting)
    return setting.encode(), salt.encode()


def _crypt(password: bytes, stored: bytes, _name: str) -> bool:
    """What crypt(5) knows. Of bcrypt 72 bytes count, of DES 8, as for whoever stored it."""
    _require_bearable_crypt(stored.decode("ascii"))
    found = _crypt_rn(password[:MAX_CRYPT_BYTES], stored)
    if found is None:
        raise ValueError("crypt does not take it")
    return _same(found, stored) and len(password) <= MAX_CRYPT_BYTES


def _read_crypt(stored: bytes) -> None:
    setting = stored.decode("ascii")
    _require_bearable_crypt(setting)
    yescrypt = _YESCRYPT.fullmatch(setting)
    # Whether its salt is sound libcrypt alone can say; at the least cost that is quick.
    if yescrypt and not _crypt_rn(b"", f"{yescrypt[1]}{_LEAST_YESCRYPT_COST}{yescrypt[3]}".encode()):
        raise ValueError("crypt does not take it")


def _counted_of_crypt(stored: bytes) -> int | None:
    setting = stored.decode("ascii", "replace")
    if _BCRYPT.fullmatch(setting):
        return BCRYPT_BYTES
    return DES_BYTES if _DES_CRYPT.fullmatch(setting) else None


def _require_bearable_crypt(setting: str) -> None:
    """Raise HashUnreadable for what costs too much, ValueError for what is no hash that we know to be bearable."""
    if bcrypt := _BCRYPT.fullmatch(setting):
        if int(bcrypt[1]) < MIN_BCRYPT_COST:
            raise ValueError("no cost that bcrypt knows")
        _require_bearable(int(bcrypt[1]) <= MAX_BCRYPT_COST)
    elif sha := _SHA_CRYPT.fullmatch(setting):
        _require_bearable(int(sha[2] or 0) <= MAX_ROUNDS)
    elif yescrypt := _YESCRYPT.fullmatch(setting):
        _require_bearable(_DIGITS.index(yescrypt[2]) <= _DIGITS.index(MAX_YESCRYPT_COST))
    elif not (_MD5_CRYPT.fullmatch(setting) or _DES_CRYPT.fullmatch(setting)):
        raise ValueError("none of crypt's forms")


def _require_bearable(is_bearable: bool) -> None:
    if not is_bearable:
        raise HashUnreadable("a stored password hash would cost too much to check; store another one")


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libcrypt.so.1")
    except OSError:
        library = ctypes.CDLL("libcrypt.so.2")  # libxcrypt without what glibc had before it, as some have it
    library.crypt_rn.restype = ctypes.c_char_p
    library.crypt_rn.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int)
    return library


def _crypt_rn(password: bytes, setting: bytes) -> bytes | None:
    """Return what libxcrypt's crypt_rn(3) makes of a password; None where it refuses. Lets other threads run."""
    if b"\0" in password or b"\0" in setting:
        return None
    room = ctypes.create_string_buffer(_CRYPT_DATA_BYTES)
    try:
        found: bytes | None = _library().crypt_rn(password, setting, room, _CRYPT_DATA_BYTES)
    except (OSError, AttributeError) as error:
        raise HashUnreadable("libcrypt is missing, which checks the hashes of crypt: install libcrypt1") from error
    finally:
        ctypes.memset(room, 0, _CRYPT_DATA_BYTES)
    return found


def _same(one: bytes, other: bytes) -> bool:
    return hmac.compare_digest(one, other)


def _ab64(text: str) -> bytes:
    return _unpadded(text.replace(".", "+").rstrip("="))


def _unpadded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


_SHA1, _MD5 = Scheme(_digest("sha1"), Encoding.BASE64, 20), Scheme(_digest("md5"), Encoding.HEX, 16)
_CRYPT, _PLAIN = Scheme(_crypt, read=_read_crypt, counts=_counted_of_crypt), Scheme(_plain)
_ARGON2_SCHEME = Scheme(_argon2, read=_read_argon2)
SCHEMES: Mapping[str, Scheme] = {
    **dict.fromkeys(("ARGON2", "ARGON2I", "ARGON2ID"), _ARGON2_SCHEME),
    **dict.fromkeys(
        ("CRYPT", "BLF-CRYPT", "SHA256-CRYPT", "SHA512-CRYPT", "MD5-CRYPT", "MD5", "DES-CRYPT", "YESCRYPT"), _CRYPT
    ),
    **dict.fromkeys(("PLAIN", "CLEAR", "CLEARTEXT"), _PLAIN),
    "PLAIN-TRUNC": Scheme(_plain_truncated, counts=_counted_of_truncated),
    **dict.fromkeys(("SHA", "SHA1"), _SHA1),
    "SHA256": Scheme(_digest("sha256"), Encoding.BASE64, 32),
    "SHA512": Scheme(_digest("sha512"), Encoding.BASE64, 64),
    "SSHA": Scheme(_salted("sha1"), Encoding.BASE64),
    "SSHA256": Scheme(_salted("sha256"), Encoding.BASE64),
    "SSHA512": Scheme(_salted("sha512"), Encoding.BASE64),
    "SMD5": Scheme(_salted("md5"), Encoding.BASE64),
    **dict.fromkeys(("PLAIN-MD5", "MD5RAW"), _MD5),
    "LDAP-MD5": Scheme(_digest("md5"), Encoding.BASE64, 16),
    "DIGEST-MD5": Scheme(_digest_md5, Encoding.HEX, 16),
    "PBKDF2": _pbkdf2(_read_pbkdf2_of_dovecot),
    "PBKDF2-SHA256": _pbkdf2_of_389("sha256"),
    "PBKDF2-SHA512": _pbkdf2_of_389("sha512"),
    "PASSLIB-PBKDF2": _pbkdf2(_read_pbkdf2_of_passlib),
    "BCRYPT-SHA256": Scheme(_bcrypt_sha256, read=_read_bcrypt_sha256),
    "SCRAM-SHA-1": _scram("sha1"),
    "SCRAM-SHA-256": _scram("sha256"),
}
"""By Dovecot's names for them, and by our own for what has none there."""
