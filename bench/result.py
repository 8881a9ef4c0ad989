"""What a benchmark found out, and how it is written down."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Libraries whose versions change the figures.
LIBRARIES = ("confluent-kafka", "numpy", "psycopg-binary", "pyarrow")


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
    runs: dict[str, list[Figures]] = field(default_factory=dict)
    limits: list[Limit] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=dict)

    def add(self, subject: str, figures: Figures) -> None:
        """Note one run."""
        self.runs.setdefault(subject, []).append(figures)

    def document(self) -> dict[str, Any]:
        """Return the JSON document: medians and spread by subject, the first limit as ``limit``, all as ``limits``."""
        return {
            "case": self.case,
            "rows": self.rows,
            "subjects": [_subject(name, runs) for name, runs in self.runs.items()],
            "limit": asdict(self.limits[0]) if self.limits else None,
            "limits": [asdict(limit) for limit in self.limits],
            "machine": self.machine,
        }


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


def _subject(name: str, runs: Sequence[Figures]) -> dict[str, Any]:
    document: dict[str, Any] = {"name": name}
    for figure, digits in (("rows_per_s", 0), ("cpu_s_per_million", 2), ("peak_rss_mb", 0)):
        values = sorted(getattr(run, figure) for run in runs)
        document[figure] = round(median(values), digits)
        document[f"{figure}_spread"] = [round(values[0], digits), round(values[-1], digits)]
    document["repetitions"] = len(runs)
    return document | runs[-1].extra


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
