"""How long do logins take while many accounts are worked on? Run: python -m tests.bench.announcing

A real `mailauth serve auth` on SQLite, and a real `mailauth campaign announce` beside it, hashes as cheap as can
be. Meanwhile connections log in: some with an app password, some with a password before the cut-over, which writes to
the database. Then a real `mailauth serve worker` sends for a while, to a server that takes everything; and a real
`mailauth account import` adds as many accounts, changes them, and finds them as they are. Prints percentiles without,
and with each of these. The mark is a p99 under 300 ms.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import insert

from mailauth.effects.store.tables import account
from mailauth.vocabulary.secret import Secret
from tests.integration.serving import Site
from tests.integration.talking import Closed, granted
from tests.transactions import writing

PASSWORD = "correct horse"


class Logins:
    """Connections that log in until they are told to stop, and what each login took, in ms."""

    def __init__(self, site: Site, secrets: list[tuple[str, str]]) -> None:
        self.times: list[float] = []
        self.answers: list[bool] = []
        self._site = site
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._log_in, args=each) for each in secrets]
        for thread in self._threads:
            thread.start()

    def _log_in(self, name: str, secret: str) -> None:
        while not self._is_over.is_set():
            with self._site.talk() as talk:
                while not self._is_over.is_set():
                    began = time.perf_counter()
                    try:
                        self.answers.append(granted(talk.login(name, secret)))
                    except Closed:  # how mail servers are told that a login could not be decided
                        self.answers.append(False)
                        break
                    self.times.append((time.perf_counter() - began) * 1000)
                    time.sleep(0.02)

    def stop(self) -> str:
        """End it; return percentiles."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()
        times = sorted(self.times)
        p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
        return (
            f"p50 {p50:6.1f} ms   p99 {p99:6.1f} ms   max {times[-1]:6.1f} ms   "
            f"({len(times)} logins, {self.answers.count(False)} of them not granted)"
        )


class Sink:
    """An SMTP server that takes everything and keeps nothing."""

    def __init__(self) -> None:
        self.taken = 0
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._converse, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 sink\r\n")
        while line := await reader.readline():
            if line[:4].upper() == b"DATA":
                writer.write(b"354 go on\r\n")
                while await reader.readline() != b".\r\n":
                    pass
                self.taken += 1
            writer.write(b"250 yes\r\n")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long it is measured before")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mailauth-") as directory:
        sink = Sink()
        site = Site(Path(directory), f"mail.port={sink.port}", 'cutover.date="2099-01-01T00:00 UTC"', "log.level=info")
        installation = site.installation
        with_app_passwords: list[tuple[str, str]] = []
        with_passwords: list[tuple[str, str]] = []
        for _ in range(4):
            person = site.person()
            with_app_passwords.append((person.name, installation.app_passwords.make(person.name, "phone").password))
        for number in range(4):
            name = installation.accounts.add(f"simple{number}", Secret(PASSWORD.encode()))
            with_passwords.append((str(name), PASSWORD))
        rows = [
            {"name": f"user{number:06}@mailitwize.be", "epoch": 0, "created_at": installation.clock()}
            for number in range(options.accounts)
        ]
        with writing(installation.database) as connection:
            connection.execute(insert(account), rows)
        server = site.serve()
        groups: dict[str, list[tuple[str, str]]] = {"app passwords": with_app_passwords, "passwords": with_passwords}

        def measured(what: str, meanwhile: Callable[[], object]) -> None:
            under_way = {group: Logins(site, people) for group, people in groups.items()}
            meanwhile()
            for group, logins in under_way.items():
                print(f"{what:12} {group:14} {logins.stop()}", flush=True)

        def announce() -> None:
            words = [sys.executable, "-m", "mailauth", "--config", str(site.config), "campaign", "announce"]
            began = time.monotonic()
            said = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()[0]
            print(f"{said} in {time.monotonic() - began:.1f} s")

        measured("quiet", lambda: time.sleep(options.seconds))
        measured("announcing", announce)
        words = [sys.executable, "-m", "mailauth", "--config", str(site.config), "serve", "worker"]
        with subprocess.Popen(words, stderr=subprocess.DEVNULL) as worker:
            measured("sending", lambda: time.sleep(2 * options.seconds))
            worker.terminate()
        print(f"{sink.taken} mails sent in {2 * options.seconds:.0f} s, and the worker's start")
        path = Path(directory) / "accounts.csv"
        hash_of = installation.accounts.get("simple0").password_hash

        def bring() -> None:
            words = [sys.executable, "-m", "mailauth", "--config", str(site.config), "account", "import", str(path)]
            began = time.monotonic()
            subprocess.run(words, check=True, capture_output=True)
            print(f"imported in {time.monotonic() - began:.1f} s")

        def written(column: str, value: str) -> None:
            lines = (f"brought{number:06}@mailitwize.be,{value}\n" for number in range(options.accounts))
            path.write_text(f"name,{column}\n" + "".join(lines))

        written("hash", f'"{hash_of}"')
        measured("adding", bring)
        written("disabled", "yes")
        measured("changing", bring)
        measured("the same", bring)
        server.stop()
        site.close()


if __name__ == "__main__":
    main()
