"""One connection of the authentication server: bytes to events, attempts to verdicts, verdicts to bytes.

What can be answered from memory is answered at once, without a task. Everything else is a task whose reply is
written when it is there; so requests overtake one another, which the protocol allows.

A verdict of Unavailable closes the connection, since Postfix and Exim take every FAIL for a permanent one
(a 535 where 454 is meant); our own clients announce that they know better and get `code=temp_fail`.
"""

import asyncio
import logging
import os
import secrets
import socket
import struct
import time
from collections.abc import Callable, Coroutine
from functools import lru_cache
from typing import Any, NamedTuple, assert_never, cast

from mailauth.core import protocol, splitter
from mailauth.core.addresses import parse_address
from mailauth.core.protocol import Broken, Cancelled, Conversation, Login, Malformed, Say
from mailauth.core.services import PORTAL
from mailauth.effects import attempt_log
from mailauth.effects.log_lines import FIELDS
from mailauth.usecases.login.verifier import Verifier
from mailauth.usecases.lookups import Exists, Lookups, LookupUnanswered, Unknown
from mailauth.vocabulary.errors import InvalidValue
from mailauth.vocabulary.model import Address, Ask, Attempt, Credential, Denied, Granted, Unavailable, Verdict
from mailauth.vocabulary.reasons import WhyDenied, WhyUnavailable
from mailauth.vocabulary.secret import Secret

_log = logging.getLogger(__name__)

_WITH_PASSWORD = (Credential.PASSWORD, Credential.PASSWORD_AND_CODE, Credential.PASSWORD_AND_RECOVERY_CODE)
_UCRED = struct.Struct("3i")
"""struct ucred of unix(7): pid, uid, gid."""

MAX_WORD_CHARACTERS = 32
"""Of a service's name, and of what says how a connection is secured."""
MAX_ADDRESS_CHARACTERS = 64
"""More than any address has, a zone (RFC 4007) included."""


class Peer(NamedTuple):
    """The process at the other end, by the kernel's word."""

    pid: int
    uid: int


class ServerContext(NamedTuple):
    """What all connections of a server share. `refusal_text` takes a service and a presented name."""

    verifier: Verifier
    lookups: Lookups
    refusal_text: Callable[[str, str], str]
    handshake_s: float
    idle_s: float
    connections: "set[AuthConnection]"
    under_way: set[asyncio.Task[None]]
    max_connections: int


class May(NamedTuple):
    """What a socket's peers may, besides trying logins."""

    look_up: bool = False
    read_fields: bool = False
    read_password: bool = False


