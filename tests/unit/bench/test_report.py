"""The page: every figure of every subject, losses included."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from bench import report
from bench.report import page, plot, verdict

MACHINE = {
    "cpus": 2, "cpu": "Some CPU", "memory_mb": 8000, "python": "3.11", "libraries": {"numpy": "2"},
    "load_before": 0.1, "versions": {"java": "25"},
}  # fmt: skip


def subject(name: str, rate: int, cpu: float, memory: int, **more: Any) -> dict[str, Any]:
    spread = {"rows_per_s": rate, "cpu_s_per_million": cpu, "peak_rss_mb": memory} | {
        key: more[key] for key in ("p50_ms", "p99_ms", "max_ms") if key in more
    }
    ends = {f"{key}_spread": [value, value] for key, value in spread.items()}
    return {"name": name, "repetitions": 1} | spread | ends | more


def document(*subjects: dict[str, Any], case: str = "snapshot", limit: int | None = 1000) -> dict[str, Any]:
    limits = [{"name": "bare reading", "rows_per_s": limit}] if limit else []
    return {
        "case": case, "rows": 1000, "table": "standard", "subjects": list(subjects),
        "limit": limits[0] if limits else None, "limits": limits, "machine": MACHINE,
    }  # fmt: skip


def test_each_figure_of_the_peer_is_the_best_of_its_formats_and_default_tombstones_never_count() -> None:
    ours = subject("ferryman", 400, 10.0, 100)
    told = verdict.of(
        document(
            ours,
            subject("debezium avro", 100, 50.0, 2000),
            subject("debezium json", 80, 40.0, 3000),
            subject("debezium avro, default tombstones", 900, 1.0, 1),
        ),
        ours,
    )

    assert told == verdict.Verdict(rate=4.0, cpu=4.0, memory=20.0, share=0.4)


def test_latencies_are_compared_at_the_same_rate_and_have_no_rate_of_their_own() -> None:
    times = {"p50_ms": 1.0, "max_ms": 9.0, "sent_per_s": 100}
    ours = subject("ferryman", 100, 10.0, 100, changes_per_s=100, p99_ms=4.0, **times)
    peers = [
        subject("debezium avro", 100, 10.0, 100, changes_per_s=rate, p99_ms=p99, **times)
        for rate, p99 in ((100, 8.0), (2000, 2.0))
    ]

    told = verdict.of(document(ours, *peers, case="latency", limit=None), ours)

    assert (told.rate, told.p99, told.share) == (None, 2.0, None)


def test_without_a_peer_there_is_no_comparison() -> None:
    ours = subject("ferryman", 400, 10.0, 100)

    assert verdict.of(document(ours, limit=None), ours) == verdict.Verdict(None, None, None, None)


def test_a_loss_is_printed_in_bold() -> None:
    text = page.render([document(subject("ferryman", 50, 10.0, 100), subject("debezium avro", 100, 5.0, 1000))], {})

    assert "| snapshot | **0.50x** | **0.50x** | 10.0x | - | 5% |" in text


def test_the_page_has_every_subject_limit_failure_and_growth() -> None:
    grown = {"from_rows": 100, "from_cpu_s": 2.0, "from_peak_rss_mb": 90, "cpu_times": 9.5, "peak_rss_times": 1.1}
    ours = subject("ferryman", 400, 10.0, 100, growth=grown, start_included=False, cpu_s=5.0, cpu_s_to_first_row=1.0)
    failed = document(case="stream") | {"failed": "the worker ended"}
    text = page.render([document(ours, subject("debezium avro", 100, 50.0, 2000)), failed], {"Rates": "rates.svg"})

    assert "| ferryman | 400 | 40% | 10.0 | 4,000.0 | 100 |" in text
    assert "| debezium avro | 100 | 10% | 50.0 | - | 2,000 |" in text
    assert "| *bare reading* | 1,000 |" in text
    assert "from 100 to 1,000 rows: 9.5 times the CPU-seconds" in text
    assert "**Failed:** the worker ended" in text
    assert "![Rates](rates.svg)" in text
    assert "load before: 0.1" in text


def test_the_page_says_how_often_each_was_run_and_how_long_many_tables_took_to_load() -> None:
    times = {"p50_ms": 1.0, "p99_ms": 2.0, "max_ms": 9.0, "sent_per_s": 100}
    ours = subject("ferryman", 100, 10.0, 100, loaded_s=12.5, loaded_s_spread=[11.0, 14.0], **times) | {
        "repetitions": 3
    }
    peer = subject("debezium json", 100, 10.0, 100, loaded_s=99.0, loaded_s_spread=[99.0, 99.0], **times)

    text = page.render([document(ours, peer, case="many-tables")], {})

    assert "1 or 3 runs of each." in text
    assert "| ferryman | 12.5 (11.0 to 14.0, 3 runs) |" in text
    assert "| debezium json | 99.0 |" in text


@pytest.mark.parametrize(("figure", "bars"), [("rows_per_s", 3), ("cpu_s_per_million", 2)])
def test_a_picture_has_a_bar_for_each_subject_in_proportion(figure: str, bars: int) -> None:
    drawn = plot.bars(
        "A <title>", figure, [document(subject("ferryman", 400, 10.0, 1), subject("debezium", 100, 40.0, 1))]
    )
    assert drawn is not None
    widths = [float(node.attrib["width"]) for node in ET.fromstring(drawn).iter() if node.tag.endswith("rect")][1:]

    assert len(widths) == bars
    longer, shorter = (widths[0], widths[1]) if figure == "rows_per_s" else (widths[1], widths[0])
    assert longer == pytest.approx(4 * shorter, abs=0.2)


def test_the_page_and_its_pictures_are_made_from_what_is_kept(tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    for case in ("stream", "snapshot"):
        kept = document(subject("ferryman", 400, 10.0, 100), case=case)
        (results / f"{case}.json").write_text(json.dumps(kept))

    report.write(results, tmp_path / "README.md")
    text = (tmp_path / "README.md").read_text()

    assert text.index("## snapshot") < text.index("## stream")
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert len(pictures) == len(plot.PICTURES)
    assert all((tmp_path / picture).exists() for picture in pictures)


def test_a_case_of_several_kinds_of_source_is_told_by_its_kind(tmp_path: Path) -> None:
    for server in ("mysql", "mariadb"):
        made = document(subject("ferryman", 400, 10.0, 100), case="stream-mysql") | {"server": server}
        (tmp_path / f"{server}.json").write_text(json.dumps(made))
    report.write(tmp_path, tmp_path / "page.md")

    text = (tmp_path / "page.md").read_text()
    assert re.findall("^## (stream.*)$", text, re.MULTILINE) == ["stream-mysql, MariaDB", "stream-mysql, MySQL"]
