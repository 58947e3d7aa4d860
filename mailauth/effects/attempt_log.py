"""The log of attempts: one line each, with who, for what, from where, what was decided and why.

Never a secret or a part of one. What was given as a name and cannot be one is not repeated: people type
passwords into the wrong field.
"""

import logging
from functools import lru_cache, partial
from typing import assert_never

from mailauth.effects import log_lines
from mailauth.effects.log_lines import pair
from mailauth.vocabulary.model import Address, Attempt, Denied, Granted, Unavailable, Verdict

_log = logging.getLogger("mailauth.attempt")
"""Its level decides whether attempts are logged; the lines themselves do not go through it."""


def record(attempt: Attempt, verdict: Verdict, peer: str, milliseconds: float) -> None:
    """Log an attempt and its verdict. `peer` says which process asked."""
    if not _log.isEnabledFor(logging.INFO):
        return
    log_lines.write("login", partial(_words, attempt, verdict, peer, milliseconds))


def _words(attempt: Attempt, verdict: Verdict, peer: str, milliseconds: float) -> str:
    account = verdict.account
    who = f"name_bytes={len(attempt.name.encode('utf-8', 'replace'))}" if account is None else pair("account", account)
    credential = f" credential={verdict.credential}" if isinstance(verdict, Granted) else ""
    source = _source(attempt.service, attempt.client)
    session = f" {pair('session', attempt.session)}" if attempt.session else ""
    manner = _manner(attempt.mechanism, attempt.secured, peer)
    return (
        f"verdict={_word(verdict)} reason={verdict.reason} {who}{credential}{source}{session}{manner} "
        f"ms={milliseconds:.1f}"
    )


# Pairs that are the same for many attempts, each after a space.


@lru_cache(maxsize=2048)
def _source(service: str, client: Address | None) -> str:
    return _pairs({"service": service, "client": client})


@lru_cache(maxsize=2048)
def _manner(mechanism: str, secured: str, peer: str) -> str:
    return _pairs({"mechanism": mechanism, "secured": secured, "peer": peer})


def _pairs(fields: dict[str, object]) -> str:
    return "".join(f" {pair(key, str(content))}" for key, content in fields.items() if content not in ("", None))


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
