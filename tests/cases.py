"""Cases of one test: where only data differ, a test loops over them, and a failure names the one that it was about."""

from collections.abc import Iterator
from contextlib import contextmanager

MAX_SHOWN = 300
"""Characters of each value: some cases are megabytes."""


@contextmanager
def case(*data: object) -> Iterator[None]:
    """Add the data at hand to whatever fails in the block."""
    try:
        yield
    except BaseException as failure:
        failure.add_note("case: " + ", ".join(repr(each)[:MAX_SHOWN] for each in data))
        raise
