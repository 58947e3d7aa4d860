"""How hard Hypothesis tries. No deadline an example: the machines that run this are busy with mail servers too."""

import os

from hypothesis import settings

settings.register_profile(
    "mailauth",
    deadline=None,
    max_examples=int(os.environ.get("MAILAUTH_EXAMPLES", "100")),
    print_blob=True,
)
settings.load_profile("mailauth")
