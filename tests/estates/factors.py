"""Second factors as other software keeps them: tables of panels, and Google Authenticator's export.

The tables have the columns that each panel's migrations make, as far as they are read. Holds no tests.
"""

import base64
from urllib.parse import quote

SEED = b"12345678901234567890"
WRITTEN = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

PANELS: dict[str, tuple[str, ...]] = {
    "mailcow": (
        "CREATE TABLE tfa (id INTEGER PRIMARY KEY, key_id TEXT, username TEXT, authmech TEXT, "
        "secret TEXT, active INT)",
        f"INSERT INTO tfa VALUES (1, 'phone', 'anna@mailitwize.be', 'totp', '{WRITTEN}', 1)",
        f"INSERT INTO tfa VALUES (2, 'old', 'bob@mailitwize.be', 'totp', '{WRITTEN}', 0)",
        "INSERT INTO tfa VALUES (3, 'key', 'carol@mailitwize.be', 'webauthn', NULL, 1)",
        f"INSERT INTO tfa VALUES (4, 'phone', 'admin', 'totp', '{WRITTEN}', 1)",
    ),
    "postfixadmin": (
        "CREATE TABLE mailbox (username TEXT, password TEXT, totp_secret TEXT)",
        f"INSERT INTO mailbox VALUES ('anna@mailitwize.be', 'x', '{WRITTEN}')",
        "INSERT INTO mailbox VALUES ('bob@mailitwize.be', 'x', 'enc:9f8a7b==')",
        "INSERT INTO mailbox VALUES ('carol@mailitwize.be', 'x', NULL)",
    ),
    "modoboa": (
        "CREATE TABLE core_user (id INTEGER PRIMARY KEY, username TEXT)",
        "CREATE TABLE otp_totp_totpdevice (id INTEGER PRIMARY KEY, user_id INT, key TEXT, confirmed BOOL, step INT, "
        "t0 BIGINT, digits INT, tolerance INT, drift INT, last_t BIGINT)",
        "INSERT INTO core_user VALUES (1, 'anna@mailitwize.be'), (2, 'bob@mailitwize.be'), (3, 'carol@mailitwize.be')",
        f"INSERT INTO otp_totp_totpdevice VALUES (1, 1, '{SEED.hex()}', 1, 30, 0, 6, 1, 0, 5)",
        f"INSERT INTO otp_totp_totpdevice VALUES (2, 2, '{SEED.hex()}', 0, 30, 0, 6, 1, 0, 5)",
        f"INSERT INTO otp_totp_totpdevice VALUES (3, 3, '{SEED.hex()}', 1, 30, 9, 6, 1, 0, 5)",
    ),
    "userli": (
        "CREATE TABLE users (email TEXT, totp_secret TEXT, totp_confirmed INT)",
        f"INSERT INTO users VALUES ('anna@mailitwize.be', '{WRITTEN}', 1)",
        f"INSERT INTO users VALUES ('bob@mailitwize.be', '{WRITTEN}', 0)",
    ),
    "mail-in-a-box": (
        "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT)",
        "CREATE TABLE mfa (id INTEGER PRIMARY KEY, user_id INT, type TEXT, secret TEXT, mru_token TEXT, label TEXT)",
        "INSERT INTO users VALUES (1, 'anna@mailitwize.be'), (2, 'bob@mailitwize.be')",
        f"INSERT INTO mfa VALUES (1, 1, 'totp', '{WRITTEN}', '123456', 'phone')",
        f"INSERT INTO mfa VALUES (2, 2, 'other', '{WRITTEN}', NULL, NULL)",
    ),
    "roundcube-2fa": (
        "CREATE TABLE users (user_id INTEGER PRIMARY KEY, username TEXT, preferences TEXT)",
        'INSERT INTO users VALUES (1, \'anna@mailitwize.be\', \'a:2:{s:8:"timezone";s:4:"auto";s:24:'
        '"twofactor_gauthenticator";a:3:{s:6:"secret";s:32:"' + WRITTEN + '";s:8:"activate";b:1;'
        's:14:"recovery_codes";a:2:{i:0;s:3:"abc";i:1;s:3:"def";}}}\')',
        "INSERT INTO users VALUES (2, 'bob@mailitwize.be', 'a:1:{s:24:\"twofactor_gauthenticator\";a:2:{s:6:"
        '"secret";s:32:"' + WRITTEN + '";s:8:"activate";b:0;}}\')',
        "INSERT INTO users VALUES (3, 'carol@mailitwize.be', "
        '\'a:1:{s:24:"twofactor_gauthenticator";O:3:"Foo":0:{}}\')',
        "INSERT INTO users VALUES (4, 'dora@mailitwize.be', 'a:0:{}')",
    ),
}
"""The statements that make a panel's tables, with one that is taken, and others that are not."""

APP_PASSWORDS: dict[str, tuple[str, ...]] = {
    "mailcow": (
        "CREATE TABLE app_passwd (id INTEGER PRIMARY KEY, name TEXT, mailbox TEXT, password TEXT, imap_access INT, "
        "smtp_access INT, pop3_access INT, sieve_access INT, dav_access INT, active INT)",
        "INSERT INTO app_passwd VALUES (1, 'phone', 'anna@mailitwize.be', '{PLAIN}from-elsewhere', 1, 0, 0, 0, 1, 1)",
        "INSERT INTO app_passwd VALUES (2, 'old', 'anna@mailitwize.be', '{PLAIN}switched-off', 1, 1, 1, 1, 1, 0)",
        "INSERT INTO app_passwd VALUES (3, 'dav', 'bob@mailitwize.be', '{PLAIN}calendar', 0, 0, 0, 0, 1, 1)",
    ),
    "postfixadmin": (
        "CREATE TABLE mailbox_app_password (id INTEGER PRIMARY KEY, username TEXT, description TEXT, "
        "password_hash TEXT)",
        "INSERT INTO mailbox_app_password VALUES (1, 'anna@mailitwize.be', 'phone', '{PLAIN}from-elsewhere')",
        "INSERT INTO mailbox_app_password VALUES (2, 'bob@mailitwize.be', NULL, '{OTP}x')",
    ),
    "mailu": (
        "CREATE TABLE token (id INTEGER PRIMARY KEY, user_email TEXT, password TEXT, comment TEXT, ip TEXT)",
        "INSERT INTO token VALUES (1, 'anna@mailitwize.be', '{PLAIN}from-elsewhere', 'phone', '127.0.0.1,::1')",
        "INSERT INTO token VALUES (2, 'bob@mailitwize.be', '{PLAIN}x', NULL, 'the office')",
    ),
}
"""The same, of app passwords."""


def varint(value: int) -> bytes:
    """Return a number as Protocol Buffers write it."""
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def export(*authenticators: bytes) -> str:
    data = b"".join(field(1, each) for each in authenticators) + field(2, 1) + field(3, 1) + field(5, 1 << 40)
    return f"otpauth-migration://offline?data={quote(base64.b64encode(data))}\n"
