"""What the configuration names outside itself: the files that it needs, as they are now. For `config check`."""

import os
from collections.abc import Iterator
from pathlib import Path

from mailauth.effects import keyring, logo, smtp
from mailauth.effects.configuration.schema import Configuration
from mailauth.vocabulary.errors import InvalidConfiguration, KeyUnusable, Mistake


def key_file(configuration: Configuration) -> Path:
    """Return where the key file is; a relative path is a systemd credential."""
    return Path(os.environ.get("CREDENTIALS_DIRECTORY", ""), configuration.keys.file)


def mistakes(configuration: Configuration) -> tuple[Mistake, ...]:
    """Return every file that is missing or cannot be used: the key, the logo, the password for the SMTP server."""
    return tuple(_mistakes(configuration))


def _mistakes(configuration: Configuration) -> Iterator[Mistake]:
    path = key_file(configuration)
    if path.is_absolute():  # else it is there only where systemd starts the server
        try:
            keyring.read(path)
        except KeyUnusable as error:
            yield Mistake("keys.file", str(error))
    try:
        logo.read(configuration.portal.logo)
    except InvalidConfiguration as error:
        yield from error.mistakes
    if configuration.mail.password_file:
        try:
            smtp.read_password(Path(configuration.mail.password_file))
        except smtp.PasswordFileUnusable as error:
            yield Mistake("mail.password_file", str(error))
