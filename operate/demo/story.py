"""The demo from its first to its last act, in the order in which people see it."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from operate.demo import checks, crashes, data, processes
from operate.demo.errors import DemoFailed
from operate.demo.processes import Stopwatch
from operate.demo.watch import Eyes, Watch
from operate.demo.world import NAME
from operate.local import kafka, maven
from runtime import postgres

if TYPE_CHECKING:
    import psycopg

    from operate.demo.checks import Equality, Reapplied
    from operate.demo.crashes import Crash, Part
    from operate.demo.data import DataSet
    from operate.demo.display import Display
    from operate.demo.world import World
    from runtime.config import Pipeline

APPLICATION = "ferryman demo"
TABLES = [f"public.{table}" for table in data.TABLES]
#: Seconds between two transactions at the source, so that people can follow the day.
PACE_S = 0.2
#: Seconds to wait for apply to be in the middle of a transaction.
BUSY_S = 3.0
#: Seconds for what takes a few on an idle machine.
PATIENCE_S = 300.0


@dataclass(slots=True)
class Outcome:
    """What the demo has found so far; ``failure`` says why it ended early."""

    rows: int = 0
    changes: int = 0
    transactions: int = 0
    seconds: float = 0.0
    download_seconds: float = 0.0
    crashes: list[Crash] = field(default_factory=list)
    equalities: list[Equality] = field(default_factory=list)
    validated: bool = False
    reapplied: Reapplied | None = None
    republished: int | None = None
    failure: str | None = None

    @property
    def mismatches(self) -> int | None:
        """Rows that differ between source and target; None when they were not compared."""
        return sum(one.mismatches for one in self.equalities) if self.equalities else None

    @property
    def ok(self) -> bool:
        """Whether every promise was kept."""
        restarted = self.reapplied is not None and self.reapplied.worst == 0 and self.republished == 0
        return self.failure is None and self.mismatches == 0 and self.validated and restarted

    def document(self) -> dict[str, Any]:
        """Return the answer of ``--json``."""
        return {
            "ok": self.ok,
            "rows": self.rows,
            "tables": len(self.equalities),
            "changes": self.changes,
            "crashes": len(self.crashes),
            "mismatches": self.mismatches,
            "reapplied_after_restart": self.reapplied.worst if self.reapplied else None,
            "republished_after_restart": self.republished,
            "seconds": round(self.seconds, 1),
            "download_seconds": round(self.download_seconds, 1),
            "reason": self.failure,
        }


class Story:
    """Tells it: :meth:`tell` runs all acts in ``world`` and fills ``outcome`` as far as it gets."""

    def __init__(self, world: World, display: Display) -> None:
        self.outcome = Outcome()
        self._world, self._display = world, display
        self._application = world.application
        self._ahead = deque(self._application.scenes())

    def tell(self) -> None:
        """Run all acts; raises DemoFailed when a promise is broken, FerrymanError when a system is missing."""
        downloads = Stopwatch()
        files = self._download()
        self.outcome.download_seconds = downloads.seconds
        clock = Stopwatch()
        try:
            self._run(files)
        finally:
            self.outcome.seconds = clock.seconds

    def _run(self, files: DataSet) -> None:
        pipeline = self._open()
        totals = self._fill(files)
        self._check()
        watch = Watch(Eyes(pipeline), totals, self._display.see, self._check_daemons)
        try:
            self._copy(watch)
            self._play_the_day(watch)
            self._prove_equality()
            self._prove_restart(watch)
        finally:
            watch.close()

    # --- the acts ----------------------------------------------------------------------------------------------------

    def _download(self) -> DataSet:
        self._display.act("downloads, the first time only")
        files = data.fetch(self._display.note)
        maven.download(f"Apache Kafka {kafka.VERSION}", kafka.ARTIFACTS, kafka.SIZE, self._display.note)
        return files

    def _open(self) -> Pipeline:
        self._display.act(f"starting {self._application.title}, PostgreSQL and a Kafka broker")
        pipeline = self._world.open()
        for part in ("source server", "Kafka broker", "target server"):
            self._display.up(part)
        return pipeline

    def _fill(self, files: DataSet) -> dict[str, int]:
        self._display.act("filling the source: all flights that left New York in 2013, but one day")
        return self._application.fill(self._world.source, files, self._display.note)

    def _check(self) -> None:
        code, document = processes.ask("check", self._world.file, timeout_s=PATIENCE_S)
        if code:
            raise DemoFailed(f"`ferryman check` finds faults: {document}")
        self._display.note("`ferryman check` finds no fault")

    def _copy(self, watch: Watch) -> None:
        """The snapshot, with changes while it runs, and both daemons killed in the middle of the largest table.

        On a machine that is faster than the eye the moment may be missed; then it is called by its name.
        """
        self._display.act("copying five tables, while the night of 8 February begins")
        self._start_daemons()
        self._play_until("00:00")
        total = watch.picture.rows["public.flights"].total
        watch.until(lambda p: p.rows["public.flights"].messages > 0.3 * total, "flights in the topic", PATIENCE_S)
        copying = watch.picture.rows["public.flights"].capture != "streaming"
        moment = "while it copies flights" if copying else "after it copied flights"
        self._strike(watch, crashes.daemon(self._world.capture), moment, "03:00")
        if copying:
            self._display.note("flights has no key: its one chunk is read again, after a truncate")
        watch.until(lambda p: p.rows["public.flights"].copied > 0.2 * total, "flights in the target", PATIENCE_S)
        moment = "in an open transaction" if self._until_writing() else "between two transactions"
        self._strike(watch, crashes.daemon(self._world.apply), moment, "03:30")
        self._play_until("04:45")
        watch.until(lambda p: p.loaded, "all tables are copied", PATIENCE_S)
        self._display.note(f"all {watch.picture.copied:,} rows are copied")

    def _play_the_day(self, watch: Watch) -> None:
        """Hour by hour; whatever is dead at the moment, the application at the source goes on."""
        self._display.act("8 February 2013: a blizzard closes the airports of New York")
        stack = self._world.stack
        self._play_until("07:30")
        self._strike(watch, crashes.daemon(self._world.capture), "in the morning rush", "10:00")
        self._play_until("11:00")
        self._strike(watch, crashes.daemon(self._world.apply), "right after new columns came", "13:30")
        self._play_until("14:00")
        self._strike(watch, crashes.server(stack, "kafka"), "as the evening is withdrawn", "15:30")
        self._play_until("17:00")
        self._strike(watch, crashes.server(stack, "target"), "in the middle of the storm", "20:00")
        self._play_until("22:00")
        self._strike(watch, crashes.server(stack, self._application.server), "in the night", "22:00")
        self._play_until("24:00")

    def _prove_equality(self) -> None:
        self._display.act("is everything there, and the same?")
        self._wait_until_caught_up()
        code, document = processes.ask("validate", self._world.file, timeout_s=PATIENCE_S)
        self.outcome.validated = code == 0 and document.get("equal") is True
        verdict = "all tables are equal" if self.outcome.validated else f"differences: {document}"
        self._display.note(f"`ferryman validate`: {verdict}")
        with self._target() as target:
            self.outcome.equalities = [self._application.compare(self._world.source, target, table) for table in TABLES]
        self.outcome.rows = sum(one.rows for one in self.outcome.equalities)
        self._display.note(
            f"every value compared once more: {self.outcome.rows:,} rows, {self.outcome.mismatches} differ"
        )

    def _prove_restart(self, watch: Watch) -> None:
        """A stop and a start in good order publish and apply nothing again."""
        self._display.act("does a restart do anything twice?")
        with self._target() as target:
            self._stop_daemons()
            before, seen = checks.stand(target, NAME, TABLES), watch.fresh()
            self._start_daemons()
            at_work = "both daemons have taken up their work"
            watch.until(lambda p: p.run > seen.run and p.epochs > seen.epochs, at_work, PATIENCE_S)
            self._wait_until_caught_up()
            self.outcome.reapplied = checks.since(target, NAME, TABLES, before)
            self.outcome.republished = watch.fresh().messages - seen.messages
        again = self.outcome.reapplied
        self._display.note(
            f"after the restart: {self.outcome.republished} messages published, {again.events} events applied, "
            f"{again.rows} row versions written"
        )

    # --- what the acts are made of -----------------------------------------------------------------------------------

    def _strike(self, watch: Watch, part: Part, moment: str, meanwhile_until: str) -> None:
        def meanwhile() -> None:
            self._display.died(part.name, moment)
            self._play_until(meanwhile_until)

        crash = crashes.strike(part, moment, watch, meanwhile)
        self.outcome.crashes.append(crash)
        self._display.returned(crash)

    def _until_writing(self) -> bool:
        """Wait for a moment in which apply has written and not committed; return whether it came."""
        with self._target() as target:
            return crashes.until_writing(target, BUSY_S)

    def _play_until(self, clock: str) -> None:
        """Play at the source what has not been played yet, up to a time of the day."""
        while self._ahead and self._ahead[0].clock <= clock:
            scene = self._ahead.popleft()
            time.sleep(PACE_S)
            rows = self._application.play(self._world.source, scene)
            self.outcome.changes += rows
            self.outcome.transactions += scene.commits
            self._display.scene(scene.clock, scene.title, rows)

    def _start_daemons(self) -> None:
        for daemon in (self._world.capture, self._world.apply):
            daemon.start()
            self._display.up(daemon.name)

    def _check_daemons(self) -> None:
        for daemon in (self._world.capture, self._world.apply):
            daemon.check()

    def _stop_daemons(self) -> None:
        for daemon in (self._world.apply, self._world.capture):
            code = daemon.stop()
            if code:
                raise DemoFailed(f"{daemon.name} ended with exit code {code} after SIGTERM")
        self._display.note("capture and apply ended with exit code 0 after SIGTERM, and start again")

    def _wait_until_caught_up(self) -> None:
        code, document = processes.ask(
            "wait", self._world.file, "--for", "caught-up", "--timeout", f"{PATIENCE_S:.0f}", timeout_s=PATIENCE_S + 60
        )
        if code:
            raise DemoFailed(f"`ferryman wait --for caught-up`: {document.get('reason') or document}")
        self._display.note(f"`ferryman wait --for caught-up`: after {document['waited_seconds']:.1f} s")

    def _target(self) -> psycopg.Connection[Any]:
        return postgres.connect(self._world.target, application_name=APPLICATION, autocommit=True)
