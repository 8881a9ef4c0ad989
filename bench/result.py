"""What a benchmark found out, and how it is written down."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from bench import progress

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Libraries whose versions change the figures.
LIBRARIES = ("confluent-kafka", "numpy", "psycopg-binary", "pyarrow")
#: The figures of every subject, and their digits.
FIGURES = {"rows_per_s": 0, "cpu_s_per_million": 2, "peak_rss_mb": 0}
#: Further figures of some cases, of which median and spread count too.
TIMES = {"p50_ms": 1, "p99_ms": 1, "max_ms": 1, "resume_s": 2, "loaded_s": 1}

#: A subject in one setting of the case: its name, and labels such as ("changes_per_s", 100).
Key = tuple[str, tuple[tuple[str, Any], ...]]


@dataclass(frozen=True, slots=True)
class Figures:
    """One run of one subject. CPU is that of the replicating processes alone, their workers included."""

    rows_per_s: float
    cpu_s_per_million: float
    peak_rss_mb: float
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limit:
    """What the systems around a subject can do at most, measured in the same run."""

    name: str
    rows_per_s: float


@dataclass(slots=True)
class Result:
    """All runs of one case."""

    case: str
    rows: int
    runs: dict[Key, list[Figures]] = field(default_factory=dict)
    limits: list[Limit] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=dict)
    table: str = "standard"
    failed: str | None = None
    growth: dict[Key, dict[str, float]] = field(default_factory=dict)
    #: The kind of source, where a case has several.
    server: str | None = None

    def add(self, subject: str, figures: Figures, **labels: Any) -> None:
        """Note one run, and say so; ``labels`` tell apart the settings of a case that has several."""
        settings = "".join(f", {name} {value}" for name, value in labels.items())
        progress.say(f"  {self.case}, {subject}{settings}: {figures.rows_per_s:,.0f} rows/s")
        self.runs.setdefault((subject, tuple(labels.items())), []).append(figures)

    def compare(self, small: Result) -> None:
        """Note how the cost of each subject grew from the rows of ``small`` to these."""
        for key in self.runs.keys() & small.runs.keys():
            cpu_s = [_median(self.runs[key], "cpu_s_per_million") * self.rows / 1e6]
            cpu_s.append(_median(small.runs[key], "cpu_s_per_million") * small.rows / 1e6)
            peaks = [_median(result.runs[key], "peak_rss_mb") for result in (self, small)]
            self.growth[key] = {
                "from_rows": small.rows,
                "from_cpu_s": round(cpu_s[1], 2),
                "from_peak_rss_mb": round(peaks[1]),
                "cpu_times": round(cpu_s[0] / cpu_s[1], 2),
                "peak_rss_times": round(peaks[0] / peaks[1], 2),
            }

    def document(self) -> dict[str, Any]:
        """Return the JSON document: medians and spread by subject, the first limit as ``limit``, all as ``limits``."""
        limits = [{"name": limit.name, "rows_per_s": round(limit.rows_per_s)} for limit in self.limits]
        document = {
            "case": self.case,
            "rows": self.rows,
            "table": self.table,
            "subjects": [self._subject(key, runs) for key, runs in self.runs.items()],
            "limit": limits[0] if limits else None,
            "limits": limits,
            "machine": self.machine,
        }
        told = {"server": self.server, "failed": self.failed}
        return document | {name: value for name, value in told.items() if value}

    def save(self, folder: Path) -> None:
        """Keep the document as a file named after case, table and kind of source."""
        folder.mkdir(parents=True, exist_ok=True)
        name = self.case if self.table in ("standard", self.case) else f"{self.case}-{self.table}"
        name = name if self.server is None else f"{name}-{self.server}"
        (folder / f"{name}.json").write_text(json.dumps(self.document(), indent=1) + "\n")

    def _subject(self, key: Key, runs: Sequence[Figures]) -> dict[str, Any]:
        document: dict[str, Any] = {"name": key[0]} | dict(key[1])
        for figure, digits in FIGURES.items():
            document |= _spread(figure, [getattr(run, figure) for run in runs], digits)
        document["repetitions"] = len(runs)
        document |= _middle(runs).extra
        for figure, digits in TIMES.items():
            if figure in runs[0].extra:
                document |= _spread(figure, [run.extra[figure] for run in runs], digits)
        return document | ({"growth": self.growth[key]} if key in self.growth else {})


def machine() -> dict[str, Any]:
    """Return what a reader must know of the machine; call it before the run: the load is the one before."""
    return {
        "cpus": os.cpu_count(),
        "cpu": _cpu_model(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "python": platform.python_version(),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        "load_before": round(os.getloadavg()[0], 2),
    }


def _median(runs: Sequence[Figures], figure: str) -> float:
    return float(median(getattr(run, figure) for run in runs))


def _middle(runs: Sequence[Figures]) -> Figures:
    """Return the run with the median rate (of two, the slower one): its details stand for all."""
    return sorted(runs, key=lambda run: run.rows_per_s)[(len(runs) - 1) // 2]


def _spread(figure: str, values: Sequence[float], digits: int) -> dict[str, Any]:
    ends = [_rounded(min(values), digits), _rounded(max(values), digits)]
    return {figure: _rounded(median(values), digits), f"{figure}_spread": ends}


def _rounded(value: float, digits: int) -> float:
    return round(value, digits) if digits else round(value)


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
