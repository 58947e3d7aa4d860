"""SIGHUP while a process starts that will serve.

Imports nothing of ours, so that it can be said before anything else is done: loading the rest takes half a second.
"""

import signal
import sys


def outlive() -> None:
    """Let SIGHUP end nothing while the process starts; once it runs, there is a line about it.

    Where it was started at a terminal and not by nohup, it ends with the terminal, as everything does there.
    """
    if not ends_with_a_terminal():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def ends_with_a_terminal() -> bool:
    """Tell whether the process was started at a terminal, and not by nohup."""
    return sys.stdin is not None and sys.stdin.isatty() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
