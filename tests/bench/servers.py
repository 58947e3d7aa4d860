"""The servers that are compared: each starts on a Unix socket in a directory of its own, and is stopped by its pid.

No ports, nothing below /etc, nothing that was running before. Dovecot's passdbs are the shipped files of deploy/,
with their paths moved into the directory, so that what is measured is what a sysadmin copies.

Privileges: root, for Dovecot; Dovecot's own processes run as the users that it chooses.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SHIPPED = REPOSITORY / "deploy" / "dovecot-2.3"
START_S = 15.0
_TICKS = os.sysconf("SC_CLK_TCK")

LUA_OK = """function auth_password_verify(request, password)
  return dovecot.auth.PASSDB_RESULT_OK, {}
end
function auth_passdb_lookup(request)
  return dovecot.auth.PASSDB_RESULT_USER_UNKNOWN, ""
end
"""
"""The measure for the Lua door: a passdb that says OK and does nothing else."""

PASSWD_FILE = "passdb {{\n  driver = passwd-file\n  args = {0}\n}}\n".format
CHECKPASSWORD = "passdb {{\n  driver = checkpassword\n  args = {0}\n}}\n".format
LUA = "passdb {{\n  driver = lua\n  args = file={0} blocking=yes\n}}\n".format

DOVECOT = """base_dir = {directory}/run
state_dir = {directory}/state
instance_name = mailauth-bench
log_path = {directory}/log
protocols =
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
auth_cache_size = 0
auth_failure_delay = 0
first_valid_uid = 1
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home=/nonexistent allow_all_users=yes
}}
service auth {{
  unix_listener bench {{
    mode = 0666
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""


class CannotMeasure(Exception):
    """A server that is not to be had on this machine; the text says why."""


@dataclass(frozen=True)
class Server:
    """A server that answers on a socket; `asks` is the one that it asks at each login, if any."""

    socket: Path
    pid: int
    log: Path
    asks: "Server | None" = None

    def cpu_s(self) -> float:
        """Return the CPU time that it, all its processes (ended ones included) and whom it asks have used."""
        asked_s = 0.0 if self.asks is None else self.asks.cpu_s()
        return sum(_cpu_ticks(pid) for pid in _tree(self.pid)) / _TICKS + asked_s

    def memory_mb(self) -> float:
        """Return its resident memory in MB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise CannotMeasure("the kernel does not tell its memory")


@contextmanager
def mailauth(config: Path, socket_path: Path) -> Iterator[Server]:
    """Run `mailauth serve auth` in the shipped unit's environment, logging to a file as it would to the journal."""
    unit = (SHIPPED.parent / "systemd" / "mailauth-auth.service").read_text().splitlines()
    environment = [line.removeprefix("Environment=") for line in unit if line.startswith("Environment=")]
    command = ["env", *environment, sys.executable, "-m", "mailauth", "--config", str(config), "serve", "auth"]
    with _running(command, socket_path, config.parent / "mailauth.log") as server:
        yield server


@contextmanager
def bare(directory: Path, loop: str) -> Iterator[Server]:
    """Run the bare server on asyncio's event loop or on uvloop."""
    if loop == "uvloop":
        try:
            import uvloop  # noqa: F401
        except ImportError:
            raise CannotMeasure("uvloop is not installed") from None
    program = Path(__file__).with_name("bare_server.py")
    socket_path = directory / f"{loop}.sock"
    arguments = [str(socket_path)] + (["uvloop"] if loop == "uvloop" else [])
    with _running([sys.executable, str(program), *arguments], socket_path, directory / f"{loop}.log") as server:
        yield server


@contextmanager
def dovecot(directory: Path, passdbs: str, command_prefix: tuple[str, ...] = ()) -> Iterator[Server]:
    """Run a private Dovecot whose only socket for clients is `bench`."""
    program = shutil.which("dovecot", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        raise CannotMeasure("Dovecot is not installed")
    directory.mkdir(exist_ok=True)
    directory.chmod(0o755)
    config = directory / "dovecot.conf"
    config.write_text(DOVECOT.format(directory=directory) + passdbs)
    command = [*command_prefix, program, "-F", "-c", str(config)]
    with _running(command, directory / "run" / "bench", directory / "log") as server:
        yield server


def shipped(directory: Path, name: str, paths: Mapping[str, Path]) -> str:
    """Return a shipped file of deploy/dovecot-2.3 with its paths moved."""
    source = SHIPPED / name
    if not source.exists():
        raise CannotMeasure(f"{source} is not there")
    directory.mkdir(exist_ok=True)
    text = source.read_text()
    for path, moved in paths.items():
        text = text.replace(path, str(moved))
    return text


def checkpassword_passdb(directory: Path, auth_socket: Path) -> str:
    """Return the shipped checkpassword passdb, its helper built and put where Dovecot's user can run it."""
    subprocess.run(["make", "-C", REPOSITORY / "pam_module", "build/mailauth-checkpassword"], check=True, stdout=2)
    directory.mkdir(exist_ok=True)
    helper, deny = directory / "mailauth-checkpassword", directory / "mailauth.deny"
    shutil.copy(REPOSITORY / "pam_module" / "build" / "mailauth-checkpassword", helper)
    shutil.copy(SHIPPED / "mailauth.deny", deny)
    paths = {
        "/usr/lib/mailauth/mailauth-checkpassword": helper,
        "/run/mailauth/auth.sock": auth_socket,
        "/etc/dovecot/mailauth.deny": deny,
    }
    return shipped(directory, "mailauth-checkpassword.conf", paths)


def lua_passdb(directory: Path, auth_socket: Path | None) -> str:
    """Return the shipped Lua passdb; without a socket, one that says OK to everybody."""
    if not Path("/usr/lib/dovecot/modules/auth/libauthdb_lua.so").exists():
        raise CannotMeasure("dovecot-auth-lua is not installed")
    directory.mkdir(exist_ok=True)
    script, deny = directory / "passdb.lua", directory / "mailauth.deny"
    shutil.copy(SHIPPED / "mailauth.deny", deny)
    if auth_socket is None:
        script.write_text(LUA_OK)
    else:
        script.write_text(shipped(directory, "mailauth.lua", {"/run/mailauth/auth.sock": auth_socket}))
    paths = {"/usr/lib/mailauth/mailauth.lua": script, "/etc/dovecot/mailauth.deny": deny}
    return shipped(directory, "mailauth-lua.conf", paths)


def pam_passdb(directory: Path) -> str:
    """Return the shipped PAM passdb. Its Lua script is for look-ups, of which there are none here."""
    directory.mkdir(exist_ok=True)
    script = directory / "passdb.lua"
    script.write_text(LUA_OK)
    return shipped(directory, "mailauth-pam.conf", {"/usr/lib/mailauth/mailauth.lua": script})


def stdlib_helper_passdb(directory: Path, auth_socket: Path) -> str:
    """Return a checkpassword passdb with the standard-library Python helper."""
    directory.mkdir(exist_ok=True)
    helper = directory / "helper.py"
    shutil.copy(Path(__file__).with_name("stdlib_helper.py"), helper)
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
    return CHECKPASSWORD(f"{python} -S -E {helper} {auth_socket}")


def pam_services(directory: Path, auth_socket: Path) -> Path:
    """Make the shipped PAM services with mailauth's module, as a directory to stand for /etc/pam.d."""
    subprocess.run(["make", "-C", REPOSITORY / "pam_module", "build/pam_mailauth.so"], check=True, stdout=2)
    services = directory / "pam.d"
    services.mkdir(parents=True, exist_ok=True)
    module = f"{REPOSITORY / 'pam_module' / 'build' / 'pam_mailauth.so'} socket={auth_socket}"
    for name in ("imap", "mailauth"):
        lines = (SHIPPED.parent / "pam.d" / name).read_text().splitlines()
        ours = (line if line.startswith("#") else line.replace("pam_mailauth.so", module) for line in lines)
        (services / name).write_text("".join(f"{line}\n" for line in ours))
    return services


def google_authenticator_services(directory: Path, seeds: Mapping[str, str]) -> Path:
    """Make a PAM service with google-authenticator alone, at its quickest: no rate limit, codes may be used again."""
    if not list(Path("/lib").glob("*/security/pam_google_authenticator.so")):
        raise CannotMeasure("libpam-google-authenticator is not installed")
    services, states = directory / "pam.d", directory / "states"
    services.mkdir(parents=True, exist_ok=True)
    states.mkdir(exist_ok=True)
    for name, seed in seeds.items():
        state = states / name
        state.write_text(f'{seed}\n" TOTP_AUTH\n')
        state.chmod(0o400)
    auth = f"auth required pam_google_authenticator.so user=root secret={states}/${{USER}}\n"
    (services / "imap").write_text(auth + "account required pam_permit.so\n")
    return services


def behind(services: Path) -> tuple[str, ...]:
    """Return what runs a command in a mount namespace of its own, with this directory for /etc/pam.d."""
    if subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode != 0:
        raise CannotMeasure("PAM needs a mount namespace, and there is none")
    return ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/pam.d && exec "$@"', str(services))


@contextmanager
def _running(command: list[str], socket_path: Path, log: Path) -> Iterator[Server]:
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd=REPOSITORY)
    try:
        _wait_until_ready(process, socket_path, log)
        yield Server(socket_path, process.pid, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(START_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], socket_path: Path, log: Path) -> None:
    ends_at = time.monotonic() + START_S
    while time.monotonic() < ends_at and process.poll() is None:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(socket_path)) == 0:
                return
        time.sleep(0.02)
    raise CannotMeasure(f"it does not answer on {socket_path}: {log.read_text(errors='replace')[-2000:]}")


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat behind the command's name (proc(5): field 3 is the first)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def _cpu_ticks(pid: int) -> int:
    fields = _stat(pid)
    return sum(int(ticks) for ticks in fields[11:15])  # utime, stime, and the same of children that have ended
