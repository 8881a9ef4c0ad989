"""What the documents name exists: files, links, commands, metrics, kinds, rules and mutants."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
from prometheus_client.metrics import MetricWrapperBase

from operate.main import COMMANDS
from runtime import metrics
from schemas.positions import Phase
from schemas.table import Kind
from tests.mutants.protocol import MUTANTS

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
RULES: Final = 24
ROOMS: Final = "schemas|runtime|capture|apply|operate|tests|deploy|docs|bench"


def text(name: str) -> str:
    return (ROOT / name).read_text()


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(document: Path) -> list[str]:
    return [link for link in re.findall(r"\]\(([^)]+)\)", document.read_text()) if "://" not in link]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    for link in links(document):
        path, _, anchor = link.partition("#")
        linked = (document.parent / path).resolve() if path else document
        assert linked.exists(), link
        assert not anchor or anchor in anchors(linked), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_of_the_repository_that_is_named_exists(document: Path) -> None:
    named = re.findall(rf"`((?:{ROOMS})/[\w./-]*)`", document.read_text())

    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_readme_shows_every_guarantee_by_a_test_that_exists() -> None:
    table = text("README.md").partition("## What is proven where")[2].partition("## Limits")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]

    assert len(rows) > 5
    assert [row for row in rows if not re.search(r"`tests/[\w/]+\.py`", row)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_is_called_exists(document: Path) -> None:
    called = re.findall(r"(?:^\$ |`)ferryman ([a-z]+)", document.read_text(), re.MULTILINE)

    assert set(called) - {*COMMANDS} == set()


def test_the_readme_shows_every_command() -> None:
    readme = text("README.md")

    assert [name for name in COMMANDS if f"ferryman {name}" not in readme and f"make {name}" not in readme] == [
        "failpoints"
    ]


def test_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    named = {name for document in DOCUMENTS for name in re.findall(r"`make ([a-z-]+)", document.read_text())}

    assert named - targets == set()


def test_the_operations_guide_lists_every_metric_as_it_is() -> None:
    section = text("docs/operations.md").partition("## Metrics")[2].partition("### Alerts")[0]
    documented = [line for line in section.splitlines() if line.startswith("| `")]

    assert documented == [row(one) for one in vars(metrics).values() if isinstance(one, MetricWrapperBase)]


def row(metric: MetricWrapperBase) -> str:
    (described,) = metric.describe()
    name = described.name + ("_total" if described.type == "counter" else "")
    return f"| `{name}` | {described.type} | {', '.join(metric._labelnames)} | {described.documentation} |"


def test_metrics_that_are_said_to_stay_empty_are_those_that_nobody_fills() -> None:
    code = "\n".join(
        path.read_text() for room in ("capture", "apply", "runtime") for path in (ROOT / room).rglob("*.py")
    )
    empty = {
        row(metric).split("`")[1]
        for name, metric in vars(metrics).items()
        if isinstance(metric, MetricWrapperBase) and len(re.findall(rf"\b{name}\b", code)) == 1
    }
    section = text("docs/operations.md").partition("### Alerts")[0].rpartition("\n\n| metric |")[2].partition("\n\n")[2]

    assert set(re.findall(r"`(ferryman_\w+)`", section)) == empty


def test_the_operations_guide_explains_every_state_and_every_alert() -> None:
    guide = text("docs/operations.md")
    alerts = re.findall(r"alert: (\w+)", text("deploy/prometheus/alerts.yaml"))

    assert [phase.value for phase in Phase if phase is not Phase.REMOVED and f"| `{phase.value}` |" not in guide] == []
    assert [alert for alert in alerts if f"`{alert}`" not in guide] == []


def test_the_type_map_names_every_kind_once() -> None:
    kinds = re.findall(r"^\| `([A-Z0-9_]+)` \|", text("docs/type-map.md"), re.MULTILINE)

    assert kinds == [kind.name for kind in Kind]


def test_the_chunk_merge_explains_every_rule_in_order() -> None:
    guide = text("docs/snapshot-merge.md")

    assert [int(number) for number in re.findall(r"^\*\*(\d+)\. ", guide, re.MULTILINE)] == [*range(1, RULES + 1)]
    assert [guide.count(part) for part in ("*History*:", "*Code*:", "*Shown by*:")] == [RULES] * 3


def test_the_chunk_merge_says_of_every_rule_which_live_test_needs_it() -> None:
    section = text("docs/snapshot-merge.md").partition("## On a live server")[2]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    rows = [row for row in cells if row[0].isdigit()]

    assert [int(number) for number, *_ in rows] == [*range(1, RULES + 1)]
    assert [number for number, live, _, otherwise in rows if not live and not otherwise] == []
    live_mutants = {str(m.rule) for m in MUTANTS if m.rule and not m.test.startswith("tests/unit/")}
    assert {number for number, _, cross, _ in rows if cross} == live_mutants


def test_the_chunk_merge_names_every_mutant_and_no_other() -> None:
    guide, simulation = text("docs/snapshot-merge.md"), text("tests/unit/capture/test_snapshot_histories.py")
    mutants = re.findall(r"^    (\w+),$", simulation.partition("\nMUTANTS = [")[2].partition("\n]")[0], re.MULTILINE)
    named = {
        name
        for sentence in re.findall(r"mutants? ((?:`\w+`,?\s*)+)", guide)
        for name in re.findall(r"`(\w+)`", sentence)
    }

    assert mutants
    assert named == set(mutants)


def test_functions_that_are_named_behind_their_file_are_there() -> None:
    named = [
        (path, function)
        for path, functions in re.findall(r"`([\w/]+\.py)`\s+\(((?:`\w+`(?:,\s)?)+)\)", text("docs/snapshot-merge.md"))
        for function in re.findall(r"`(\w+)`", functions)
    ]

    assert len(named) > 20
    assert [one for one in named if not re.search(rf"(?:def|class) {one[1]}\b", text(one[0]))] == []


def test_messages_that_are_quoted_are_those_of_the_code() -> None:
    code = "".join(path.read_text() for room in ("capture", "apply", "operate") for path in (ROOT / room).rglob("*.py"))
    told = re.sub(r'"\s+f?"', "", code)  # a literal may go on in the next line
    quoted = [
        piece.strip(" .:")
        for line in text("docs/guarantees.md").splitlines()
        if line.startswith("| ")
        for message in re.findall(r'"([^"]+)"', line)
        for piece in message.split("...")
    ]
    pieces = [piece for piece in quoted if len(piece) > 7 and not piece.startswith("SQLSTATE")]

    assert len(pieces) > 25
    assert [piece for piece in pieces if piece not in told] == []


def test_rules_that_the_code_refers_to_are_rules() -> None:
    code = "\n".join(path.read_text() for room in ("capture", "apply") for path in (ROOT / room).rglob("*.py"))
    numbers = {int(number) for number in re.findall(r"[Rr]ules? (\d+)", code)}

    assert numbers
    assert numbers <= {*range(1, RULES + 1)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_settings_that_are_named_with_their_section_exist(document: Path) -> None:
    settings = set(re.findall(r"^\| `([\w.\[\]]+)` \|", text("docs/configuration.md"), re.MULTILINE))
    sections = "topics|source|target|capture|apply|kafka"
    named = re.findall(rf"`((?:{sections})\.[a-z_.]+)(?::[^`]*)?`", document.read_text())
    known = {prefix for setting in settings for prefix in (setting, setting.rpartition(".")[0])}

    assert [name for name in named if name not in known and not name.endswith(".py")] == []
