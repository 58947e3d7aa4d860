"""Opening what a configuration or a command names as a file: a pipe or a device would be waited for without end."""

import errno
import os
import stat
from pathlib import Path
from typing import IO


def opened(path: Path | str, *, follows_links: bool = True) -> IO[bytes]:
    """Return a plain file, open for reading. Raises OSError, also for what is no plain file.

    `follows_links`: not where the file is a user's own: a link would show what only root may read.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follows_links else os.O_NOFOLLOW)
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no plain file", str(path))
    return os.fdopen(descriptor, "rb")


def text_of(path: Path | str) -> str:
    """Return a plain file's text. Raises OSError, UnicodeDecodeError."""
    with opened(path) as file:
        return file.read().decode("utf-8")
