"""Fuzz the Python parsers: `python -m tests.fuzz [TARGET...] [--seconds N] [--jobs N]`.

Each target runs for so many seconds (30 by default) in a process of its own: under atheris, which is led by
coverage, where that is installed; otherwise under Hypothesis, which is not, but needs nothing more than the
tests do. Exits 1 where a target failed or hung, and shows the input. The C parsers have a fuzzer of their own
(`make -C pam_module fuzz`). Writes to a temporary directory only.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.targets import SEEDS, TARGETS

HANG_S = 10
"""One input may not take longer; together with the seconds of a target, its deadline."""


def by_atheris(name: str, seconds: int) -> None:
    """Fuzz one target, led by coverage. Does not return."""
    import atheris

    with atheris.instrument_imports(include=["mailauth.core", "mailauth.effects.passwords", "idna"]):
        for module in [module for module in sys.modules if module.startswith(("mailauth.", "tests.fuzz.targets"))]:
            del sys.modules[module]
        from tests.fuzz.targets import TARGETS as INSTRUMENTED

    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(SEEDS[name]):
            Path(corpus, str(number)).write_bytes(seed)
        options = [f"-max_total_time={seconds}", f"-timeout={HANG_S}", "-max_len=2048", f"-artifact_prefix={corpus}/"]
        atheris.Setup([sys.argv[0], *options, corpus], INSTRUMENTED[name])
        atheris.Fuzz()


def by_hypothesis(name: str, seconds: int) -> None:
    """Fuzz one target with bytes that Hypothesis draws, and with pieces of the seeds."""
    from hypothesis import HealthCheck, example, given, seed, settings
    from hypothesis import strategies as st

    pieces = st.sampled_from([s[i : i + n] for s in SEEDS[name] for n in (1, 3, 8, 80) for i in range(0, len(s), n)])
    inputs = st.binary(max_size=300) | st.lists(pieces | st.binary(max_size=4), max_size=12).map(b"".join)

    def target(data: bytes) -> None:
        TARGETS[name](data)

    for known in SEEDS[name]:
        target = example(known)(target)
    quiet = settings(max_examples=500, deadline=HANG_S * 1000, database=None, suppress_health_check=list(HealthCheck))
    ends_at = time.monotonic() + seconds
    rounds = 0
    while time.monotonic() < ends_at:
        seed(int.from_bytes(os.urandom(4), "big"))(quiet(given(inputs)(target)))()
        rounds += 1
    print(f"{name}: {rounds * 500} inputs")


def run(name: str, seconds: int) -> bool:
    """Fuzz one target in a process of its own; tell whether it held."""
    command = [sys.executable, "-m", "tests.fuzz", "--seconds", str(seconds), "--here", name]
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=seconds * 3 + 60, check=False
        )
    except subprocess.TimeoutExpired:
        print(f"{name}: hangs", flush=True)
        return False
    last = (ran.stdout + ran.stderr).strip().splitlines()
    if ran.returncode == 0:
        print(f"{name}: held. {last[-1] if last else ''}", flush=True)
    else:
        print(f"{name}: FAILED\n  " + "\n  ".join(last[-40:]), flush=True)
    return ran.returncode == 0


def main() -> int:
    """Run the targets that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the Python parsers.")
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)}; all without")
    parser.add_argument("--seconds", type=int, default=30, help="for each target")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at once")
    parser.add_argument("--here", metavar="TARGET", help="fuzz one target in this process")
    options = parser.parse_args()
    if options.here:
        with contextlib.suppress(ImportError):
            import atheris  # noqa: F401

            by_atheris(options.here, options.seconds)
        by_hypothesis(options.here, options.seconds)
        return 0
    unknown = set(options.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    with ThreadPoolExecutor(options.jobs) as pool:
        held = list(pool.map(lambda name: run(name, options.seconds), options.targets or TARGETS))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