class AuthConnection(asyncio.Protocol):
    """The server's end of one connection."""

    def __init__(
        self, context: ServerContext, allowed_uids: frozenset[int] | None, may: May, connection_id: int
    ) -> None:
        self._context = context
        self._allowed_uids = allowed_uids
        self._may = may
        self._connection_id = connection_id
        self._conversation = Conversation()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._last_heard = time.monotonic()
        self._owing_since = self._last_heard
        self._is_write_blocked = False
        self._is_finishing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Look at who it is, and greet."""
        # By its methods a Transport on every event loop, though not always by its class.
        self._transport = stream = cast(asyncio.Transport, transport)
        peer = _peer_of(stream)
        self._peer = f"pid:{peer.pid}/uid:{peer.uid}"
        if self._allowed_uids is not None and peer.uid not in self._allowed_uids:
            _log.warning(
                "peer refused",
                extra={FIELDS: {"peer": self._peer, "socket": stream.get_extra_info("sockname")}},
            )
            stream.abort()
            return
        if len(self._context.connections) >= self._context.max_connections:
            _log.error("too many connections", extra={FIELDS: {"peer": self._peer}})
            stream.abort()
            return
        self._context.connections.add(self)
        stream.write(protocol.greeting(os.getpid(), self._connection_id, secrets.token_hex(16)))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection. What is being decided is decided and logged all the same."""
        self._context.connections.discard(self)
        self._transport = None

    def pause_writing(self) -> None:
        """Read no more from a peer that does not read our replies."""
        self._is_write_blocked = True
        self._regulate()

    def resume_writing(self) -> None:
        """Go on."""
        self._is_write_blocked = False
        self._regulate()

    def data_received(self, data: bytes) -> None:
        """Take what the peer sent."""
        self._last_heard = time.monotonic()
        conversation = self._conversation
        owed_before = conversation.owes_bytes
        introduced_before = owed_before and conversation.is_introduced
        out: list[bytes] = []
        for event in conversation.feed(data):
            if not self._handle(event, out):
                break
        if self._transport is None:
            return
        if out:
            self._transport.write(b"".join(out))
        if self._is_finishing:
            self.finish()
        # A busy peer's pieces may all end within a line; what counts is how long one line takes.
        if not owed_before or (introduced_before and b"\n" in data):
            self._owing_since = self._last_heard
        if self._tasks:
            self._regulate()

    def close_if_overdue(self, now: float) -> None:
        """Close a connection that begins things and does not end them, or that has been silent for long."""
        if self._transport is None:
            return
        # While we do not read, what is missing may well have been sent.
        if self._conversation.owes_bytes and self._transport.is_reading():
            overdue = now - self._owing_since > self._context.handshake_s
        else:
            overdue = not self._tasks and now - self._last_heard > self._context.idle_s
        if overdue:
            _log.info("connection closed: silent for too long", extra={FIELDS: {"peer": self._peer}})
            self._transport.abort()

    def finish(self) -> None:
        """Take no more requests; close as soon as those under way are answered."""
        if self._transport is None:
            return
        self._is_finishing = True
        self._transport.pause_reading()
        if not self._tasks:
            self._transport.close()

    def _handle(self, event: protocol.Event, out: list[bytes]) -> bool:
        """Handle one event; False when the connection is over."""
        match event:
            case Login():
                return self._login(event, out)
            case Say(data):
                out.append(data)
            case Malformed():
                self._refuse_malformed(event, out)
            case Cancelled(request_id):
                self._tasks.pop(request_id, None)  # it runs on, so that what it spends is spent; nobody hears of it
            case Broken(problem):
                _log.warning("protocol violation", extra={FIELDS: {"peer": self._peer, "problem": problem}})
                self._close(out)
                return False
            case _:
                assert_never(event)
        return True

    def _login(self, login: Login, out: list[bytes]) -> bool:
        if login.id in self._tasks:
            return self._handle(Broken("request id in use"), out)
        if login.parameters.get(protocol.FACTOR) == protocol.RELEASE:
            return self._begin(login, self._give_back(login))
        if _is_look_up(login):
            return self._begin(login, self._look_up(login))
        started = time.perf_counter()
        attempt = _attempt(login)
        if attempt.service == PORTAL:
            # The portal is no client of a socket, and lets in by a password alone whoever has yet to enrol.
            return self._handle(Malformed(login.id, login.name, "a login to the portal", login.parameters), out)
        decided = self._context.verifier.decide(attempt)
        if isinstance(decided, Coroutine):
            return self._begin(login, self._decide(login, attempt, decided, started))
        self._log(attempt, decided, started)
        return self._answer(login, attempt, decided, out)

    def _begin(self, login: Login, work: Coroutine[Any, Any, None]) -> bool:
        """Let something run whose reply comes later. The connection goes on."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[login.id] = task
        self._context.under_way.add(task)
        task.add_done_callback(self._context.under_way.discard)
        return True

    async def _give_back(self, login: Login) -> None:
        attempt, started = _attempt(login), time.perf_counter()
        try:
            account = await self._context.verifier.give_back(attempt, login.parameters.get(protocol.RELEASE, ""))
        except Exception:
            _log.exception("what was spent could not be given back")
            account = None
        if account is None:
            _log.info("nothing to give back", extra={FIELDS: {"peer": self._peer}})
        else:
            self._log(attempt, Denied(WhyDenied.PASSWORD_REFUSED_ELSEWHERE, account), started)
        self._reply(login, protocol.fail(login.id, login.name, None))

    async def _look_up(self, login: Login) -> None:
        """Tell whether an account exists, or, where that is nobody's business, that nothing can be said."""
        answer = None
        try:
            if self._may.look_up:
                answer = await self._context.lookups.find(login.name)
        except Exception:
            _log.exception("a look-up could not be answered")
            answer = LookupUnanswered()
        match answer:
            case Exists(user, fields):
                self._reply(login, protocol.ok(login.id, user, fields=fields if self._may.read_fields else ()))
            case Unknown():
                self._reply(login, protocol.unknown(login.id, login.name))
            case LookupUnanswered():
                self._reply(login, protocol.temporary_failure(login.id, login.name))
            case None:
                hint = "lookups = true belongs into the [[server.socket]] that Dovecot asks, and in no other"
                _log.warning("look-up refused", extra={FIELDS: {"peer": self._peer, "hint": hint}})
                self._reply(login, protocol.temporary_failure(login.id, login.name))
            case _:
                assert_never(answer)

    async def _decide(
        self, login: Login, attempt: Attempt, deciding: Coroutine[Any, Any, Verdict], started: float
    ) -> None:
        try:
            verdict = await deciding
        except Exception:
            # The edge is where the unforeseen ends: the client is told to try again, never that it may enter.
            _log.exception("a login could not be decided")
            verdict = Unavailable(WhyUnavailable.INTERNAL_ERROR)
        self._log(attempt, verdict, started)
        out: list[bytes] = []
        if self._tasks.get(login.id) is asyncio.current_task():
            self._answer(login, attempt, verdict, out)
        self._reply(login, *out)

    def _reply(self, login: Login, *out: bytes) -> None:
        """Write the reply that a task has come to, unless the client has cancelled the request."""
        if self._tasks.get(login.id) is not asyncio.current_task():
            return
        del self._tasks[login.id]
        if out and self._transport is not None:
            self._transport.write(b"".join(out))
        if self._is_finishing:
            self.finish()
        self._regulate()

    def _answer(self, login: Login, attempt: Attempt, verdict: Verdict, out: list[bytes]) -> bool:
        """Add the reply to a verdict; False when the connection is to be closed instead."""
        match verdict:
            case Granted():
                user = verdict.reply_name or verdict.account
                fields = verdict.fields if self._may.read_fields else ()
                if self._may.read_password:
                    fields = (*fields, *_bare_password(attempt, verdict))
                out.append(protocol.ok(login.id, user, verdict.tail_bytes, verdict.release, fields))
            case Denied():
                out.append(
                    protocol.fail(login.id, login.name, self._context.refusal_text(attempt.service, attempt.name))
                )
            case Unavailable():
                if protocol.OWN_CLIENT not in login.parameters:
                    self._is_finishing = True  # what else is under way is still answered
                    return False
                out.append(protocol.temporary_failure(login.id, login.name))
            case _:
                assert_never(verdict)
        return True

    def _refuse_malformed(self, event: Malformed, out: list[bytes]) -> None:
        login = Login(event.id, "", event.name, Secret(b""), event.parameters)
        if _is_look_up(login):  # of what is no name, so that nothing can have it
            reply = protocol.unknown if self._may.look_up else protocol.temporary_failure
            out.append(reply(event.id, event.name))
            return
        attempt = _attempt(login)
        _log.info("malformed request", extra={FIELDS: {"peer": self._peer, "problem": event.problem}})
        self._log(attempt, Denied(WhyDenied.REQUEST_MALFORMED), time.perf_counter())
        out.append(protocol.fail(event.id, event.name, self._context.refusal_text(attempt.service, attempt.name)))

    def _log(self, attempt: Attempt, verdict: Verdict, started: float) -> None:
        attempt_log.record(attempt, verdict, self._peer, (time.perf_counter() - started) * 1000)

    def _close(self, out: list[bytes]) -> None:
        if self._transport is not None:
            self._transport.write(b"".join(out))
            self._transport.close()
        out.clear()  # whoever called has nothing to write any more

    def _regulate(self) -> None:
        """Read only while the peer reads, and while it has not too much under way."""
        if self._transport is None or self._transport.is_closing() or self._is_finishing:
            return
        blocked = self._is_write_blocked or len(self._tasks) >= protocol.MAX_PENDING
        if blocked and self._transport.is_reading():
            self._transport.pause_reading()
        elif not blocked and not self._transport.is_reading():
            self._owing_since = time.monotonic()
            self._transport.resume_reading()


