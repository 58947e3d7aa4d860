"""Where what the configuration names is, in the process at hand."""

import os
from pathlib import Path

from mailauth.effects.configuration.schema import Configuration


def key_file(configuration: Configuration) -> Path:
    """Return where the key file is; a relative path is a systemd credential."""
    return Path(os.environ.get("CREDENTIALS_DIRECTORY", ""), configuration.keys.file)
