"""The provider's logo: the file that the portal shows, read once."""

from dataclasses import dataclass
from pathlib import Path

from mailauth.effects import plain_files
from mailauth.vocabulary.errors import InvalidConfiguration, Mistake

MAX_LOGO_BYTES = 256 * 1024

_LOGO_TYPES = {".png": "image/png", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Logo:
    """The logo's file, as it is served."""

    content: bytes
    media_type: str


def read(path: str) -> Logo | None:
    """Return the configured logo; None for an empty path. Raises InvalidConfiguration."""
    if not path:
        return None
    media_type = _LOGO_TYPES.get(Path(path).suffix.lower())
    if media_type is None:
        raise _mistake("a PNG or SVG file is needed, with a name that ends in .png or .svg")
    try:
        with plain_files.opened(path) as file:
            content = file.read(MAX_LOGO_BYTES + 1)
    except OSError as error:
        raise _mistake(f"cannot read {path}: {error.strerror}") from error
    if len(content) > MAX_LOGO_BYTES:
        raise _mistake(f"at most {MAX_LOGO_BYTES // 1024} KiB, since it is loaded with every page")
    return Logo(content, media_type)


def _mistake(problem: str) -> InvalidConfiguration:
    return InvalidConfiguration("configuration", (Mistake("portal.logo", problem),))
