"""A QR code on a terminal, where it can be shown; the caller has said in text what is in it."""

import io
import shutil
import sys
from typing import Any

_BORDER = 2
"""Modules of quiet zone. ISO/IEC 18004 wants four; apps read it with two, and a terminal has few lines."""


def on_terminal(content: str) -> str | None:
    """Return a QR code for standard output, dark on light in all colours; None where none can be shown.

    Half blocks take a quarter of the area, and an encoding that has them. What has not shows it by coloured blanks, if
    it is a terminal and wide enough.
    """
    import segno

    code = segno.make(content, error="m")
    blocks = _drawn(code, compact=True)
    width = int(code.symbol_size(border=_BORDER)[0])
    is_terminal = sys.stdout.isatty()
    columns = shutil.get_terminal_size().columns
    if _can_be_written(blocks) and (not is_terminal or width <= columns):
        return blocks
    if is_terminal and 2 * width <= columns:
        return _drawn(code, compact=False)
    return None


def _drawn(code: Any, *, compact: bool) -> str:
    out = io.StringIO()
    code.terminal(out, compact=compact, border=_BORDER)
    return out.getvalue()


def _can_be_written(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
