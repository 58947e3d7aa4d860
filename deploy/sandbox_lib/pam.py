"""The sandbox's own PAM services: the shipped ones of ../pam.d, and mailauth's module.

They lie in the sandbox; who is to use them runs behind mounts.behind(..., SERVICES).
The machine's /etc/pam.d stays as it is. Writes files; starts nothing.
"""

from __future__ import annotations

import shutil

from . import mounts
from .ground import REPOSITORY, Ground, SandboxError

SERVICES = "/etc/pam.d"
MODULE = "/usr/lib/mailauth/pam_mailauth.so"
SOCKET = "/run/mailauth/auth.sock"
BUILT = REPOSITORY / "pam_module" / "build" / "pam_mailauth.so"
OTHER = """# A sandbox of mailauth: who asks for a service that is not here is refused.
auth     required  pam_deny.so
account  required  pam_deny.so
"""


def install(ground: Ground) -> None:
    """Put module and services into the sandbox, as `make install` and a sysadmin would."""
    mounts.check()
    if not BUILT.exists():
        raise SandboxError(f"{BUILT} is missing: run `make build`")
    module = ground.at(MODULE)
    shutil.copy(BUILT, module)
    module.chmod(0o644)
    require_loadable(ground)
    folder = ground.at(SERVICES)
    folder.mkdir(parents=True, exist_ok=True)
    ours = f"{ground.inner(MODULE)} socket={ground.inner(SOCKET)}"
    for shipped in (REPOSITORY / "deploy" / "pam.d").iterdir():
        text = shipped.read_text().splitlines()
        lines = (line if line.startswith("#") else line.replace("pam_mailauth.so", ours) for line in text)
        (folder / shipped.name).write_text("\n".join(lines) + "\n")
    (folder / "other").write_text(OTHER)


def require_loadable(ground: Ground) -> None:
    """A module built for a newer libc than that of the system would refuse every login."""
    done = ground.system.run("ldd", ground.inner(MODULE))
    if done.returncode != 0 or "not found" in done.stdout + done.stderr:
        raise SandboxError(f"pam_mailauth.so does not load there:\n{done.stdout}{done.stderr}".rstrip())
