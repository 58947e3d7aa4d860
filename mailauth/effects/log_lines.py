"""Structured log lines: `key=value` pairs, one line a record, to standard error.

A value that is not a plain word stands in double quotes with JSON's escapes, so that nothing a client sends can
begin a line or a field of its own (requirement AUD3). No secret is ever handed to a log call, at any level.

What is logged in one turn of the event loop is worded and written together, at the turn's end: doing so for each
line by itself costs more than deciding on an app password.
"""

import asyncio
import contextlib
import json
import logging
import re
import sys
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import TextIO

FIELDS = "fields"
"""The record attribute (`extra=`) that carries the pairs of a structured line."""

_PLAIN = re.compile(r"[A-Za-z0-9_.:/@+\-]+")


class _Output:
    """Where lines go. Any thread may write."""

    def __init__(self) -> None:
        self.stream: TextIO = sys.stderr
        self._waiting: list[tuple[Callable[..., str], tuple[object, ...]]] = []
        self._flush_is_due_on: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def add(self, words: Callable[..., str], *arguments: object) -> None:
        """Let a line wait for the end of the event loop's turn, or write it where there is no loop.

        It is worded when it is written: several in a row find their code in the processor's cache.
        """
        self._waiting.append((words, arguments))
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # this thread has no event loop
            self.flush()
            return
        if loop is not self._flush_is_due_on:
            loop.call_soon(self.flush)
            self._flush_is_due_on = loop

    def flush(self) -> None:
        """Write what waits."""
        with self._lock:
            self._flush_is_due_on = None
            count = len(self._waiting)  # another thread may append meanwhile
            lines = self._waiting[:count]
            del self._waiting[:count]
            if lines:
                # A log that cannot be written (a full disk, a closed pipe) cannot be complained about either.
                with contextlib.suppress(OSError, ValueError):
                    self.stream.write("\n".join([words(*arguments) for words, arguments in lines]) + "\n")
                    self.stream.flush()


_output = _Output()


class LogfmtFormatter(logging.Formatter):
    """Writes `time level event key=value ...`; a traceback is folded into one field."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        fields: dict[str, object] = getattr(record, FIELDS, {})
        words = [_moment(record.created), record.levelname.lower(), value(record.getMessage())]
        words += [pair(key, str(content)) for key, content in fields.items() if content not in ("", None)]
        if record.exc_info:
            words.append(pair("traceback", self.formatException(record.exc_info)))
        return " ".join(words)


class LineHandler(logging.Handler):
    """Hands records to the output; those that say that something is wrong are written at once."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            _output.add(str, self.format(record))
            if record.levelno >= logging.WARNING:
                _output.flush()
        except Exception:
            self.handleError(record)  # logging's own way: a broken log call must not end a login

    def flush(self) -> None:
        """Write what waits; the end of the process calls this (logging.shutdown)."""
        _output.flush()


def set_up(level: str, stream: TextIO = sys.stderr) -> None:
    """Send our log records of this level and above to a stream, and what libraries warn of.

    What else they say is for their developers: one of them has a line for each byte of a strange form.
    """
    _output.flush()
    _output.stream = stream
    handler = LineHandler()
    handler.setFormatter(LogfmtFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("mailauth").setLevel(level.upper())
    logging.captureWarnings(True)


def write(event: str, pairs: Callable[..., str], *arguments: object) -> None:
    """Write a line of level `info` around `logging`, whose records cost too much where there is one a login.

    `pairs`, called with the arguments, gives the pairs, joined by single spaces and made by `pair`, or plain words
    by construction; it must not fail.
    """
    _output.add(_info_line, time.time(), event, pairs, arguments)


def pair(key: str, content: str) -> str:
    """Return `key=value` as it stands in a line."""
    return f"{key}={value(content)}"


def value(content: str) -> str:
    """Return a value as it stands in a line."""
    return content if _PLAIN.fullmatch(content) else json.dumps(content)


def _info_line(moment: float, event: str, pairs: Callable[..., str], arguments: tuple[object, ...]) -> str:
    return f"{_moment(moment)} info {event} {pairs(*arguments)}"


def _moment(created: float) -> str:
    return _millisecond(int(created * 1000))


@lru_cache(maxsize=16)
def _millisecond(since_epoch: int) -> str:
    second, millisecond = divmod(since_epoch, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(second))}.{millisecond:03d}Z"
