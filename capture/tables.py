"""What capture knows of each table: the record that is saved, and what lives only as long as this run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from schemas.positions import Phase, TableRecord

if TYPE_CHECKING:
    from capture.snapshot.load import Load
    from capture.source import FoundTable, Mark
    from schemas.order import OrderKey
    from schemas.table import TableSchema


@dataclass(slots=True)
class TableState:
    """One table in one run of capture.

    ``saved`` says that the record stands in the positions topic as it is. ``floor`` is the place that the stream must
    pass before a pending table may open: taken after the request and after this start (rule 10), and after ``version``,
    the table's columns as it will open, was read. ``load`` exists while the table is snapshotting. ``newest`` is the
    order key of the newest event published.
    """

    record: TableRecord
    found: FoundTable | None = None
    saved: bool = False
    floor: Mark | None = None
    version: TableSchema | None = None
    load: Load | None = None
    newest: OrderKey | None = None

    def change(self, **fields: Any) -> None:
        """Replace fields of the record; it must be saved again."""
        self.record = replace(self.record, **fields)
        self.saved = False

    def request(self, reason: str | None) -> None:
        """Ask for a new snapshot: nothing of an earlier one counts, and until it opens nothing is published."""
        self._stop(Phase.PENDING, reason, None)
        self.change(generation=self.record.generation + 1)

    def halt(self, phase: Phase, reason: str, fix: str) -> None:
        """Publish nothing more of this table until somebody acts."""
        self._stop(phase, reason, fix)

    def _stop(self, phase: Phase, reason: str | None, fix: str | None) -> None:
        self.load = self.floor = None
        self.change(
            phase=phase, reason=reason, fix=fix, plan=None, done=(), todo=(), loaded=None, newest=None,
            rows_done=0, rows_total=None, started_ms=None, loaded_ms=None,
        )  # fmt: skip