def _bare_password(attempt: Attempt, granted: Granted) -> tuple[tuple[str, str], ...]:
    """Return what somebody has typed without its code, as a field; nothing where no password was, or it is no text."""
    if granted.credential not in _WITH_PASSWORD:
        return ()
    try:
        typed = splitter.split(attempt.secret.reveal(), digits=granted.digits).password.decode()
    except UnicodeDecodeError:
        return ()
    return ((protocol.BARE_PASSWORD, typed),)


def _is_look_up(login: Login) -> bool:
    return login.parameters.get(protocol.OWN_CLIENT) == protocol.LOOK_UP


def _attempt(login: Login) -> Attempt:
    said = login.parameters.get
    rip = said("rip", "")
    return Attempt(
        login.name,
        login.secret,
        # Dovecot 2.4's doveadm calls it `protocol`.
        (said("service") or said("protocol", ""))[:MAX_WORD_CHARACTERS].lower(),
        _address(rip) if len(rip) <= MAX_ADDRESS_CHARACTERS else None,
        said("session", ""),
        login.mechanism,
        said("secured", "")[:MAX_WORD_CHARACTERS],
        Ask.SECOND_FACTOR if said(protocol.FACTOR) == protocol.SECOND_FACTOR_ONLY else Ask.WHOLE,
    )


@lru_cache(maxsize=4096)
def _address(text: str) -> Address | None:
    try:
        return parse_address(text)
    except InvalidValue:
        return None


def _peer_of(transport: asyncio.Transport) -> Peer:
    peer_socket: socket.socket = transport.get_extra_info("socket")
    pid, uid, _gid = _UCRED.unpack(peer_socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Peer(pid, uid)
