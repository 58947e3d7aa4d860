"""Runs the driver (driver.c) against a server and returns what it counted. Compiles it at first use."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.bench.servers import CannotMeasure, Server


@dataclass(frozen=True)
class Sample:
    """One round. Only granted logins count as logins; `answered` are all, those of the warm-up included."""

    answered: int
    granted: int
    denied: int
    errors: int
    seconds: float
    p50_us: float
    p99_us: float
    driver_cpu_us: float
    server_cpu_us: float
    """CPU time a login: less moved by what else runs on the machine than the rate is."""

    @property
    def rate(self) -> float:
        """Logins a second."""
        return self.granted / self.seconds


class Driver:
    """A compiled driver."""

    def __init__(self, directory: Path) -> None:
        self._program = directory / "driver"
        source = Path(__file__).with_name("driver.c")
        subprocess.run(["cc", "-std=c11", "-O2", "-Wall", "-Wextra", "-o", self._program, source], check=True)

    def run(
        self,
        server: Server,
        requests: Path,
        connections: int,
        *,
        seconds: float,
        depth: int = 1,
        warm_up_s: float = 0.25,
        once: bool = False,
    ) -> Sample:
        """Measure one round."""
        cpu_before = server.cpu_s()
        order = "once" if once else "again"
        counts = [str(connections), str(depth), str(warm_up_s), str(seconds)]
        command = [str(self._program), str(server.socket), *counts, order, str(requests)]
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE)
        if done.returncode != 0:
            raise CannotMeasure(
                f"the driver gave up; the server says: {server.log.read_text(errors='replace')[-2000:]}"
            )
        server_cpu_s = server.cpu_s() - cpu_before
        told = json.loads(done.stdout)
        per_login = 1e6 / max(1, told["answered"])
        return Sample(
            answered=told["answered"],
            granted=told["granted"],
            denied=told["denied"],
            errors=told["errors"],
            seconds=told["seconds"],
            p50_us=told["p50_us"],
            p99_us=told["p99_us"],
            driver_cpu_us=told["driver_cpu_s"] * per_login,
            server_cpu_us=server_cpu_s * per_login,
        )
