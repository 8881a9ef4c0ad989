"""Dashboard and alerts ask for metrics that exist, and that some code fills."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from runtime import metrics

ROOT: Final = Path(__file__).parents[2]
DASHBOARD: Final = ROOT / "deploy" / "grafana" / "ferryman.json"
ALERTS: Final = ROOT / "deploy" / "prometheus" / "alerts.yaml"
CONSTANTS: Final = {name: one for name, one in vars(metrics).items() if isinstance(one, MetricWrapperBase)}

#: What Prometheus adds to the names of counters and histograms.
SUFFIXES: Final = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


def series(metric: MetricWrapperBase) -> set[str]:
    (described,) = metric.describe()
    return {described.name + suffix for suffix in SUFFIXES[described.type]}


def labels(metric: MetricWrapperBase) -> set[str]:
    return set(metric._labelnames)


def dashboard() -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return parsed


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = dashboard()["panels"]
    return found


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def expressions() -> dict[str, str]:
    targets = [(panel["title"], target) for panel in panels() for target in panel["targets"]]
    shown = {f"panel {title}, {target['refId']}": target["expr"] for title, target in targets}
    return shown | {f"alert {rule['alert']}": rule["expr"] for rule in rules()}


def named(expression: str) -> set[str]:
    return set(re.findall(r"\bferryman_\w+", expression))


@pytest.mark.parametrize(("place", "expression"), expressions().items(), ids=expressions())
def test_every_metric_that_is_shown_or_alerted_on_exists(place: str, expression: str) -> None:
    known = set().union(*map(series, CONSTANTS.values()))

    assert named(expression) - known == set()


def test_every_metric_that_is_shown_or_alerted_on_is_filled_by_the_daemons() -> None:
    code = "\n".join(
        path.read_text() for room in ("capture", "apply", "runtime") for path in (ROOT / room).rglob("*.py")
    )
    filled = {
        name
        for constant, metric in CONSTANTS.items()
        if len(re.findall(rf"\b{constant}\b", code)) > 1  # once is where it is made
        for name in series(metric)
    }

    assert set().union(*map(named, expressions().values())) - filled == set()


def test_only_labels_that_a_metric_has_are_asked_for() -> None:
    known = {name: labels(metric) for metric in CONSTANTS.values() for name in series(metric)}
    asked = {
        (name, label)
        for expression in expressions().values()
        for name, selector in re.findall(r"(ferryman_\w+)\{([^}]*)\}", expression)
        for label in re.findall(r"(\w+)\s*=~?", selector)
    }

    assert asked
    # `pipeline` is a label of the scrape target.
    assert {(name, label) for name, label in asked if label not in known[name] | {"pipeline", "le"}} == set()


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels())
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len({panel["id"] for panel in panels()}) == len(panels())
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_every_panel_and_every_alert_explains_itself() -> None:
    assert [panel["title"] for panel in panels() if not panel["description"]] == []
    assert [rule["alert"] for rule in rules() if not rule["annotations"].keys() >= {"summary", "description"}] == []


def test_alerts_have_names_of_their_own_and_a_severity() -> None:
    names = [rule["alert"] for rule in rules()]

    assert len(set(names)) == len(names)
    assert {rule["labels"]["severity"] for rule in rules()} == {"page", "warning"}
