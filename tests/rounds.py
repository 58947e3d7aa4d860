"""How often a test of races tries: as often as it says, or MAILAUTH_ROUNDS times that, as a campaign does."""

import os


def rounds(usual: int) -> range:
    """Return numbers to count rounds by."""
    return range(usual * int(os.environ.get("MAILAUTH_ROUNDS", "1")))
