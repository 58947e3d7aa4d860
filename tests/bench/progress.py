"""What a benchmark tells while it runs, on standard error; results go to standard output."""

import sys


def say(words: str) -> None:
    """Tell how far it is."""
    print(f"bench: {words}", file=sys.stderr, flush=True)
