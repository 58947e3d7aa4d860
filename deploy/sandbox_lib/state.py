"""What a sandbox remembers of itself (DIR/sandbox.json), and its logs.

The file is the JSON object that `up` prints. Its presence means that a sandbox is up,
or was and has not been taken down.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from . import control, dovecot, exim, nginx, postfix
from .ground import Ground, SandboxError, System

LOG_TAIL_LINES = 25


def say(text: str) -> None:
    print(f"sandbox: {text}", file=sys.stderr, flush=True)


def read(directory: Path) -> dict[str, Any] | None:
    try:
        state: dict[str, Any] = json.loads((directory / "sandbox.json").read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise SandboxError(f"{directory}/sandbox.json is damaged: {error}") from error
    return state


def require(directory: Path) -> dict[str, Any]:
    state = read(directory)
    if state is None:
        raise SandboxError(f"no sandbox is up in {directory}")
    return state


def write(ground: Ground, state: dict[str, Any]) -> None:
    """Save the state with the pids of this moment."""
    status = control.ask(ground.control, command="status")
    pids = {name: service["pid"] for name, service in status["services"].items()}
    pids["supervisor"] = status["supervisor"]
    state["pids"] = pids
    state["processes"] = control.identities([pid for pid in pids.values() if pid])
    unfinished = ground.state.with_suffix(".new")
    unfinished.write_text(json.dumps(state, indent=2) + "\n")
    unfinished.replace(ground.state)


def ground_of(state: dict[str, Any]) -> Ground:
    root = Path(state["root"]) if state["root"] else None
    return Ground(Path(state["dir"]), Path(state["ground"]), System(root))


def log_files(ground: Ground) -> dict[str, Path]:
    """Every log of a sandbox by name; not all need exist."""
    own = ("setup", "supervisor", "mailauth", "sink", "saslauthd", "slapd")
    outputs = ("dovecot-output", "postfix-output", "exim-output", "nginx-output")
    files = {name: ground.log(name) for name in (*own, *outputs)}
    return files | {
        "dovecot": dovecot.log_path(ground),
        "postfix": postfix.log_path(ground),
        "exim": exim.log_path(ground),
        "nginx": nginx.log(ground),
        "nginx-access": nginx.access_log(ground),
    }


def show_logs(ground: Ground) -> None:
    """The ends of all logs that say something, on stderr."""
    for name, path in log_files(ground).items():
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        if lines:
            print(f"---- {name} ({path}), the end:", file=sys.stderr)
            print("\n".join(lines[-LOG_TAIL_LINES:]), file=sys.stderr)
