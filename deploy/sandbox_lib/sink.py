"""The end of the line: an SMTP server that keeps every message as a file.

    sink.py FOLDER HOST PORT

Each message becomes FOLDER/NNNNNN.eml, written whole before it gets that name, with
the envelope in X-MailFrom and X-RcptTo. Needs aiosmtpd; runs without privileges.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

MAX_MESSAGE_BYTES = 32 * 1024 * 1024


class Keeper:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = [int(path.stem) for path in folder.glob("[0-9]*.eml")]
        self.numbers = itertools.count(max(kept, default=0) + 1)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        recipients = ", ".join(envelope.rcpt_tos)
        head = f"X-MailFrom: {envelope.mail_from}\r\nX-RcptTo: {recipients}\r\n".encode()
        content = envelope.content
        body = content.encode() if isinstance(content, str) else content or b""
        name = f"{next(self.numbers):06d}.eml"
        unfinished = self.folder / f".{name}"
        unfinished.write_bytes(head + body)
        os.replace(unfinished, self.folder / name)
        return "250 OK: kept as " + name


async def serve(folder: Path, host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    keeper = Keeper(folder)
    server = await loop.create_server(
        lambda: SMTP(keeper, data_size_limit=MAX_MESSAGE_BYTES, hostname="sink.test"), host, port
    )
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
