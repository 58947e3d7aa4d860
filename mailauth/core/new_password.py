"""What a new password may be. Says what is wrong with it, and never repeats it."""

import re
from itertools import pairwise

from mailauth.core import app_password, splitter
from mailauth.core.opaque import opaque
from mailauth.vocabulary.errors import InvalidName, InvalidValue
from mailauth.vocabulary.model import AccountName

MAX_PASSWORD_BYTES = 224
"""With a recovery code of 19 bytes behind it, what each door takes: saslauthd 250 bytes, checkpassword 509 with the
name, which has 254 at most."""
MIN_CHARACTERS = 8
"""NIST SP 800-63B s3.1.1.2: eight where a password is one of two factors."""

_SCHEMES = (
    "argon2|argon2i|argon2id|blf-crypt|clear|cleartext|cram-md5|crypt|des-crypt|digest-md5|hmac-md5|lanman|ldap-md5"
    "|md5|md5-crypt|ns-mta-md5|ntlm|otp|pbkdf2|pbkdf2-sha1|pbkdf2-sha256|pbkdf2-sha512|plain|plain-md4|plain-md5|rpa"
    "|scram-sha-1|scram-sha-256|sha|sha1|sha256|sha256-crypt|sha512|sha512-crypt|skey|smd5|ssha|ssha256|ssha512"
)
"""Dovecot's password schemes and those of OpenLDAP, in lower case."""
_SCHEME = re.compile(rf"\{{(?:{_SCHEMES})(?:\.(?:b64|base64|hex))?\}}")
_MODULAR_CRYPT = re.compile(
    r"\$(?:1|2[abxy]?|5|6|7|y|gy|md5|sha1|apr1|P|H|scrypt|pbkdf2(?:-sha\d+)?|argon2(?:i|d|id))\$\S{16,}"
)
"""crypt(5), and what passlib and web applications write like it: `$6$salt$hash`."""

_COMMON_WORDS = """
    11111111 12341234 12344321 123123123 12345678 123456789 1234567890 123qweasd 147258369 1q2w3e4r 1q2w3e4r5t
    1qaz2wsx 22222222 66666666 77777777 87654321 88888888 987654321 99999999 aa123456 abc12345 abcd1234 abcdefgh
    administrator asdfasdf asdfghjk asdfghjkl azertyui azertyuiop baseball basketball changeme computer correcthorse
    corvette dragon12 einstein facebook football geheim123 hallo123 hallo1234 iloveyou internet jennifer letmein1
    liverpool master123 michelle mercedes motdepasse mustang1 p@ssw0rd p@ssword pa55word pass1234 passport passw0rd
    password password! password1 password12 password123 passwort passwort1 passwort123 princess q1w2e3r4 qazwsxedc
    qwer1234 qwerasdf qwert123 qwerty12 qwerty123 qwertyui qwertyuiop qwertzui qwertzuiop samantha schatz123
    secret123 sonnenschein starwars sunshine superman superuser test1234 testtest trustno1 wachtwoord wachtwoord1
    welcome1 welcome123 welkom01 welkom123 whatever willkommen winter2024 zaq12wsx zxcvbnm1 zxcvbnmm
"""
"""Those of eight characters and more that stand first in every published list, in the languages of our users."""
_COMMON = frozenset(_COMMON_WORDS.split())
_ENDS = "0123456789!.?*#"


def prepared(password: bytes, min_characters: int) -> bytes:
    """Return a password that may be set, as it is kept. Raises InvalidValue with what is wrong with it."""
    if not splitter.is_presentable(password):
        raise InvalidValue("a password has at least one character and no control characters (nor a line break)")
    kept = opaque(password)
    if len(kept) > MAX_PASSWORD_BYTES or len(password) > MAX_PASSWORD_BYTES:
        raise InvalidValue(f"a password has at most {MAX_PASSWORD_BYTES} bytes")
    if app_password.read(kept) is not None:
        raise InvalidValue("this has the form of an app password, and would be taken for one at every login")
    text = kept.decode("utf-8", "replace")
    if _SCHEME.match(text.lower()) or _MODULAR_CRYPT.fullmatch(text):
        raise InvalidValue(
            "this is a password's hash, and would be taken as the password itself: with --hash it is taken over as "
            "a hash"
        )
    if len(text) < min_characters:
        raise InvalidValue(f"a password has at least {min_characters} characters here (password.min_characters)")
    return kept


def is_common(password: bytes, name: str) -> bool:
    """Tell whether a password is among the first that are guessed: a common one, one character, a run, the name."""
    text = opaque(password).decode("utf-8", "replace").casefold()
    if len(text) < MIN_CHARACTERS:
        return False  # refused as too short, unless that is wanted
    if text in _COMMON or text.rstrip(_ENDS) in _COMMON or len(set(text)) < 3:
        return True
    steps = {ord(after) - ord(before) for before, after in pairwise(text)}
    local, _, domain = name.casefold().partition("@")
    return len(steps) == 1 or text.rstrip(_ENDS) in {local, domain, domain.partition(".")[0], name.casefold()}


def require_no_scheme(name: AccountName) -> AccountName:
    """Return a new name of an account. Raises InvalidName for what comes from a line of a password file."""
    if _SCHEME.match(name):
        raise InvalidName("this is a scheme of password hashes, as `{SHA512-CRYPT}`, and no account's name")
    return name
