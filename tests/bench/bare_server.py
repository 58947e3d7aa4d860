"""A server that speaks the authentication protocol and does nothing else: the ceiling for any server in Python.

Run as a program: `python bare_server.py SOCKET [uvloop]`. It parses each request as far as a decision would need
(id, mechanism, parameters, name, secret), looks nothing up, logs nothing, and says OK to everybody. It is as lean
as asyncio lets it be, and shares no code with mailauth, so that it stays a measure. Must never be shipped.
"""

import asyncio
import base64
import os
import signal
import sys
from collections.abc import Callable

GREETING = "VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t{}\nCUID\t1\nCOOKIE\t{:032x}\nDONE\n".format


class Bare(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        transport.write(GREETING(os.getpid(), 1).encode())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        out = []
        for line in lines:
            command, *fields = line.split(b"\t")
            if command != b"AUTH":
                continue
            request_id, _mechanism, *pairs = fields
            parameters = {}
            for pair in pairs:
                key, _, value = pair.partition(b"=")
                parameters[key] = value
            _, name, _secret = base64.b64decode(parameters[b"resp"]).split(b"\x00")
            out.append(b"OK\t%s\tuser=%s\n" % (request_id, name))
        if out:
            self._transport.write(b"".join(out))  # type: ignore[attr-defined]


async def serve(path: str) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    server = await loop.create_unix_server(Bare, path)
    await stop.wait()
    server.close()


def main() -> None:
    path, *wanted = sys.argv[1:]
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    if wanted == ["uvloop"]:
        import uvloop

        loop_factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(serve(path))


if __name__ == "__main__":
    main()
