"""The key file: sealing seeds, and keyed HMACs, with a key of its own for every purpose.

A ring holds one or more keys of 256 bits, each with an id; the first seals and makes HMACs, all of them open
and verify. From each, HKDF (RFC 5869) derives one key a purpose. What is sealed is bound to its purpose, key
and account, so that a row moved to another account does not open (requirement KEY1).

Reads one file, once. The keys stay in this process; they are never put in the environment, an argument or a log.
"""

import base64
import binascii
import hmac
import os
import stat
import struct
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mailauth.effects import plain_files
from mailauth.vocabulary.errors import KeyUnusable, SealBroken

KEY_BYTES = 32
NONCE_BYTES = 12
"""AES-GCM's own size (NIST SP 800-38D s5.2.1.1); random, and far fewer than 2^32 seals a key."""
MAX_ID_CHARACTERS = 32
"""What the database has room for beside each sealed value."""
_HEADER = "mailauth-key-file 1"
_length = struct.Struct(">I").pack


class Purpose(StrEnum):
    """What a derived key is for. The value goes into the derivation: it must never change."""

    TOTP_SEED = "totp-seed"
    RECOVERY_CODE = "recovery-code"
    APP_PASSWORD = "app-password"
    LOGIN_MEMORY = "login-memory"
    ACCEPTED_STRING = "accepted-string"
    REFUSED_STRING = "refused-string"
    PORTAL_SESSION = "portal-session"
    PENDING_SEED = "pending-seed"
    CSRF = "csrf"
    MAIL_LINK = "mail-link"
    OUTBOX = "outbox"
    RENAMED = "renamed"
    FINGERPRINT = "fingerprint"
    SOURCE_HASH = "source-hash"
    DIRECTORY_ROW = "directory-row"
    GRANTED_STRING = "granted-string"
    WRONG_AT_SOURCE = "wrong-at-source"


class Sealed(NamedTuple):
    """A sealed value (nonce, ciphertext and tag in one) and the id of the key that opens it."""

    key_id: str
    blob: bytes


