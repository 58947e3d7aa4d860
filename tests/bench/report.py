"""Turns what was measured into a table, ratios against the marks, and JSON. Measures nothing."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from tabulate import tabulate

from tests.bench.measure import AT_A_TIME, Outcome, Row

JUDGED_AT = 10
"""The marks hold at ten logins at a time."""
MEMORY_MARK_MB = 100.0


@dataclass(frozen=True)
class Mark:
    """A ratio that has to hold: so many times the other row's logins a second, at least."""

    row: str
    against: str
    at_least: float | None
    words: str


MARKS = (
    Mark("app-password", "dovecot-plain", 0.5, "app password / Dovecot passwd-file {PLAIN}"),
    Mark("app-password", "bare-asyncio", 0.5, "app password / bare asyncio server"),
    Mark("app-password", "bare-uvloop", None, "app password / bare uvloop server"),
    Mark("code", "hash", 0.85, "password + code / the hash alone"),
    Mark("checkpassword", "checkpassword-python", 8.0, "mailauth-checkpassword / Python helper"),
    Mark("lua", "lua-ok", 0.55, "mailauth.lua / Lua passdb that says OK"),
    Mark("lua-bare-asyncio", "lua-ok", None, "mailauth.lua on a bare asyncio server / the same"),
    Mark("lua-bare-uvloop", "lua-ok", None, "mailauth.lua on a bare uvloop server / the same"),
    Mark("lua", "pam-google", 15.0, "mailauth.lua / PAM google-authenticator"),
    Mark("pam", "pam-google", 2.5, "pam_mailauth / PAM google-authenticator"),
)


@dataclass(frozen=True)
class Ratio:
    """A mark, and what was found: by how many at a time, of the median rates."""

    words: str
    found: dict[int, float]
    by_cpu: float
    at_least: float | None

    @property
    def verdict(self) -> str:
        if self.at_least is None:
            return "-"
        return "met" if self.found[JUDGED_AT] >= self.at_least else "MISSED"


def ratios(rows: list[Row]) -> list[Ratio]:
    """Return what can be said about the marks with the rows that were measured."""
    by_key = {row.key: row for row in rows}
    found = []
    for mark in MARKS:
        of, against = by_key.get(mark.row), by_key.get(mark.against)
        if of is None or against is None or not of.samples or not against.samples:
            continue
        values = {n: _rate(of, n) / other if (other := _rate(against, n)) else 0.0 for n in AT_A_TIME}
        found.append(Ratio(mark.words, values, _by_cpu(of, against), mark.at_least))
    return found


def _rate(row: Row, at_a_time: int) -> float:
    sample = row.median(at_a_time)
    return 0.0 if sample is None else sample.rate


def _by_cpu(of: Row, against: Row) -> float:
    """Return the same ratio by CPU a login of the servers: less moved by what else the machine does."""
    mine, other = of.median(JUDGED_AT), against.median(JUDGED_AT)
    return 0.0 if mine is None or other is None else other.server_cpu_us / max(1e-9, mine.server_cpu_us)


def text(outcome: Outcome) -> str:
    """Return the whole report for people."""
    heads = ["logins a second, at a time:", *(str(n) for n in AT_A_TIME), "p50 ms", "p99 ms", "CPU us", "errors"]
    table = tabulate(
        [_cells(row) for row in outcome.rows], heads, disable_numparse=True, colalign=("left", *("right",) * 7)
    )
    notes = [
        f"Medians of the rounds; successes only. p50, p99 and CPU a login: at {JUDGED_AT} at a time.",
        "CPU is that of a server with all its processes, and of whom it asks; "
        f"the driver takes {_driver_us(outcome):.0f} us besides.",
        *(f"Left out: {row.title}: {row.missing}" for row in outcome.rows if row.missing),
    ]
    marks = tabulate(
        [_ratio_cells(ratio) for ratio in ratios(outcome.rows)],
        ["ratio, at a time:", *(str(n) for n in AT_A_TIME), "by CPU", "mark", ""],
        disable_numparse=True,
        colalign=("left", *("right",) * 5, "left"),
    )
    return "\n".join([table, *notes, "", marks, "", *_facts(outcome)])


def as_json(outcome: Outcome) -> dict[str, object]:
    """Return the whole report for machines."""
    return {
        "rows": {
            row.key: {
                "title": row.title,
                "missing": row.missing or None,
                "errors": row.errors(),
                "rounds": {
                    str(n): [asdict(sample) | {"rate": sample.rate} for sample in found]
                    for n, found in row.samples.items()
                },
                "median": {str(n): sample.rate for n in AT_A_TIME if (sample := row.median(n)) is not None},
            }
            for row in outcome.rows
        },
        "ratios": [
            {
                "what": r.words,
                "found": {str(n): v for n, v in r.found.items()},
                "by_cpu": r.by_cpu,
                "mark": r.at_least,
                "verdict": r.verdict,
            }
            for r in ratios(outcome.rows)
        ],
        "memory_mb": {"before": outcome.memory_before_mb, "after": outcome.memory_after_mb, "mark": MEMORY_MARK_MB},
        "log": {"lines": outcome.log_lines, "logins": outcome.logins},
        "large": None if outcome.large is None else asdict(outcome.large),
    }


def _cells(row: Row) -> list[str]:
    rates = [f"{sample.rate:,.0f}" if (sample := row.median(n)) else "-" for n in AT_A_TIME]
    judged = row.median(JUDGED_AT)
    if judged is None:
        return [row.title, *rates, "-", "-", "-", "-"]
    return [
        row.title,
        *rates,
        f"{judged.p50_us / 1000:.2f}",
        f"{judged.p99_us / 1000:.2f}",
        f"{judged.server_cpu_us:,.0f}",
        str(row.errors()),
    ]


def _ratio_cells(ratio: Ratio) -> list[str]:
    mark = "-" if ratio.at_least is None else f"{ratio.at_least:.2f}"
    return [ratio.words, *(f"{ratio.found[n]:.2f}" for n in AT_A_TIME), f"{ratio.by_cpu:.2f}", mark, ratio.verdict]


def _driver_us(outcome: Outcome) -> float:
    return max((s.driver_cpu_us for row in outcome.rows[:1] if (s := row.median(JUDGED_AT))), default=0.0)


def _facts(outcome: Outcome) -> Iterator[str]:
    small = "met" if outcome.memory_after_mb < MEMORY_MARK_MB else "MISSED"
    yield (
        f"Memory of mailauth: {outcome.memory_before_mb:.0f} MB before the first login, "
        f"{outcome.memory_after_mb:.0f} MB after the last (mark {MEMORY_MARK_MB:.0f} MB: {small})."
    )
    yield f"Log: {outcome.log_lines:,} lines for {outcome.logins:,} logins that mailauth answered."
    if outcome.large is not None:
        large = outcome.large
        yield (
            f"p50 with {large.many:,} accounts / with {large.few:,}: app password {large.app_password:.2f}, "
            f"password + code {large.code:.2f} (mark at most 1.3)."
        )
