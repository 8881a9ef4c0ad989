"""The benchmarks on real servers, with few rows: every figure that scripts rely on is there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FIGURES = {"name", "rows_per_s", "cpu_s_per_million", "peak_rss_mb"}

pytestmark = [pytest.mark.live, pytest.mark.slow]


def bench(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench", *arguments, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", ["snapshot", "stream", "apply-load", "apply-changes", "big-transaction"])
def test_a_case_prints_one_document_with_figures_and_their_limit(case: str) -> None:
    document = bench(case, "--rows", "2000")
    (ferryman,) = document["subjects"]

    assert {"case", "rows", "subjects", "limit", "machine"} <= {*document}
    assert (document["case"], document["rows"], ferryman["name"]) == (case, 2000, "ferryman")
    assert {*ferryman} >= FIGURES
    assert min(ferryman[figure] for figure in FIGURES - {"name"}) > 0
    assert case == "big-transaction" or document["limit"]["rows_per_s"] > 0


def test_real_rows_and_growth_are_measured_too() -> None:
    document = bench("apply-load", "--rows", "10000", "--table", "lineitem", "--growth")

    assert document["table"] == "lineitem"
    assert document["subjects"][0]["growth"]["from_rows"] == 1000


def test_latency_says_median_99th_percentile_and_maximum_at_each_rate() -> None:
    entries = bench("latency", "--seconds", "3")["subjects"]

    assert [entry["changes_per_s"] for entry in entries] == [100, 2000]
    assert all(0 < entry["p50_ms"] <= entry["p99_ms"] <= entry["max_ms"] for entry in entries)
