"""The page as Markdown: what was measured, on what, how, and how it came out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench import options
from bench.report import verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.report.verdict import Document

HEAD = """\
# Benchmarks

<!-- Written by `python -m bench report` from the results beside it. Change the code, not this page. -->

```
make bench                                                        # everything on this page, again
.venv/bin/python -m bench CASE --rows N --peer debezium --json    # one case; --help lists cases and options
```

**How.** Real servers on one machine: one Kafka broker, two PostgreSQL servers. All subjects of a case read the same
rows of the same source, one after another, each into topics and a target database of its own. A rate is taken from the
first rows seen to the last one, so that starting a Python or a Java is not part of it; where more than half came at
once, from the start of the process. CPU-seconds are those of the replicating processes (our daemons with their
workers; the Connect worker) from their start on, without broker and databases; "from the first row" leaves out what
came before. Memory is the highest resident memory of a process with its children. Latency is the difference of both
servers' own notes of when a row was committed (`track_commit_timestamp`), for rows inserted one by one at a steady
rate: nothing watches meanwhile.

**The peer** is Debezium on Kafka Connect, on the newest Java here, tuned as its documentation says: batches of 16,384
and queues of 65,536, lz4, two snapshot threads, sink batches of 10,000 with reduction buffer and `unnest`, short waits,
no context headers, no statistics; tombstones are filtered out before the sink. It writes Avro with schemas registered
beforehand (`auto-register=false`), JSON with the schema in each message (its sink needs that), and where no sink
follows also plain JSON. Its best figure counts. With its default tombstones it is shown beside, never counted.