class Keyring:
    """The keys of an installation, in the order of the file."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        if not keys:
            raise KeyUnusable("the key file holds no key")
        self.current_id = next(iter(keys))
        self.ids = tuple(keys)
        self._derived = {
            (key_id, purpose): _derive(key, purpose) for key_id, key in keys.items() for purpose in Purpose
        }
        # To copy one takes two thirds of the time of `hmac.digest`, which looks its hash up by name each time.
        self._begun = {place: hmac.new(key, digestmod="sha256") for place, key in self._derived.items()}

    def seal(self, purpose: Purpose, account: str, plaintext: bytes) -> Sealed:
        """Return a value that only this purpose and account open."""
        nonce = os.urandom(NONCE_BYTES)
        cipher = AESGCM(self._key(self.current_id, purpose))
        bound_to = _joined(purpose, self.current_id, account)
        return Sealed(self.current_id, nonce + cipher.encrypt(nonce, plaintext, bound_to))

    def unseal(self, purpose: Purpose, account: str, sealed: Sealed) -> bytes:
        """Return what was sealed. Raises SealBroken, or KeyUnusable for a key that the ring does not hold."""
        cipher = AESGCM(self._key(sealed.key_id, purpose))
        nonce, ciphertext = sealed.blob[:NONCE_BYTES], sealed.blob[NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, ciphertext, _joined(purpose, sealed.key_id, account))
        except (InvalidTag, ValueError) as error:
            raise SealBroken(f"a sealed {purpose} of {account} does not open with key {sealed.key_id}") from error

    def mac(self, purpose: Purpose, *parts: str | bytes, key_id: str | None = None) -> bytes:
        """Return the HMAC-SHA-256 of length-prefixed parts, by the current key or a named one."""
        key_id = self.current_id if key_id is None else key_id
        try:
            begun = self._begun[key_id, purpose].copy()
        except KeyError:
            raise _not_in_ring(key_id) from None
        begun.update(_joined(*parts))
        return begun.digest()

    def fingerprint(self, key_id: str) -> bytes:
        """Return what tells a key from every other one, and nothing about it (requirement KEY4)."""
        return self.mac(Purpose.FINGERPRINT, key_id, key_id=key_id)

    def _key(self, key_id: str, purpose: Purpose) -> bytes:
        try:
            return self._derived[key_id, purpose]
        except KeyError:
            raise _not_in_ring(key_id) from None

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self.ids)})"


def read(path: Path) -> Keyring:
    """Return the ring in a key file.

    The file must be readable by its owner alone (0400) and belong to root or to us; a systemd credential is
    as private, but may show a group bit that stands for its access list. Raises KeyUnusable.
    """
    try:
        with plain_files.opened(path) as file:
            problem = _too_open(path, os.fstat(file.fileno()))
            if problem:
                raise KeyUnusable(problem)
            lines = file.read().decode("ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a key file"
        if isinstance(error, FileNotFoundError):
            # A new key in place of a lost one would make every factor useless, without a word.
            reason = f"{reason}; restore it from the backup if there was one, else `mailauth init` makes it"
        raise KeyUnusable(f"key file {path}: {reason}") from error
    return Keyring(_parse(path, lines))


def create(path: Path, key_id: str, draw: Callable[[int], bytes] = os.urandom) -> None:
    """Write a key file with one new key, mode 0400. Raises FileExistsError rather than replace a key.

    It has its name once it is whole, so that whoever is interrupted may begin again.
    """
    line = f"{key_id} {base64.b64encode(draw(KEY_BYTES)).decode('ascii')}"
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(
                f"{_HEADER}\n"
                "# Whoever has this file and the database can compute every user's codes. Back it up, apart from the\n"
                "# database; without it no authenticator, recovery code or app password works. Mode 0400.\n"
                f"{line}\n"
            )
            file.flush()
            os.fsync(descriptor)
        os.link(draft, path)  # which replaces nothing, as a renaming would
    finally:
        draft.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _too_open(path: Path, status: os.stat_result) -> str | None:
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    allowed = 0o440 if credentials and path.parent == Path(credentials) else 0o400
    mode = stat.S_IMODE(status.st_mode)
    if mode & ~allowed:
        return f"key file {path} has mode {mode:04o}; make it private: chmod 0400 {path}"
    if os.geteuid() not in (0, status.st_uid) and status.st_uid != 0:
        return f"key file {path} belongs to uid {status.st_uid}; it has to belong to root or to who runs mailauth"
    return None


def _parse(path: Path, lines: list[str]) -> dict[str, bytes]:
    if not lines:
        raise KeyUnusable(f"key file {path} is empty: put it back from where you keep it")
    if lines[0] != _HEADER:
        raise KeyUnusable(f"key file {path}: the first line is not {_HEADER!r}")
    keys: dict[str, bytes] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip() or line.startswith("#"):
            continue
        key_id, _, encoded = line.partition(" ")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            key = b""
        # The line itself is not repeated in the message: it may hold a key.
        is_id = key_id.isalnum() and len(key_id) <= MAX_ID_CHARACTERS and key_id not in keys
        if len(key) != KEY_BYTES or not is_id:
            raise KeyUnusable(f"key file {path}, line {number}: not an id and a base64 key of {KEY_BYTES} bytes")
        keys[key_id] = key
    return keys


def _derive(key: bytes, purpose: Purpose) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=f"mailauth/1/{purpose}".encode()).derive(key)


def _joined(*parts: str | bytes) -> bytes:
    # Length-prefixed, so that no two lists of parts give the same bytes.
    joined = b""
    for part in parts:
        encoded = part.encode() if isinstance(part, str) else part
        joined += _length(len(encoded)) + encoded
    return joined


def _not_in_ring(key_id: str) -> KeyUnusable:
    return KeyUnusable(f"the database uses key {key_id!a}, which the key file does not hold")
