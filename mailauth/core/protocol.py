"""The server's half of the Dovecot authentication protocol, version 1: bytes in, events out.

Source: Dovecot's "Authentication Protocol" document (client-server part). Lines end with LF, fields are
separated by TAB, values escape NUL, SOH, TAB, LF and CR with SOH. Spoken unmodified by Postfix, Exim, doveadm
and by the clients in `pam_module/`.

`Conversation.feed` takes any piece of the stream and returns events, the last of which may be Broken; it raises
nothing, and how the bytes are cut into pieces makes no difference. No sockets, no verification.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from typing import NamedTuple

from mailauth.vocabulary.errors import ProtocolViolation
from mailauth.vocabulary.secret import Secret

VERSION_MAJOR = 1
VERSION_MINOR = 1
MAX_LINE_BYTES = 16384
"""Postfix passes on SASL responses of up to 12288 bytes; those are to be refused by an answer, not by a cut."""
MAX_PENDING = 256
"""How many unfinished requests one connection may have."""
MAX_PARAMETERS = 64
"""How many parameters one request may have: Dovecot sends some twenty, and each is kept while a request waits."""
MAX_ECHO_CHARACTERS = 1016
"""Names beyond this are left out of refusals: four times the longest account name, and far below the 8192 bytes
that our clients accept as a line, escapes and UTF-8 included."""

OWN_CLIENT = "mailauth"
"""The parameter by which our own clients announce that they understand `code=temp_fail`."""
LOOK_UP = "lookup"
"""Its value where they ask, without a password, whether an account exists; OK then says that it does."""

FACTOR, SECOND_FACTOR_ONLY = "factor", "second"
"""The parameter by which our PAM module asks for the second factor alone; `tail=` in the answer says where it is."""
RELEASE = "release"
"""The token in that answer, and with `factor=release` the parameter that returns it: the password proved wrong."""

_FIELD = re.compile(
    r"userdb_[a-z0-9_]{1,64}|forward_[a-z0-9_]{1,64}|proxy|proxy_(?:timeout|nopipelining)|host|hostip|port|destuser"
    r"|master|pass|ssl|starttls"
)
"""Of a passdb (Dovecot's manual, "Password database extra fields")."""
BARE_PASSWORD = "userdb_plain_pass"
"""By which post-login scripts get it, as PLAIN_PASS; what they get by %w or %{password} is what the client typed."""
_TO_ESCAPE = re.compile("[\x00\x01\t\r\n]")
_ESCAPES = {"\x00": "\x010", "\x01": "\x011", "\t": "\x01t", "\r": "\x01r", "\n": "\x01n"}
_UNESCAPES = {b"\x01" + v[1].encode(): k.encode() for k, v in _ESCAPES.items()}
_ESCAPED = re.compile(b"\x01(.?)", re.DOTALL)
_MAX_ID = 2**32 - 1
_MAX_ID_DIGITS = 10

_ASK_USERNAME = base64.b64encode(b"Username:")
_ASK_PASSWORD = base64.b64encode(b"Password:")


class Login(NamedTuple):
    """A complete request: who, with what, and the parameters that came with it."""

    id: int
    mechanism: str
    name: str
    secret: Secret
    parameters: dict[str, str]


class Malformed(NamedTuple):
    """A request that can only be refused: an unknown mechanism, bad base64, a broken response."""

    id: int
    name: str
    problem: str
    parameters: dict[str, str]


class Say(NamedTuple):
    """Bytes that the protocol itself has to send now."""

    data: bytes


class Cancelled(NamedTuple):
    """The client does not want the answer any more."""

    id: int


class Broken(NamedTuple):
    """The peer broke the protocol. Nothing follows: close the connection."""

    problem: str


Event = Login | Malformed | Say | Cancelled | Broken


class _Pending(NamedTuple):
    """A request that waits for the client's next response; LOGIN's name once it is known."""

    mechanism: str
    parameters: dict[str, str]
    name_bytes: bytes | None = None


class Conversation:
    """One connection's state. Requests are pipelined and may be answered in any order."""

    def __init__(self) -> None:
        self._buffer = b""
        self._version_seen = False
        self._cpid_seen = False
        self._pending: dict[int, _Pending] = {}
        self._is_broken = False

    @property
    def is_introduced(self) -> bool:
        """Whether the peer has done its part of the handshake."""
        return self._cpid_seen

    @property
    def owes_bytes(self) -> bool:
        """Whether the peer has begun something that it has to end soon: its introduction, or a line."""
        return bool(self._buffer) or not self._cpid_seen

    def feed(self, data: bytes) -> list[Event]:
        """Take bytes of the stream and return what they mean."""
        events: list[Event] = []
        if self._is_broken:
            return events
        lines = (self._buffer + data).split(b"\n")
        self._buffer = lines.pop()
        try:
            for line in lines:
                event = self._line(line)
                if event is not None:
                    events.append(event)
            if len(self._buffer) > MAX_LINE_BYTES:
                raise _too_long()
        except ProtocolViolation as violation:
            self._is_broken = True
            self._buffer = b""
            self._pending.clear()
            events.append(Broken(str(violation)))
        return events

    def _line(self, line: bytes) -> Event | None:
        if len(line) > MAX_LINE_BYTES:
            raise _too_long()
        command, _, rest = line.partition(b"\t")
        if command == b"AUTH":
            return self._auth(rest)
        if command == b"CONT":
            return self._cont(rest)
        if command == b"CANCEL":
            return self._cancel(rest)
        if command == b"VERSION":
            self._version(rest)
        elif command == b"CPID":
            self._cpid(rest)
        # "If the command is unknown, the receiving side should ignore it": the document, s. "Overview".
        return None

    def _version(self, rest: bytes) -> None:
        major = rest.split(b"\t")[0]
        if self._version_seen or major != b"%d" % VERSION_MAJOR:
            raise ProtocolViolation("VERSION twice, or of another major version")
        self._version_seen = True

    def _cpid(self, rest: bytes) -> None:
        if not self._version_seen or self._cpid_seen or not (rest.isdigit() and len(rest) <= _MAX_ID_DIGITS):
            raise ProtocolViolation("CPID twice, malformed or before VERSION")
        self._cpid_seen = True

    def _auth(self, rest: bytes) -> Event:
        if not self._cpid_seen:
            raise ProtocolViolation("AUTH before the handshake")
        # "resp=<base64> : The initial response. It must be the last parameter."
        head, has_response, response = rest.partition(b"\tresp=")
        id_text, _, head = head.partition(b"\t")
        request_id = self._new_id(id_text)
        mechanism_bytes, has_parameters, pairs = head.partition(b"\t")
        parameters = _parameters(pairs) if has_parameters else {}
        mechanism = _MECHANISMS.get(mechanism_bytes) or _MECHANISMS.get(mechanism_bytes.upper())
        if mechanism is None:
            return Malformed(request_id, "", "unknown mechanism", parameters)
        # Exim sends LOGIN with an empty `resp=`; an empty initial response is none.
        if not has_response or response == b"":
            pending = _Pending(mechanism, parameters)
            return self._challenge(request_id, pending, b"" if mechanism == "PLAIN" else _ASK_USERNAME)
        return self._respond(request_id, mechanism, parameters, None, response)

    def _cont(self, rest: bytes) -> Event | None:
        id_text, _, response = rest.partition(b"\t")
        request_id = _parse_id(id_text)
        pending = self._pending.pop(request_id, None)
        if pending is None:
            return None  # cancelled or answered in the meantime
        return self._respond(request_id, *pending, response)

    def _cancel(self, rest: bytes) -> Cancelled:
        request_id = _parse_id(rest)
        self._pending.pop(request_id, None)
        return Cancelled(request_id)

    def _challenge(self, request_id: int, pending: _Pending, challenge: bytes) -> Say:
        if len(self._pending) >= MAX_PENDING:
            raise ProtocolViolation("too many unfinished requests")
        self._pending[request_id] = pending
        return Say(b"CONT\t%d\t%s\n" % (request_id, challenge))

    def _respond(
        self, request_id: int, mechanism: str, parameters: dict[str, str], name_bytes: bytes | None, response: bytes
    ) -> Event:
        try:
            decoded = binascii.a2b_base64(response, strict_mode=True)
        except binascii.Error:
            return Malformed(request_id, "", "bad base64", parameters)
        if mechanism == "PLAIN":
            return _plain(request_id, decoded, parameters)
        if name_bytes is None:
            return self._challenge(request_id, _Pending(mechanism, parameters, decoded), _ASK_PASSWORD)
        name = _text(name_bytes)
        if name is None:
            return Malformed(request_id, "", "name is not UTF-8", parameters)
        return Login(request_id, mechanism, name, Secret(decoded), parameters)

    def _new_id(self, text: bytes) -> int:
        request_id = _parse_id(text)
        if request_id in self._pending:
            raise ProtocolViolation("request id in use")
        return request_id


_MECHANISMS = {b"PLAIN": "PLAIN", b"LOGIN": "LOGIN"}


def greeting(pid: int, connection_id: int, cookie: str) -> bytes:
    """Return what the server says first, all at once: Exim waits for DONE before it speaks."""
    return (
        f"VERSION\t{VERSION_MAJOR}\t{VERSION_MINOR}\n"
        "MECH\tPLAIN\tplaintext\n"
        "MECH\tLOGIN\tplaintext\n"
        f"SPID\t{pid}\n"
        f"CUID\t{connection_id}\n"
        f"COOKIE\t{cookie}\n"
        "DONE\n"
    ).encode("ascii")


def ok(
    request_id: int,
    user: str,
    tail_bytes: int | None = None,
    release: str | None = None,
    fields: Iterable[tuple[str, str]] = (),
) -> bytes:
    """Return the reply to an accepted login. Never with `nologin`: Postfix would take it for success.

    `fields`: what Dovecot is told besides, by names that `is_field` allows.
    """
    besides = "".join(f"\t{name}={escape(value)}" for name, value in fields)
    tail = "" if tail_bytes is None else f"\ttail={tail_bytes}"
    token = "" if release is None else f"\t{RELEASE}={release}"
    return f"OK\t{request_id}\tuser={escape(user)}{tail}{token}{besides}\n".encode()


def is_field(name: str) -> bool:
    """Tell whether a field may be handed to Dovecot: none that changes who is let in, or whether."""
    return _FIELD.fullmatch(name) is not None


def fail(request_id: int, user: str, reason: str | None) -> bytes:
    """Return the reply to a refused login, with the text that the client may show."""
    shown = "" if reason is None else f"\treason={escape(reason)}"
    return f"FAIL\t{request_id}{_echo(user)}{shown}\n".encode("utf-8", "replace")


def temporary_failure(request_id: int, user: str) -> bytes:
    """Return the reply "try again later", which only our own clients understand as that."""
    return f"FAIL\t{request_id}{_echo(user)}\tcode=temp_fail\n".encode("utf-8", "replace")


def unknown(request_id: int, user: str) -> bytes:
    """Return the reply to a look-up of what does not exist.

    In a word of its own: mail bounces on it, and on nothing else that a server, an older one too, may answer.
    """
    return f"FAIL\t{request_id}{_echo(user)}\tcode=unknown\n".encode("utf-8", "replace")


def _echo(user: str) -> str:
    return "" if len(user) > MAX_ECHO_CHARACTERS else f"\tuser={escape(user)}"


def escape(value: str) -> str:
    """Return a value as it stands in a line."""
    if _TO_ESCAPE.search(value) is None:
        return value
    return _TO_ESCAPE.sub(lambda found: _ESCAPES[found[0]], value)


def unescape(value: bytes) -> bytes:
    """Return a value as it was before `escape`. Raises ProtocolViolation for an escape that means nothing."""
    if b"\x01" not in value:
        return value

    def meaning(found: re.Match[bytes]) -> bytes:
        try:
            return _UNESCAPES[found[0]]
        except KeyError:
            raise ProtocolViolation("unknown escape") from None

    return _ESCAPED.sub(meaning, value)


def _too_long() -> ProtocolViolation:
    return ProtocolViolation(f"a line of more than {MAX_LINE_BYTES} bytes")


def _parameters(pairs: bytes) -> dict[str, str]:
    # Parameters are for policy and log, so odd bytes are kept visible instead of ending the connection.
    text = pairs.decode("utf-8", "backslashreplace")
    split = text.split("\t")
    if len(split) > MAX_PARAMETERS:
        raise ProtocolViolation(f"a request of more than {MAX_PARAMETERS} parameters")
    is_escaped = "\x01" in text
    parameters = {}
    for pair in split:
        key, has_value, value = pair.partition("=")
        if is_escaped:
            value = unescape(value.encode()).decode()
        # A bare key (`secured`, `nologin`) says yes.
        parameters[key] = value if has_value else "yes"
    return parameters


def _parse_id(text: bytes) -> int:
    if text.isdigit() and len(text) <= _MAX_ID_DIGITS and (request_id := int(text)) <= _MAX_ID:
        return request_id
    raise ProtocolViolation("request id is not a 32-bit number")


def _plain(request_id: int, decoded: bytes, parameters: dict[str, str]) -> Login | Malformed:
    # RFC 4616: message = [authzid] UTF8NUL authcid UTF8NUL passwd
    parts = decoded.split(b"\x00")
    if len(parts) != 3:
        return Malformed(request_id, "", "not a PLAIN message", parameters)
    authorisation, name_bytes, password = parts
    name = _text(name_bytes)
    if name is None:
        return Malformed(request_id, "", "name is not UTF-8", parameters)
    if authorisation and authorisation != name_bytes:
        return Malformed(request_id, name, "logging in as somebody else is not supported", parameters)
    return Login(request_id, "PLAIN", name, Secret(password), parameters)


def _text(name: bytes) -> str | None:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return None
