"""``wide`` and ``narrow``: both stages of a load with a table of 100 columns, or of 3, in one document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.cases import load
from bench.result import Result

if TYPE_CHECKING:
    from bench.rig import Rig
    from bench.tables import Table


def run(rig: Rig, table: Table, result: Result, turn: int = 0) -> None:
    """Measure ``snapshot`` and ``apply-load`` once; every entry says of which stage it is."""
    stages = {stage: Result(stage, result.rows) for stage in ("snapshot", "apply-load")}
    load.run(rig, table, result.rows, stages["snapshot"], stages["apply-load"], turn)
    result.limits = [limit for stage in stages.values() for limit in stage.limits]
    for stage, measured in stages.items():
        for (name, _), runs in measured.runs.items():
            for figures in runs:
                result.add(name, figures, stage=stage)
