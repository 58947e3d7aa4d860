"""Authenticators and app passwords that people already have, as other software keeps them; a module for each format.

Each yields what it finds, one by one, in the order of its place; what cannot be taken is named with the reason, and
without anything of the secret. Stores nothing; `usecases/authenticator_import.py` does.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

from mailauth.vocabulary.model import USUAL, Network, TotpParameters


@dataclass(frozen=True, slots=True)
class Found:
    """An authenticator. `place`: where it stands, for people; `owner`: as the other software calls them.

    `left`: what stands with it and is never taken over, for people: a wider window, codes to scratch.
    """

    place: str
    owner: str
    seed: bytes = field(repr=False)
    parameters: TotpParameters = USUAL
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundAppPassword:
    """An app password, as the hash that is stored of it. `services`, `networks`: all that it opens; none for any."""

    place: str
    owner: str
    name: str
    password_hash: str = field(repr=False)
    services: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Left:
    """Something that cannot be taken over, and why. `owner` is empty where that cannot be told either."""

    place: str
    owner: str
    why: str


Record = Found | Left
AppPasswordRecord = FoundAppPassword | Left
Reader = Callable[[str], Iterator[Record]]
AppPasswordReader = Callable[[str], Iterator[AppPasswordRecord]]

FORMATS: Final = {
    "google-authenticator": "google_authenticator:read",
    "pam-oath": "pam_oath:read",
    "otpauth": "otpauth:read",
    "otpauth-migration": "otpauth_migration:read",
    "privacyidea": "privacyidea:read",
    "roundcube-2fa": "roundcube_2fa:read",
    "mailcow": "panels:read_mailcow",
    "postfixadmin": "panels:read_postfixadmin",
    "modoboa": "panels:read_modoboa",
    "userli": "panels:read_userli",
    "mail-in-a-box": "panels:read_mail_in_a_box",
}
"""What there is, and which function reads it: it takes a path, or the URL of a database."""

APP_PASSWORD_FORMATS: Final = {
    "mailcow": "app_passwords:read_mailcow",
    "postfixadmin": "app_passwords:read_postfixadmin",
    "mailu": "app_passwords:read_mailu",
}
"""The same, of app passwords."""
IN_DATABASES: Final = ("roundcube-2fa", "mailcow", "postfixadmin", "modoboa", "userli", "mail-in-a-box", "mailu")
"""Those that are asked for by the URL of a database."""


def reader(kind: str) -> Reader:
    """Return what reads a format. What it returns raises InvalidValue for a place that cannot be read at all."""
    found: Reader = _function(FORMATS[kind])
    return found


def app_password_reader(kind: str) -> AppPasswordReader:
    """Return what reads a format's app passwords."""
    found: AppPasswordReader = _function(APP_PASSWORD_FORMATS[kind])
    return found


def _function(place: str) -> Any:
    module, _, function = place.partition(":")
    return getattr(import_module(f"{__name__}.{module}"), function)
