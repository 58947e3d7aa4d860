"""Servers that providers have, started privately from Debian's packages, that a test may stop, hang and start again.

Each lives in a directory of its own and listens on loopback alone. Nothing of the machine's own configuration is read.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy import Engine, NullPool, create_engine, text

from deploy.sandbox_lib import ports

PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/libexec"
READY_WITHIN_S = 60


def a_port() -> int:
    """Return a port of loopback that is free."""
    (port,) = ports.choose(("server",)).values()
    return port


def program(name: str, *places: str) -> str:
    """Return a program of Debian's, wherever it is."""
    found = shutil.which(name, path=os.pathsep.join((*places, PATH)))
    assert found is not None, f"{name} is missing; deploy/bootstrap stack installs it"
    return found


class Served(ABC):
    """A server's process. `command`: what starts it, in the foreground."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = a_port()
        self.user: str | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return what starts it."""

    @abstractmethod
    def probe(self) -> None:
        """Ask it something; raise whatever says that it is not there."""

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = (self.directory / "log").open("ab")
        self._process = subprocess.Popen(
            self.command(), stdout=log, stderr=log, start_new_session=True, user=self.user, cwd="/"
        )
        log.close()
        wait_for(self._answers, lambda: f"{self.command()[0]}: {(self.directory / 'log').read_text()[-2000:]}")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.directory / "log").read_text()[-2000:]
        try:
            self.probe()
        except Exception:
            return False
        return True

    def stop(self) -> None:
        """End it, at once."""
        if self._process is not None:
            everybody = _with_children(self._process.pid)
            self._signal(signal.SIGKILL)
            self._process.wait(READY_WITHIN_S)
            self._process = None
            wait_for(lambda: not any(_lives(pid) for pid in everybody), lambda: "it does not end")

    def hang(self) -> None:
        """Stop all of its processes from doing anything; connections stay, and new ones are taken by the kernel."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to all of its processes, those first that have started others."""
        assert self._process is not None
        for pid in _with_children(self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def _lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _with_children(pid: int) -> list[int]:
    """Return a process and all that it has started, and those have."""
    found = [pid]
    for one in found:
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(child) for child in children.read_text().split()]
    return found


def wait_for(is_so: Callable[[], bool], words: Callable[[], str]) -> None:
    """Wait until something is so, for a minute at most."""
    ends = time.monotonic() + READY_WITHIN_S
    while not is_so():
        assert time.monotonic() < ends, words()
        time.sleep(0.05)


class Slapd(Served):
    """OpenLDAP, with TLS on a second port. `ca`: who has signed its certificate."""

    base = "dc=hoster,dc=example"
    admin = f"cn=admin,{base}"
    password = "of the directory"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.tls_port = a_port()
        self.ca = certificate(directory)
        (directory / "data").mkdir()
        (directory / "slapd.conf").write_text(
            "".join(f"include /etc/ldap/schema/{name}.schema\n" for name in ("core", "cosine", "inetorgperson"))
            + f"moduleload back_mdb\npidfile {directory}/pid\n"
            f"TLSCACertificateFile {directory}/ca.pem\nTLSCertificateFile {directory}/server.pem\n"
            f"TLSCertificateKeyFile {directory}/server.key\n"
            f'database mdb\nmaxsize 1073741824\nsuffix "{self.base}"\nrootdn "{self.admin}"\n'
            f'rootpw "{self.password}"\ndirectory {directory}/data\nindex objectClass,mail eq\n'
            "access to attrs=userPassword by anonymous auth by * none\naccess to * by users read\n"
        )
        (directory / "service-password").write_text(self.password + "\n")

    @property
    def url(self) -> str:
        """Its address without TLS."""
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        """Its address with TLS."""
        return f"ldaps://127.0.0.1:{self.tls_port}"

    def command(self) -> Sequence[str]:
        """Return what starts it."""
        config = self.directory / "slapd.conf"
        return (program("slapd"), "-d", "0", "-f", str(config), "-h", f"{self.url}/ {self.tls_url}/")

    def probe(self) -> None:
        """Bind."""
        self.connection()

    def connection(self) -> Any:
        """Return a connection that may do everything."""
        import ldap

        connection = ldap.initialize(self.url)
        connection.set_option(ldap.OPT_NETWORK_TIMEOUT, 5.0)
        connection.simple_bind_s(self.admin, self.password)
        return connection


