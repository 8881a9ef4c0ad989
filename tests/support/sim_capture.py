"""The real engine, run and loop between a simulated source, pool, brokers and target, in one thread, by one seed.

Every call that the capture code makes lets the rest of the world go on a little, and may kill the daemon.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from pathlib import Path
from types import SimpleNamespace

from capture.loop import Loop
from capture.publisher import DeliveryFailed
from capture.run import Parts, Run
from schemas.control import ControlRecord
from schemas.order import OrderKey
from schemas.positions import Phase, Positions
from tests.support.sim_database import PROFILES, TABLES, Database, canonical
from tests.support.sim_parts import (
    Broken,
    Event,
    Killed,
    SimControl,
    SimPool,
    SimPositions,
    SimPublisher,
    SimSource,
    Target,
)

EVENTS = ["db", "worker", "target", "late", "command"]


class Settings:
    """What the loop is told; whether it is time to save, or high time, is for chance to say."""

    batch_rows, batch_wait_ms = 100, 0
    loop: Loop

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def save_interval_ms(self) -> float:
        chance = self._world.rng.random()
        if self._world.quiet or chance < 0.2:
            return 0
        return (self._world.ticks - self.loop.began_at) * 1000 if chance < 0.5 else float("inf")


class World:
    """Everything around one capture daemon. ``run(steps)`` plays a history and raises Broken when a promise fails."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.profile = PROFILES[seed % len(PROFILES)]
        self.db = Database(self.rng, self.profile)
        self.kills, self.rewinds = self.profile.kills, self.profile.rewinds
        self.wanted, self.adding = {"a", "u"}, {"a", "u"}
        self.db.published |= self.adding
        self.records: list[tuple[bytes, bytes]] = []
        self.requests: list[ControlRecord] = []
        self.topics: dict[str, list[Event]] = defaultdict(list)
        self.highest: dict[str, OrderKey] = {}
        self.known: dict[tuple[str, OrderKey], Event] = {}
        self.targets = {t: Target(t) for t in TABLES}
        self.at_history = dict.fromkeys(TABLES, 0)
        self.suspended: dict[str, int] = {}
        self.late: list[dict] = []
        self.late_saves: list = []
        self.current_run = 0
        self.confirmed = 0
        self.silence = 0  # topics that were made since the source last heard of us
        self._standing, self._folded = Positions(), 0
        self.ticks = 0.0
        self.quiet = False
        self.busy = False
        self.pool: SimPool | None = None
        self.counts: Counter = Counter()

    # --- the history ---

    def run(self, turns: int) -> None:
        while turns > 0:
            turns -= self._live(turns)
        self._settle()

    def _live(self, turns: int) -> int:
        """One daemon, until it dies or its turns are over."""
        run, done = self.new_run(), 1
        try:
            run.begin()
            run.settings.loop = loop = Loop(run, now=self._tick)
            while done < turns:
                loop.turn()
                done += 1
        except (Killed, DeliveryFailed) as end:
            self.counts[type(end).__name__] += 1
        finally:
            self.busy = True
            run.close()
            self.busy = False
        return done

    def _tick(self) -> float:
        self.ticks += 1
        return self.ticks

    def new_run(self) -> Run:
        source = SimSource(self)
        self.pool = SimPool(self, source)
        parts = Parts(source, SimPublisher(self), SimPositions(self), self.pool, lambda o: SimControl(self, o))
        config = SimpleNamespace(discover_seconds=0.0)
        pipeline = SimpleNamespace(pipeline="sim", capture=Settings(self), source=config)
        return Run(pipeline, parts, Path("/tmp"))

    def go_on(self) -> None:
        """Let everything else happen for a while; perhaps the daemon dies."""
        if self.busy:
            return
        for _ in range(self.rng.choice([0, 1, 2, 5])):
            what = self.rng.choices(EVENTS, self.profile.events)[0]
            if what == "db" and not self.quiet:
                self.db.step()
            elif what == "worker" and self.pool is not None:
                self.pool.step()
            elif what == "target":
                self._consume(self.rng.choice(sorted(TABLES)), self.rng.choice([1, 3, 30, 10_000]))
            elif what == "late":
                self._land_late()
            elif what == "command" and not self.quiet:
                self._command()
        if self.rng.random() < self.kills:
            raise Killed

    def _settle(self) -> None:
        """No more changes and no more faults: everything must come to rest, and be equal."""
        self.db.finish()
        for table in TABLES:
            self._ask(table)
        while self.late or self.late_saves:
            self._land_late()
        self.quiet, self.kills, self.rewinds = True, 0.0, 0.0
        self._live(400)
        for table, target in self.targets.items():
            self._consume(table, 1_000_000, certain=True)
            if canonical(target.state) != self.db.history[table][-1]:
                raise Broken(f"{table}: target {canonical(target.state)}, source {self.db.history[table][-1]}")
            record = self.positions().tables[table]
            if record.phase is not Phase.STREAMING:
                raise Broken(f"{table} never finished loading: {record}")
            if target.mark.pack() < bytes.fromhex(record.loaded):
                raise Broken(f"{table}: its loaded key {record.loaded} never came")

    # --- commands: a table added, a resync, a gap and then a resync ---

    def _command(self) -> None:
        table = self.rng.choice("aubb")
        if table in self.wanted and table in self.db.published and self.rng.random() < 0.4:
            self.db.published.discard(table)
            self.adding = self.adding - {table}
            self.suspended[table] = 1 << 60
        else:
            self._ask(table)

    def _ask(self, table: str) -> None:
        self.wanted = self.wanted | {table}
        self.adding = self.adding | {table}
        if table in self.db.published and table not in self.suspended and self.rng.random() < 0.5:
            return
        self.db.published.add(table)
        self.requests.append(ControlRecord("resync", (table,)))
        if table in self.suspended:
            self.suspended[table] = self._generation_asked(table)

    def _generation_asked(self, table: str) -> int:
        """The generation that the newest request makes: what is saved, and one for each request not yet obeyed."""
        standing = self.positions()
        offset = standing.stream.control_offset if standing.stream else 0
        saved = standing.tables[table].generation if table in standing.tables else 1
        return saved + sum(table in request.tables for request in self.requests[offset:])

    # --- brokers ---

    def append(self, topic: str, event: Event, run: int) -> None:
        top = self.highest.get(topic)
        if top is not None and event.order <= top:
            if run == self.current_run and self.known.get((topic, event.order)) != event:
                raise Broken(f"{topic}: {event} is new but not above {top}: apply will drop it")
        else:
            self.highest[topic] = event.order
            self.known[topic, event.order] = event
        self.topics[topic].append(event)

    def _land_late(self) -> None:
        if self.late_saves:
            self.records += self.late_saves.pop(0)
        elif self.late:
            queues = self.rng.choice(self.late)
            topic = self.rng.choice(sorted(queues))
            self.append(topic, queues[topic].pop(0), -1)
            if not queues[topic]:
                del queues[topic]
            if not queues:
                self.late.remove(queues)

    def positions(self) -> Positions:
        """What stands in the positions topic; folded on from where the last call ended."""
        for offset in range(self._folded, len(self.records)):
            self._standing.add(offset, *self.records[offset])
        self._folded = len(self.records)
        return self._standing

    def pool_locks_released(self) -> None:
        if self.pool is not None:
            self.pool.close()

    def note_tx(self, xid: int) -> None:
        self.counts["transactions"] += 1

    # --- target ---

    def _consume(self, table: str, limit: int, *, certain: bool = False) -> None:
        target = self.targets[table]
        topic = self.topics.get(f"sim.s.{table}", [])
        for _ in range(20 if certain else 1):
            target.apply(topic, limit, self.rng)
        self._check(table, target)

    def _check(self, table: str, target: Target) -> None:
        """A loaded table equals the source at some commit point, and never moves back."""
        record = self.positions().tables.get(table)
        if record is None or record.phase is not Phase.STREAMING or target.mark.pack() < bytes.fromhex(record.loaded):
            return
        if table in self.suspended:
            if record.generation < self.suspended[table]:
                return
            del self.suspended[table]
        self.counts["checks"] += 1
        history, got = self.db.history[table], canonical(target.state)
        for i in range(self.at_history[table], len(history)):
            if history[i] == got:
                self.at_history[table] = i
                return
        raise Broken(f"{table}: {got} is no state of the source at or after {self.at_history[table]}")
