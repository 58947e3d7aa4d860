"""The log of attempts: one line each, with who, for what, from where, what was decided and why.

Where others check the password and no code was asked for, nobody is said to be granted anything: the verdict is
`not-required`, and a refusal that they report is a line of its own.

Never a secret or a part of one. What was given as a name and cannot be one is not repeated: people type
passwords into the wrong field.
"""

import logging
from collections.abc import Mapping
from functools import lru_cache

from mailauth.effects import log_lines
from mailauth.effects.log_lines import pair
from mailauth.vocabulary.model import (
    AccountName,
    Address,
    Attempt,
    Credential,
    Denied,
    Granted,
    Hint,
    Unavailable,
    Verdict,
)
from mailauth.vocabulary.reasons import Reason

_log = logging.getLogger("mailauth.attempt")
"""Its level decides whether attempts are logged; the lines themselves do not go through it."""


def record(attempt: Attempt, verdict: Verdict, peer: str, milliseconds: float) -> None:
    """Log an attempt and its verdict. `peer` says which process asked."""
    if not _log.isEnabledFor(logging.INFO):
        return
    log_lines.write("login", _words, attempt, verdict, peer, milliseconds)


def _words(attempt: Attempt, verdict: Verdict, peer: str, milliseconds: float) -> str:
    account = verdict.account
    credential = verdict.credential if isinstance(verdict, Granted) else None
    word = "not-required" if credential is Credential.NOTHING else _WORDS[type(verdict)]
    hint = verdict.hint if isinstance(verdict, Denied) else None
    source = None if isinstance(verdict, Unavailable) else verdict.source
    decided = _decided(word, verdict.reason, account, credential, hint, source)
    name = f" name_bytes={len(attempt.name.encode('utf-8', 'replace'))}" if account is None else ""
    circumstances, manner = _circumstances(attempt.service, attempt.client, attempt.mechanism, attempt.secured, peer)
    session = f" {pair('session', attempt.session)}" if attempt.session else ""
    withheld = f" withheld={verdict.withheld.reason}" if isinstance(verdict, Unavailable) and verdict.withheld else ""
    return f"{decided}{withheld}{name}{circumstances}{session}{manner} ms={milliseconds:.1f}"


# What is the same for many attempts is worded once.


@lru_cache(maxsize=2048)
def _decided(
    word: str,
    reason: Reason,
    account: AccountName | None,
    credential: Credential | None,
    hint: Hint | None,
    source: str | None,
) -> str:
    pairs = {"account": account, "credential": credential, "hint": hint, "source": source}
    return f"verdict={word} reason={reason}{_pairs(pairs)}"


@lru_cache(maxsize=2048)
def _circumstances(service: str, client: Address | None, mechanism: str, secured: str, peer: str) -> tuple[str, str]:
    """Return the pairs before the session and those behind it, each after a space."""
    source, manner = {"service": service, "client": client}, {"mechanism": mechanism, "secured": secured, "peer": peer}
    return _pairs(source), _pairs(manner)


def _pairs(fields: Mapping[str, object]) -> str:
    return "".join(f" {pair(key, str(content))}" for key, content in fields.items() if content not in ("", None))


_WORDS: dict[type[Verdict], str] = {Granted: "granted", Denied: "denied", Unavailable: "unavailable"}
