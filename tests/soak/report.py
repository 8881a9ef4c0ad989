"""What a soak found: figures as JSON, and as a page that a person reads."""

from __future__ import annotations

import json
import platform
import subprocess
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

#: Log events that are counted, by the field that tells their kinds apart.
COUNTED = {
    "capture.rewinds": "cause",
    "batch.failed": "action",
    "target.retry": "error",
    "partition.taken_over": "",
    "partition.fenced": "",
    "partition.old_owner_ended": "",
    "commit.had_happened": "",
    "checkpoint.moved": "",
    "group.expelled": "",
    "table.loaded": "",
    "snapshot.opened": "",
    "chunk.read_again": "reason",
    "failpoint.hit": "action",
}
#: Log events that no fault of a soak may lead to.
UNWANTED = ("table.blocked", "table.needs_resync", "history.lost", "internal_error")


@dataclass
class Fault:
    """One fault: when it struck, how long it lasted, and how long it then took until news reached the target."""

    name: str
    at_s: float
    detail: str = ""
    took_s: float = 0.0
    recovery_s: float = 0.0
    happened: bool = False


@dataclass
class Check:
    """One comparison of everything: a row that differs counts as missing and as extra."""

    tables: int
    rows: int
    missing: int
    extra: int
    validate_equal: bool

    @property
    def equal(self) -> bool:
        """Whether both ends were the same."""
        return self.missing == self.extra == 0 and self.validate_equal


@dataclass
class Report:
    """Everything that a soak counted."""

    seed: str
    minutes: float
    began: float = field(default_factory=time.time)
    seconds: float = 0.0
    transactions: int = 0
    steps: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    fired: dict[str, int] = field(default_factory=dict)
    possible: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    restarts: int = 0
    looks: int = 0
    states_seen: int = 0
    breaches: list[str] = field(default_factory=list)
    logged: dict[str, int] = field(default_factory=dict)
    unwanted: list[str] = field(default_factory=list)
    peak_rss_mb: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether faults happened, all checks held and nothing unwanted was logged."""
        held = self.checks and all(check.equal for check in self.checks)
        return bool(held and self.fired and not self.breaches and not self.failures and not self.unwanted)

    def read_logs(self, logs: Iterable[Path]) -> None:
        """Count what the daemons said."""
        counts = Counter[str]()
        for log in logs:
            lines = log.read_text(errors="replace").splitlines()
            self.unwanted += [f"{log.name}: a traceback, {last}" for last in tracebacks(lines)]
            for line in lines:
                with suppress(ValueError):
                    self._read(json.loads(line), log, counts)
        self.logged = dict(sorted(counts.items()))

    def _read(self, record: Any, log: Path, counts: Counter[str]) -> None:
        event = record.get("event") if isinstance(record, dict) else None
        if event in COUNTED:
            kind = record.get(COUNTED[event]) if COUNTED[event] else None
            counts[f"{event} ({kind})" if kind else event] += 1
        if event in UNWANTED:
            self.unwanted.append(f"{log.name}: {event} {record.get('table', '')}: {record.get('reason', '')}")


def tracebacks(lines: Sequence[str]) -> Iterator[str]:
    """Yield the last line of every traceback."""
    for at, line in enumerate(lines):
        if "Traceback" in line:
            frames = list(takewhile(lambda frame: frame.startswith(" "), lines[at + 1 :]))
            yield "".join(lines[at + 1 + len(frames) : at + 2 + len(frames)])


def write(report: Report, path: Path) -> None:
    """Write a report as JSON."""
    document = {"ok": report.ok, "commit": _commit(), "python": platform.python_version(), **asdict(report)}
    path.write_text(json.dumps(document, indent=1) + "\n")


def page(report: Report) -> str:
    """Return a report as a page of text."""
    missing, extra = sum(c.missing for c in report.checks), sum(c.extra for c in report.checks)
    recovery = sorted(fault.recovery_s for fault in report.faults if fault.happened) or [0.0]
    lines = [
        (
            f"soak: {'everything held' if report.ok else 'FAILED'}; seed {report.seed}, commit {_commit()}, "
            f"{report.seconds / 60:.1f} minutes"
        ),
        (
            f"faults      {sum(report.fired.values())} happened, {len(report.fired)} of {len(report.possible)} kinds; "
            f"each was seen to happen, and news reached the target after each"
        ),
        (
            f"recovery    median {_part(recovery, 0.5):.1f} s, 95 % {_part(recovery, 0.95):.1f} s, "
            f"longest {recovery[-1]:.1f} s (from the end of the fault to the next state at the target)"
        ),
        (
            f"workload    {report.transactions:,} transactions, {sum(report.steps.values()):,} steps "
            f"of {len(report.steps)} kinds"
        ),
        (
            f"comparisons {len(report.checks)} of all contents, {sum(c.rows for c in report.checks):,} rows: "
            f"{missing} missing, {extra} extra (a different row counts as both)"
        ),
        f"validate    {sum(c.validate_equal for c in report.checks)} of {len(report.checks)} times equal",
        f"restarts    {report.restarts} after comparisons, nothing applied or published again",
        (
            f"reader      {report.looks:,} looks, {report.states_seen:,} states of the ledger seen, "
            f"{len(report.breaches)} breaches"
        ),
        f"memory      {', '.join(f'{name} {mb} MiB' for name, mb in report.peak_rss_mb.items())} at most",
        "",
        *(f"  {count:4}  {name}" for name, count in sorted(report.fired.items())),
        "",
        "said by the daemons:",
        *(f"  {count:4}  {name}" for name, count in report.logged.items()),
    ]
    for title, found in (("unwanted", report.unwanted), ("breach", report.breaches), ("failure", report.failures)):
        lines += [f"{title}: {text}" for text in found]
    return "\n".join(lines)


def _part(numbers: list[float], part: float) -> float:
    return numbers[min(len(numbers) - 1, int(part * len(numbers)))]


def _commit() -> str:
    asked = ["git", "rev-parse", "--short", "HEAD"]
    with suppress(OSError):
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    return "unknown"
