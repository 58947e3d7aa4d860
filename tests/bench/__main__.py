"""`python -m tests.bench`: logins a second of mailauth beside Dovecot, bare servers and the bare hash, in one run.

Needs root for the private Dovecots (which use no ports and touch nothing outside a temporary directory), a C
compiler, and under four minutes of two cores. What is not installed is left out, and said so. `--large` adds the
comparison of 1,000,000 accounts with 1,000. Exits 0 when no login failed; the marks are shown, not enforced, since
a loaded machine misses them.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.bench import measure, report


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure logins a second.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--quick", action="store_true", help="one short round: is everything in place?")
    parser.add_argument("--large", action="store_true", help="compare 1,000,000 accounts with 1,000 as well")
    parser.add_argument("--only", metavar="KEY", action="append", help="measure only these rows (may be repeated)")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("private Dovecots need root")
    directory = Path(tempfile.mkdtemp(prefix="mailauth-bench-", dir="/tmp"))
    directory.chmod(0o755)
    try:
        plan = measure.QUICK if arguments.quick else measure.Plan()
        outcome = measure.run(directory, plan, arguments.only, is_large=arguments.large)
    finally:
        shutil.rmtree(directory)
    print(json.dumps(report.as_json(outcome), indent=2) if arguments.json else report.text(outcome))
    return 1 if any(row.errors() for row in outcome.rows) else 0


if __name__ == "__main__":
    sys.exit(main())