**The limit** is what PostgreSQL does with the same rows when nobody transforms them. Of MySQL and MariaDB it is for
`stream-mysql` what python-mysql-replication reads of the same log, throwing all rows away, and for `snapshot-mysql`
what the server sends, unread.
"""

_BLANK = "-"
_SERVERS = {"mariadb": "MariaDB", "mysql": "MySQL"}
#: What the tables' columns are called.
_COLUMNS = ("subject", "rows/s", "of the limit", "CPU-s per million", "from the first row", "peak RSS, MiB")


def place(document: Document) -> tuple[int, str, str]:
    """Return where a document stands on the page."""
    cases = [*options.CASES]
    number = cases.index(document["case"]) if document["case"] in cases else len(cases)
    return number, document["table"], document.get("server", "")


def render(documents: Sequence[Document], pictures: Mapping[str, str]) -> str:
    """Return the page. ``pictures``: title -> path."""
    parts = [HEAD]
    if documents:
        parts += [_summary(documents)]
        parts += [f"![{title}]({path})\n" for title, path in pictures.items()]
        parts += [_case(document) for document in documents]
    else:
        parts.append("Nothing was measured yet.\n")
    return "\n".join(parts)


def _summary(documents: Sequence[Document]) -> str:
    rows = [
        [_title(document, ours), *map(_times, (found.rate, found.cpu, found.memory, found.p99)), _percent(found.share)]
        for document in documents
        for ours in verdict.entries(document)
        for found in [verdict.of(document, ours)]
    ]
    head = ("case", "rows/s", "less CPU", "less memory", "lower p99", "of the limit")
    told = "More than 1 is better than the peer, less than 1 (in bold) worse."
    return f"## ferryman beside Debezium's best\n\n{told}\n\n{table(head, rows)}"


def _case(document: Document) -> str:
    parts = [f"## {_case_title(document)}", _circumstances(document)]
    if "failed" in document:
        parts.append(f"**Failed:** {document['failed']}")
    if any("p99_ms" in one for one in document["subjects"]):
        parts.append(_latencies(document))
    else:
        parts.append(_rates(document))
    if any("loaded_s" in one for one in document["subjects"]):
        told = ([_label(one), _with_spread(one, "loaded_s")] for one in document["subjects"])
        parts.append(table(("subject", "seconds until all tables were copied"), told))
    if growth := [one for one in document["subjects"] if "growth" in one]:
        parts.append("\n".join(_growth(document, one) for one in growth))
    return "\n\n".join(parts) + "\n"


def _circumstances(document: Document) -> str:
    machine = document["machine"]
    versions = {"Python": machine["python"]} | machine["libraries"] | machine.get("versions", {})
    rows = f"{document['rows']:,} rows of `{document['table']}`. " if document["rows"] else ""
    runs = sorted({one["repetitions"] for one in document["subjects"]}) or [0]
    parts = [
        f"{rows}{' or '.join(map(str, runs))} run{'' if runs == [1] else 's'} of each.",
        f"{machine['cpus']} cores of {machine['cpu']}, {machine['memory_mb']:,} MB;",
        f"load before: {machine['load_before']}.",
        ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
    ]
    return " ".join(parts)


def _rates(document: Document) -> str:
    limit = document["limit"]["rows_per_s"] if document["limit"] else None
    rows = [
        [
            _label(one) + (f", {one['rows']:,} rows" if "rows" in one else ""),
            _with_spread(one, "rows_per_s"),
            _percent(one["rows_per_s"] / limit if limit else None),
            _with_spread(one, "cpu_s_per_million"),
            _cpu_from_first_row(document, one),
            _with_spread(one, "peak_rss_mb"),
        ]
        for one in document["subjects"]
    ]
    rows += [[f"*{one['name']}*", f"{one['rows_per_s']:,}", *[""] * 4] for one in document["limits"]]
    text = table(_COLUMNS, rows)
    if any("resume_s" in one for one in document["subjects"]):
        told = ((_label(one), _with_spread(one, "resume_s")) for one in document["subjects"])
        text += "\n" + table(("subject", "seconds from the kill to the first new row"), told)
    return text


def _cpu_from_first_row(document: Document, one: Mapping[str, Any]) -> str:
    if one.get("start_included", True):
        return _BLANK
    rows = one.get("rows", document["rows"])
    return f"{(one['cpu_s'] - one['cpu_s_to_first_row']) * 1e6 / rows:,.1f}"


def _latencies(document: Document) -> str:
    head = ("subject", "p50, ms", "p99, ms", "max, ms", "sent/s", "CPU-s per million", "peak RSS, MiB")
    rows = [
        [
            _label(one),
            *(_with_spread(one, figure) for figure in ("p50_ms", "p99_ms", "max_ms")),
            f"{one['sent_per_s']:,}",
            _with_spread(one, "cpu_s_per_million"),
            _with_spread(one, "peak_rss_mb"),
        ]
        for one in document["subjects"]
    ]
    return table(head, rows)


def _growth(document: Document, one: Mapping[str, Any]) -> str:
    grown = one["growth"]
    return (
        f"Growth of {one['name']} from {grown['from_rows']:,} to {document['rows']:,} rows: {grown['cpu_times']} times "
        f"the CPU-seconds ({grown['from_cpu_s']} s before), {grown['peak_rss_times']} times the memory."
    )


def _title(document: Document, one: Mapping[str, Any]) -> str:
    return f"{_case_title(document)}{_setting(one)}"


def _case_title(document: Document) -> str:
    table_name = "" if document["table"] in ("standard", document["case"]) else f" of {document['table']}"
    server = f", {_SERVERS[document['server']]}" if "server" in document else ""
    return f"{document['case']}{table_name}{server}"


def _label(one: Mapping[str, Any]) -> str:
    return f"{one['name']}{_setting(one)}"


def _setting(one: Mapping[str, Any]) -> str:
    told = f", {one['changes_per_s']:,}/s" if "changes_per_s" in one else ""
    return f"{told}, {one['stage']}" if "stage" in one else told


def _with_spread(one: Mapping[str, Any], figure: str) -> str:
    low, high = one[f"{figure}_spread"]
    middle = f"{one[figure]:,}"
    return middle if one["repetitions"] == 1 else f"{middle} ({low:,} to {high:,}, {one['repetitions']} runs)"


def _times(ratio: float | None) -> str:
    return _BLANK if ratio is None else f"{ratio:.1f}x" if ratio >= 1 else f"**{ratio:.2f}x**"


def _percent(share: float | None) -> str:
    return _BLANK if share is None else f"{share:.0%}"


def table(head: Sequence[str], rows: Any) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
