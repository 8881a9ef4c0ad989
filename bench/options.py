"""What can be asked of ``python -m bench``."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.debezium.connectors import Format

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Where results are kept, and the page that is made of them: it lies beside their folder.
RESULTS = Path(__file__).parent / "results"
PAGE = "README.md"

#: Not measurements: everything for the page, and the page itself from kept results.
ALL, REPORT = "all", "report"
#: How many rows a case has by itself; the last ones have no such number.
CASES = {
    "snapshot": 1_000_000,
    "apply-load": 1_000_000,
    "stream": 1_000_000,
    "apply-changes": 1_000_000,
    "big-transaction": 2_000_000,
    "wide": 100_000,
    "narrow": 1_000_000,
    "latency": 0,
    "resume": 0,
    "many-tables": 0,
    "snapshot-mysql": 1_000_000,
    "stream-mysql": 1_000_000,
}
#: The tables that ``snapshot`` and ``apply-load`` can move.
TABLES = ("standard", "lineitem", "wide", "narrow")


@dataclass(frozen=True, slots=True)
class Options:
    """The command line, understood. ``rows`` is None where each case's own number counts."""

    case: str
    rows: int | None = None
    repeat: int = 1
    peer: str | None = None
    formats: tuple[Format, ...] = tuple(Format)
    java: int | None = None
    table: str = "standard"
    growth: bool = False
    json: bool = False
    folder: Path | None = None
    results: Path | None = None
    seconds: int = 60
    timeout: int = 1_800
    tables: int = 1_000
    kind: str = "postgresql"
    peer_repeat: int | None = None

    def has_peer(self, turn: int) -> bool:
        """Whether the peer takes part in a repetition, counted from 0."""
        return turn < (self.repeat if self.peer_repeat is None else self.peer_repeat)

    def rows_of(self, case: str) -> int:
        """Return how many rows a case has: its own number unless another was asked for; 0 where time is the measure."""
        return (self.rows or CASES[case]) if CASES[case] else 0


def parse(arguments: Sequence[str]) -> Options:
    """Return the options; faults end the program with status 2."""
    given = _parser().parse_args(arguments)
    if given.rows is not None and (given.rows % 1000 or given.rows < 1000):
        _parser().error("--rows: a multiple of 1,000")
    if given.table != "standard" and given.case not in ("snapshot", "apply-load"):
        _parser().error(f"--table {given.table}: only for snapshot and apply-load")
    results = given.results or (RESULTS if given.case in (ALL, REPORT) else None)
    formats = tuple(Format(name) for name in given.formats.split(","))
    return Options(
        given.case, given.rows, given.repeat, given.peer, formats, given.java, given.table,
        given.growth or given.case == ALL, given.json, given.dir, results, given.seconds, given.timeout, given.tables,
        given.server if given.case.endswith("-mysql") else "postgresql", given.peer_repeat,
    )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=f"Measure one case; {ALL}: the cases of the page, kept as they end; {REPORT}: make the page again.",
    )
    parser.add_argument("case", choices=(*CASES, ALL, REPORT))
    parser.add_argument(
        "--rows", type=int, help=f"default: {', '.join(f'{name} {rows:,}' for name, rows in CASES.items() if rows)}"
    )
    parser.add_argument("--repeat", type=int, default=1, help="runs of each subject; the median counts")
    parser.add_argument("--peer", choices=("debezium",), help="measure beside it, in the same run")
    parser.add_argument("--peer-repeat", type=int, help="runs of the peer, where it shall have fewer than --repeat")
    parser.add_argument("--formats", default="avro,json,plain json", help="of the peer; default: all")
    parser.add_argument("--java", type=int, help="of the peer: a major version; default: the newest here")
    parser.add_argument("--table", choices=TABLES, default="standard")
    parser.add_argument("--growth", action="store_true", help="measure a tenth of the rows too, and compare")
    parser.add_argument("--seconds", type=int, default=60, help="how long changes go on in latency and many-tables")
    parser.add_argument("--server", choices=("mariadb", "mysql"), default="mariadb", help="of the cases with -mysql")
    parser.add_argument("--tables", type=int, default=1_000, help="how many there are in many-tables")
    parser.add_argument("--timeout", type=int, default=1_800, help="seconds that a case may take for each repetition")
    parser.add_argument("--dir", type=Path, help="a stack that stays up between runs; default: one of its own")
    parser.add_argument("--results", type=Path, help=f"keep each result there; {ALL}: default {RESULTS.name}/")
    parser.add_argument("--json", action="store_true", help="print each document in one line")
    return parser
