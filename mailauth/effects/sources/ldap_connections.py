"""Connections to an LDAP server that end in time, whatever the server does.

libldap with GnuTLS (Debian 12) waits for ever in the handshake of a new TLS connection to a server that hangs, its
time-outs notwithstanding, and in that of StartTLS. So the socket is our own: for `ldaps` TLS is Python's, with a
thread that carries bytes between it and libldap; for StartTLS a timer shuts the socket down.
"""

import contextlib
import selectors
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from mailauth.effects import plain_files
from mailauth.vocabulary.errors import InvalidValue, SourceUnavailable

_PORTS: Final = {"ldap": 389, "ldaps": 636}
_CHUNK: Final = 65536


class Server(NamedTuple):
    """Where a directory is. `ca_file`: who signs its certificate; empty for those that the system trusts."""

    url: str
    start_tls: bool
    ca_file: str
    timeout_s: float


class LdapConnection:
    """One connection; not for several threads at once. Raises SourceUnavailable where it can't be made."""

    def __init__(self, server: Server) -> None:
        import ldap

        self._pump: _Pump | None = None
        self._socket: socket.socket | None = None
        self._ldap: Any = None
        parts = urlsplit(server.url)
        try:
            if parts.scheme == "ldapi":
                url, self._socket = "ldapi:///", socket.socket(socket.AF_UNIX)
                self._socket.settimeout(server.timeout_s)
                self._socket.connect(unquote(parts.netloc))
            else:
                host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
                url, self._socket = f"ldap://{parts.netloc}", socket.create_connection((host, port), server.timeout_s)
                if parts.scheme == "ldaps":
                    self._pump = _Pump(self._socket, host, server.ca_file)
                    self._socket = self._pump.other_end
            self._socket.settimeout(None)
            self._ldap = ldap.initialize(url, fileno=self._socket.fileno())
            self._set_options(server)
            if server.start_tls:
                with self._shut_down_after(server.timeout_s):
                    self._ldap.start_tls_s()
        except (OSError, ldap.LDAPError) as error:
            self.close()
            raise SourceUnavailable(f"{server.url} cannot be reached: {words(error)}") from error

    def _set_options(self, server: Server) -> None:
        import ldap

        for option, value in (
            (ldap.OPT_PROTOCOL_VERSION, 3),
            (ldap.OPT_REFERRALS, 0),
            (ldap.OPT_NETWORK_TIMEOUT, server.timeout_s),
            (ldap.OPT_TIMEOUT, server.timeout_s),
        ):
            self._ldap.set_option(option, value)
        if server.start_tls:
            self._ldap.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
            if server.ca_file:
                self._ldap.set_option(ldap.OPT_X_TLS_CACERTFILE, server.ca_file)
            self._ldap.set_option(ldap.OPT_X_TLS_NEWCTX, 0)  # the last one: it makes the others so

    @property
    def raw(self) -> Any:
        """python-ldap's own object."""
        return self._ldap

    def close(self) -> None:
        """Let go of it, at once."""
        import ldap

        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            if self._ldap is None:
                self._socket.close()
            else:
                self._socket.detach()  # libldap closes it, and Python would do so a second time
                with contextlib.suppress(ldap.LDAPError):
                    self._ldap.unbind_s()
        if self._pump is not None:
            self._pump.close()
        self._socket = self._ldap = self._pump = None

    def _shut_down(self) -> None:
        if self._socket is not None:
            self._socket.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def _shut_down_after(self, seconds: float) -> Iterator[None]:
        timer = threading.Timer(seconds, self._shut_down)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


class _Pump:
    """TLS over a socket, and a pair of sockets whose other end has the plain bytes."""

    def __init__(self, plain: socket.socket, host: str, ca_file: str) -> None:
        context = ssl.create_default_context(cafile=ca_file or None)
        self._tls = context.wrap_socket(plain, server_hostname=host)
        self._near, self.other_end = socket.socketpair()
        threading.Thread(target=self._run, name="ldaps", daemon=True).start()

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self._near.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        try:
            with self._tls, self._near, selectors.DefaultSelector() as waiting:
                waiting.register(self._tls, selectors.EVENT_READ)
                waiting.register(self._near, selectors.EVENT_READ)
                while True:
                    for key, _ in waiting.select():
                        if key.fileobj is self._near:
                            outgoing = self._near.recv(_CHUNK)
                            if not outgoing:
                                return
                            self._tls.sendall(outgoing)
                        elif not self._carry_in():
                            return
        except OSError:
            return  # whoever waits at the other end sees it end

    def _carry_in(self) -> bool:
        """Carry what has come; False at the end. TLS may hold more than the socket shows."""
        while True:
            incoming = self._tls.recv(_CHUNK)
            if not incoming:
                return False
            self._near.sendall(incoming)
            if not self._tls.pending():
                return True


def words(error: BaseException) -> str:
    """Return what libldap or the system says of an error."""
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    facts = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    said = " ".join(str(facts[key]) for key in ("desc", "info") if facts.get(key))
    return " ".join(said.split())[:200] or type(error).__name__


def read_password(path: str) -> str:
    """Return the password in a file, without its line's end. Raises InvalidValue."""
    if not path:
        return ""
    try:
        return plain_files.text_of(path).rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValue(f"{path} cannot be read: {words(error)}") from error
