"""Results: medians with their spread, and how costs grew."""

from __future__ import annotations

import json
from pathlib import Path

from bench.result import Figures, Limit, Result


def test_the_document_has_medians_spread_and_the_details_of_the_median_run() -> None:
    result = Result("snapshot", 1000, limits=[Limit("all", 900.4), Limit("other", 5)], machine={"cpus": 2})
    for rate in (300.0, 100.0, 200.0):
        result.add("ferryman", Figures(rate, rate / 7, 2 * rate, {"cpu_s": rate}))

    document = result.document()

    assert document["subjects"] == [
        {
            "name": "ferryman",
            "rows_per_s": 200,
            "rows_per_s_spread": [100, 300],
            "cpu_s_per_million": 28.57,
            "cpu_s_per_million_spread": [14.29, 42.86],
            "peak_rss_mb": 400,
            "peak_rss_mb_spread": [200, 600],
            "repetitions": 3,
            "cpu_s": 200.0,
        }
    ]
    assert document["limit"] == {"name": "all", "rows_per_s": 900}
    assert [document[key] for key in ("case", "rows", "table", "machine")] == [
        "snapshot",
        1000,
        "standard",
        {"cpus": 2},
    ]


def test_settings_of_a_case_are_told_apart_and_their_times_have_a_spread() -> None:
    result = Result("latency", 0)
    for rate, p99 in ((100, 5.0), (2000, 9.0), (100, 7.0)):
        result.add("ferryman", Figures(1, 1, 1, {"p99_ms": p99}), changes_per_s=rate)

    first, second = result.document()["subjects"]

    assert (first["changes_per_s"], first["p99_ms"], first["p99_ms_spread"]) == (100, 6.0, [5.0, 7.0])
    assert (second["changes_per_s"], second["p99_ms"], second["repetitions"]) == (2000, 9.0, 1)


def test_growth_compares_cpu_seconds_and_memory_of_the_same_subject() -> None:
    large, small = Result("snapshot", 1000_000), Result("snapshot", 100_000)
    large.add("ferryman", Figures(1, 10.0, 120))
    large.add("debezium avro", Figures(1, 50.0, 2000))
    small.add("ferryman", Figures(1, 20.0, 100))

    large.compare(small)
    ferryman, debezium = large.document()["subjects"]

    assert ferryman["growth"] == {
        "from_rows": 100_000,
        "from_cpu_s": 2.0,
        "from_peak_rss_mb": 100,
        "cpu_times": 5.0,
        "peak_rss_times": 1.2,
    }
    assert "growth" not in debezium


def test_a_kept_result_is_the_document_under_the_name_of_case_and_table(tmp_path: Path) -> None:
    result = Result("snapshot", 1000, table="wide", failed="no room")
    result.save(tmp_path / "results")

    assert json.loads((tmp_path / "results" / "snapshot-wide.json").read_text()) == result.document()
    assert result.document()["failed"] == "no room"


def test_results_of_both_kinds_of_source_are_kept_side_by_side(tmp_path: Path) -> None:
    for server in ("mariadb", "mysql"):
        Result("stream-mysql", 1000, server=server).save(tmp_path)

    kept = {path.name: json.loads(path.read_text())["server"] for path in tmp_path.iterdir()}
    assert kept == {"stream-mysql-mariadb.json": "mariadb", "stream-mysql-mysql.json": "mysql"}


def test_every_run_is_said_at_once_and_not_where_the_documents_go(capsys) -> None:
    Result("latency", 0).add("ferryman", Figures(1999.6, 1.0, 1.0), changes_per_s=2000)

    printed = capsys.readouterr()
    assert printed.err.endswith(" s]   latency, ferryman, changes_per_s 2000: 2,000 rows/s\n")
    assert printed.out == ""
