"""Mutation testing of the decisions (F13): `make campaign mutation`, or `python -m tests.mutation [PATTERN...]`.

mutmut changes one thing at a time in the modules that setup.cfg names under `[mutmut]`; the unit and property tests
that it names there have to notice. Prints the mutants that survived; `.venv/bin/mutmut show NAME` shows one. Exits 1
where fewer than 95 % were killed: some are no changes (another default that is the same, another case of "ascii"), or
change the words of an error. A pattern chooses mutants by name: `mailauth.core.otp.*`. Works in `mutants/`.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parents[1]
MARK = 0.95
EXAMPLES = "30"
"""Of Hypothesis, a mutant and a property."""


def main() -> int:
    """Make the mutants anew, run the tests on each, and print what came of it."""
    mutmut = [sys.executable, "-m", "mutmut"]
    shutil.rmtree(TOP / "mutants", ignore_errors=True)
    environment = {**os.environ, "MAILAUTH_EXAMPLES": EXAMPLES}
    run = [*mutmut, "run", "--max-children", str(os.cpu_count() or 1), *sys.argv[1:]]
    if subprocess.run(run, cwd=TOP, env=environment, check=False).returncode:
        return 2
    results = subprocess.run([*mutmut, "results"], cwd=TOP, check=True, capture_output=True, text=True).stdout
    print("\n".join(line.strip() for line in results.splitlines() if not line.endswith(": not checked")))
    subprocess.run([*mutmut, "export-cicd-stats"], cwd=TOP, check=True, stdout=subprocess.DEVNULL)
    counts = json.loads((TOP / "mutants" / "mutmut-cicd-stats.json").read_text())
    killed = counts["killed"] + counts["timeout"]
    alive = counts["survived"] + counts["no_tests"] + counts["suspicious"]
    if not killed + alive:
        print("There are no such mutants.")
        return 2
    rate = killed / (killed + alive)
    print(f"{killed} of {killed + alive} killed, {rate:.1%}")
    return 0 if rate >= MARK else 1


if __name__ == "__main__":
    sys.exit(main())
