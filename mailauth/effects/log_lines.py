"""Structured log lines: `key=value` pairs, one line a record, to standard error.

A value that is not a plain word stands in double quotes with JSON's escapes, so that nothing a client sends can
begin a line or a field of its own (requirement AUD3). No secret is ever handed to a log call, at any level.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import TextIO

FIELDS = "fields"
"""The record attribute (`extra=`) that carries the pairs of a structured line."""

_PLAIN = re.compile(r"[A-Za-z0-9_.:/@+\-]+")


class LogfmtFormatter(logging.Formatter):
    """Writes `time level event key=value ...`; a traceback is folded into one field."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        parts = [f"{moment[:-6]}Z", record.levelname.lower(), _value(record.getMessage())]
        fields: dict[str, object] = getattr(record, FIELDS, {})
        parts += [f"{key}={_value(str(value))}" for key, value in fields.items() if value not in ("", None)]
        if record.exc_info:
            parts.append(f"traceback={_value(self.formatException(record.exc_info))}")
        return " ".join(parts)


def set_up(level: str, stream: TextIO = sys.stderr) -> None:
    """Send all log records of this level and above to a stream."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LogfmtFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.captureWarnings(True)


def _value(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
