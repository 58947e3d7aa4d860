"""How quick is an app password while wrong passwords flood in (F8 in small)? Run: python -m tests.bench.flood

A real server with real hashes; 50 connections send wrong passwords from as many addresses as fast as they are
answered, two each under way. Meanwhile one connection logs in with an app password, over and over. Prints percentiles,
without and with the flood, and how many guesses were answered. The mark is a p99 under 100 ms.
"""

import argparse
import tempfile
import threading
import time
from pathlib import Path

from tests.integration.serving import Server, Site
from tests.integration.talking import Closed, auth, granted


class Flood:
    """Connections that guess until they are told to stop."""

    def __init__(self, site: Site, connections: int, name: str) -> None:
        self.answered = 0
        self._site, self._name = site, name
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._guess, args=(number,)) for number in range(connections)]
        for thread in self._threads:
            thread.start()

    def _guess(self, number: int) -> None:
        count = 0
        while not self._is_over.is_set():
            try:
                with self._site.talk() as talk:
                    while not self._is_over.is_set():
                        for _ in range(2):
                            count += 1
                            guess, client = f"wrong {number} {count}", f"198.51.{number}.{count % 250}"
                            talk.send(auth(count % 1000, self._name, guess, client=client, ours=True))
                        talk.lines(2)
                        self.answered += 2
            except (Closed, ConnectionError):
                continue

    def stop(self) -> None:
        """End it."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()


def percentiles(site: Site, name: str, token: str, seconds: float) -> str:
    """Log in with an app password for so long and return what it took."""
    times = []
    ends_at = time.monotonic() + seconds
    with site.talk() as talk:
        while time.monotonic() < ends_at:
            began = time.perf_counter()
            if not granted(talk.login(name, token)):
                raise ValueError("the app password was refused")
            times.append((time.perf_counter() - began) * 1000)
            time.sleep(0.005)
    times.sort()
    p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
    return f"p50 {p50:6.1f} ms   p99 {p99:6.1f} ms   max {times[-1]:6.1f} ms   ({len(times)} logins)"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mailauth-") as directory:
        real = ("password.argon2.time_cost=2", "password.argon2.memory_kib=19456", "log.level=info")
        site = Site(Path(directory), *real)
        server: Server = site.serve()
        alice = site.person()
        token = site.installation.app_passwords.make(alice.name, "phone").password
        print(f"quiet:    {percentiles(site, alice.name, token, options.seconds)}", flush=True)
        flood = Flood(site, options.connections, alice.name)
        print(f"flooded:  {percentiles(site, alice.name, token, options.seconds)}")
        flood.stop()
        print(f"guesses answered: {flood.answered / options.seconds:.0f} a second")
        status = Path(f"/proc/{server.pid}/status").read_text().splitlines()
        print(next(line for line in status if line.startswith("VmHWM")))
        server.stop()
        site.close()


if __name__ == "__main__":
    main()
