"""Prints who can do what to whom, how often, with the default limits. Exit code 1 where something does not hold."""

import sys

from tabulate import tabulate

from tests.simulation.attacks import Row, rows


def main() -> int:
    """Play all attacks, and print the table."""
    found: list[Row] = []
    for row in rows():
        print(f"{'holds' if row.holds else 'DOES NOT HOLD'}: {row.who}", file=sys.stderr)
        found.append(row)
    lines = [(row.who, row.what, row.found, row.allowed) for row in found]
    print(tabulate(lines, ("who", "what", "found", "allowed"), tablefmt="github"))
    return int(not all(row.holds for row in found))


if __name__ == "__main__":
    sys.exit(main())
