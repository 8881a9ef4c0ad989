"""Failpoints: named places where a test makes the process die, freeze, fail or dawdle.

Compiled in always; obeyed only with ``FERRYMAN_ENV=test`` and
``FERRYMAN_FAILPOINTS="capture.published=kill@3,apply.before_commit=error"``.
Actions: ``kill`` (SIGKILL of this process), ``stop`` (SIGSTOP), ``error`` (raise FailpointError), ``sleep:MS``.
``@n`` acts at the n-th hit only, ``@n+`` from the n-th on, neither: at every hit. Hits count per process.
"""

from __future__ import annotations

import os
import re
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from runtime.errors import BadInput, FerrymanError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where each failpoint stands.
NAMES: Final[dict[str, str]] = {
    "capture.started": "the daemon has read its saved position and opened the stream",
    "capture.batch_read": "a batch was read from the source",
    "capture.before_produce": "a batch is encoded, none of it given to the producer",
    "capture.produced": "a batch was given to the producer, not yet flushed",
    "capture.published": "every message of a batch is acknowledged",
    "capture.before_save": "about to write the position",
    "capture.saved": "the position is durable",
    "capture.before_confirm": "about to tell the source that its log may go",
    "capture.confirmed": "the source was told",
    "capture.before_open": "a table is about to be opened with its truncate",
    "capture.opened": "the truncate of a new snapshot is published",
    "capture.chunk_read": "a worker has read a chunk",
    "capture.chunk_published": "a chunk is acknowledged, its progress not yet saved",
    "capture.before_loaded": "all chunks are published, the table is not yet called loaded",
    "capture.schema_stored": "a schema is durable, no event uses it yet",
    "apply.polled": "events were taken from Kafka",
    "apply.before_begin": "a plan is made, no transaction is open",
    "apply.locked": "the checkpoint row is locked",
    "apply.mid_batch": "some steps of the plan have run",
    "apply.before_ddl": "a table is about to be made or altered",
    "apply.after_ddl": "a table was made or altered, not committed",
    "apply.before_checkpoint": "the data is written, the checkpoint is not",
    "apply.before_commit": "data and checkpoint are written, not committed",
    "apply.committed": "the transaction is committed, nothing in memory knows it",
    "apply.takeover": "the checkpoint's epoch was raised, the partition not yet consumed",
}

_RULE = re.compile(r"(?P<action>kill|stop|error|sleep:(?P<ms>\d+))(?:@(?P<nth>[1-9]\d*)(?P<onward>\+)?)?")


class FailpointError(FerrymanError):
    """What the action ``error`` raises."""


@dataclass(slots=True)
class _Rule:
    action: str
    sleep_s: float
    first: int
    last: int | None
    hits: int = 0

    def due(self) -> bool:
        self.hits += 1
        return self.hits >= self.first and (self.last is None or self.hits <= self.last)


#: None: not looked at the environment yet. Tests swap it through :func:`configure`.
_rules: dict[str, _Rule] | None = None
_testing = False


def configure(environ: Mapping[str, str] = os.environ) -> None:
    """Read the failpoints of this process; raises BadInput that names the piece which cannot be read."""
    global _rules, _testing  # noqa: PLW0603 - one process, one set of failpoints, read at the first hit
    text = environ.get("FERRYMAN_FAILPOINTS", "")
    _testing = environ.get("FERRYMAN_ENV") == "test"
    _rules = {}
    if text and not _testing:
        structlog.get_logger().warning("failpoints.ignored", reason="FERRYMAN_ENV is not test")
        return
    _rules = dict(_parse(piece.strip()) for piece in text.split(",") if piece.strip())


def hit(name: str) -> None:
    """Do what the failpoint asks for, which in production is nothing."""
    if _rules is None:
        configure()
    if _testing and name not in NAMES:
        raise AssertionError(f"no failpoint is called {name}")
    rule = _rules.get(name) if _rules else None
    if rule is not None and rule.due():
        _act(name, rule)


def _act(name: str, rule: _Rule) -> None:
    structlog.get_logger().warning("failpoint.hit", name=name, action=rule.action, hits=rule.hits)
    if rule.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif rule.action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif rule.action == "error":
        raise FailpointError(f"failpoint {name}")
    else:
        time.sleep(rule.sleep_s)


def _parse(piece: str) -> tuple[str, _Rule]:
    name, equals, text = piece.partition("=")
    if name not in NAMES:
        raise BadInput(
            f"no failpoint is called {name!r}", "FERRYMAN_FAILPOINTS", "`ferryman failpoints` lists the names"
        )
    found = _RULE.fullmatch(text)
    if not equals or found is None:
        raise BadInput(
            f"cannot read {piece!r}", "FERRYMAN_FAILPOINTS", "write NAME=kill|stop|error|sleep:MS, then @n or @n+"
        )
    first = int(found["nth"] or 1)
    once = found["nth"] is not None and found["onward"] is None
    action = found["action"].partition(":")[0]
    return name, _Rule(action, int(found["ms"] or 0) / 1000, first, first if once else None)
