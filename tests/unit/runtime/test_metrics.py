from __future__ import annotations

import time

import pytest
from prometheus_client import REGISTRY

from runtime import metrics
from schemas.block import Block, Op, Transaction
from schemas.table import Column, Kind, TableSchema, ValueType


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def test_every_metric_is_named_after_its_daemon_and_explains_itself() -> None:
    ours = [metric for metric in REGISTRY.collect() if metric.name.startswith("ferryman_")]

    assert len(ours) > 20
    assert all(metric.documentation for metric in ours)
    assert {metric.name.split("_")[1] for metric in ours} == {"capture", "apply"}


def test_lag_is_the_age_of_the_newest_transaction() -> None:
    metrics.capture_read(int((time.time() - 3600) * 1e6))

    assert value("ferryman_capture_lag_seconds") == pytest.approx(3600, abs=60)


def test_lag_is_never_negative_when_clocks_differ() -> None:
    metrics.capture_read(int((time.time() + 3600) * 1e6))

    assert value("ferryman_capture_lag_seconds") == 0


def test_published_rows_are_counted_by_table_and_operation() -> None:
    table = TableSchema("public", "Odd", (Column("id", ValueType(Kind.INT32)),))
    ops = [Op.CREATE, Op.CREATE, Op.DELETE]

    metrics.capture_published(Block(table, [Transaction(1, 1, "1")], ops=ops), 2)

    assert value("ferryman_capture_rows_total", table='public."Odd"', op="c") == 2
    assert value("ferryman_capture_rows_total", table='public."Odd"', op="d") == 1
    assert value("ferryman_capture_reference_rows_total", table='public."Odd"') == 2


def test_a_table_is_in_one_state_at_a_time() -> None:
    states = ("loading", "streaming", "blocked")
    metrics.table_state(metrics.APPLY_TABLE_STATE, "public.t", "loading", states)
    metrics.table_state(metrics.APPLY_TABLE_STATE, "public.t", "blocked", states)

    now = {state: value("ferryman_apply_table_state", table="public.t", state=state) for state in states}
    assert now == {"loading": 0, "streaming": 0, "blocked": 1}