class MariaDb(Served):
    """MariaDB."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        made = (
            program("mariadb-install-db"),
            "--no-defaults",
            f"--datadir={directory}/data",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        )
        subprocess.run(made, check=True, capture_output=True)

    @property
    def url(self) -> str:
        """Its database."""
        return f"mysql+pymysql://root@127.0.0.1:{self.port}/panel"

    def command(self) -> Sequence[str]:
        """Return what starts it."""
        return (
            program("mariadbd"),
            "--no-defaults",
            f"--datadir={self.directory}/data",
            f"--socket={self.directory}/sock",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            *(("--user=root",) if os.geteuid() == 0 else ()),
        )

    def probe(self) -> None:
        """Make the database, where it is not there yet."""
        engine = create_engine(f"mysql+pymysql://root@127.0.0.1:{self.port}/")
        try:
            with engine.begin() as connection:
                connection.execute(text("CREATE DATABASE IF NOT EXISTS panel CHARACTER SET utf8mb4"))
        finally:
            engine.dispose()


class PostgreSql(Served):
    """PostgreSQL, which does not run as root: then as the user that its package has made."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.user = "postgres" if os.geteuid() == 0 else None
        self._programs = str(max(Path("/usr/lib/postgresql").glob("*/bin")))
        if self.user is not None:
            shutil.chown(directory, self.user)
            for parent in directory.parents:  # pytest's directories are private to who runs it
                if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & 0o001:
                    parent.chmod(parent.stat().st_mode | 0o011)
        made = (program("initdb", self._programs), "-D", f"{directory}/data", "-A", "trust", "-U", "panel")
        subprocess.run((*made, "-E", "UTF8", "--no-sync"), check=True, capture_output=True, cwd="/", user=self.user)

    @property
    def url(self) -> str:
        """Its database."""
        return f"postgresql+psycopg://panel@127.0.0.1:{self.port}/postgres"

    def command(self) -> Sequence[str]:
        """Return what starts it."""
        data, sockets = f"{self.directory}/data", str(self.directory)
        options = ("-c", "listen_addresses=127.0.0.1", "-c", "fsync=off")
        return (
            program("postgres", self._programs),
            "-D",
            data,
            "-p",
            str(self.port),
            "-k",
            sockets,
            *options,
        )

    def probe(self) -> None:
        """Ask for something."""
        engine = create_engine(self.url)
        try:
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        finally:
            engine.dispose()


def engine_of(server: MariaDb | PostgreSql) -> Engine:
    """Return how a panel works with its database: by a new connection each time."""
    return create_engine(server.url, poolclass=NullPool)


def certificate(directory: Path) -> Path:
    """Make a certificate for 127.0.0.1 and who signs it; return that one's."""
    now = datetime.now(UTC)

    def made(name: str, key: Any, issuer: str, issuer_key: Any, *extensions: x509.ExtensionType) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(issuer_key, hashes.SHA256())

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    is_ca, is_none = x509.BasicConstraints(ca=True, path_length=0), x509.BasicConstraints(ca=False, path_length=None)
    of_ca = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    by_ca = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    pem = serialization.Encoding.PEM
    (directory / "ca.pem").write_bytes(made("ca", ca_key, "ca", ca_key, is_ca, of_ca, usage).public_bytes(pem))
    (directory / "server.pem").write_bytes(
        made("server", key, "ca", ca_key, is_none, by_ca, address).public_bytes(pem)
    )
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / "server.key").write_bytes(private)
    return directory / "ca.pem"
