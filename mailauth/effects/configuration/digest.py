"""A digest of a configuration: two processes have the same settings if and only if they have the same one."""

import hashlib
import json

from sqlalchemy import make_url

from mailauth.effects.configuration.schema import Configuration

DIGITS = 16
"""Of hexadecimal: 64 bits, to tell apart what one site ever had."""


def of(configuration: Configuration) -> str:
    """Return the digest of all settings, defaults included. It says nothing about a database's password."""
    settings = configuration.model_dump(mode="json")
    settings["database"]["url"] = make_url(configuration.database.url).render_as_string(hide_password=True)
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:DIGITS]
