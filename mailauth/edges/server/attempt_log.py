"""The log of attempts: one line each, with who, for what, from where, what was decided and why.

Never a secret or a part of one. What was given as a name and cannot be one is not repeated: people type
passwords into the wrong field.
"""

import logging
from typing import assert_never

from mailauth.effects.log_lines import FIELDS
from mailauth.vocabulary.model import Attempt, Denied, Granted, Unavailable, Verdict

_log = logging.getLogger("mailauth.attempt")


def record(attempt: Attempt, verdict: Verdict, peer: str, milliseconds: float) -> None:
    """Log an attempt and its verdict. `peer` says which process asked."""
    if not _log.isEnabledFor(logging.INFO):
        return
    fields: dict[str, object] = {"verdict": _word(verdict), "reason": verdict.reason.value}
    if verdict.account is not None:
        fields["account"] = verdict.account
    else:
        fields["name_bytes"] = len(attempt.name.encode("utf-8", "replace"))
    if isinstance(verdict, Granted):
        fields["credential"] = verdict.credential.value
    fields["service"] = attempt.service
    fields["client"] = attempt.client
    fields["session"] = attempt.session
    fields["mechanism"] = attempt.mechanism
    fields["secured"] = attempt.secured
    fields["peer"] = peer
    fields["ms"] = f"{milliseconds:.1f}"
    _log.info("login", extra={FIELDS: fields})


def _word(verdict: Verdict) -> str:
    match verdict:
        case Granted():
            return "granted"
        case Denied():
            return "denied"
        case Unavailable():
            return "unavailable"
        case _:
            assert_never(verdict)
