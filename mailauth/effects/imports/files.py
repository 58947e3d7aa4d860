"""Opening files that others may have put there: a plain one, of a size that it may have, and never through a link."""

import os
from pathlib import Path
from typing import Final

from mailauth.effects import plain_files
from mailauth.vocabulary.errors import InvalidValue

MAX_BYTES: Final = 64 * 1024 * 1024
"""A million lines. What is larger is something else."""


def text_of(path: Path, max_bytes: int = MAX_BYTES, *, follows_links: bool = True) -> str:
    """Return a file's text, read as UTF-8. Raises InvalidValue, without anything of what stands there.

    `follows_links`: not where the file is a user's own: it would show, as that user's, what only root may read.
    """
    try:
        stream = plain_files.opened(path, follows_links=follows_links)
    except OSError as error:
        raise InvalidValue(f"{path}: {error.strerror}") from error
    with stream:
        about = os.fstat(stream.fileno())
        if about.st_size > max_bytes:
            raise InvalidValue(f"{path} has more than {max_bytes} bytes")
        if not follows_links and about.st_nlink > 1:
            raise InvalidValue(f"{path} has more than one name, and may be somebody else's")
        try:
            return stream.read(max_bytes).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise InvalidValue(f"{path} is no text in UTF-8") from None
