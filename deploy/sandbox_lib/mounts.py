"""Programs that see a sandbox's files at the places where an installation has them.

For what cannot be told by an option where its files are: PAM's services and Exim's
configuration. The program runs in a mount namespace of its own (unshare(1)), in which
the sandbox's directory lies over the system's. Nothing of that is seen by any other
process, and it is gone with the last process in it. Needs root.
"""

from __future__ import annotations

import subprocess

from .ground import Ground, SandboxError

SCRIPT = 'while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 1; shift 2; done; shift; exec "$@"'


def behind(ground: Ground, paths: tuple[str, ...], argv: list[str]) -> list[str]:
    """Return the command that runs `argv` with the sandbox's `paths` over the system's."""
    if not paths:
        return argv
    pairs = [word for path in paths for word in (str(ground.at(path)), str(ground.system.outer(path)))]
    return ["unshare", "--mount", "sh", "-c", SCRIPT, "sh", *pairs, "--", *argv]


def check() -> None:
    """Raise SandboxError where this machine does not let us have a mount namespace."""
    done = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SandboxError(f"PAM and Exim need a mount namespace, and there is none: {done.stderr.strip()}")
