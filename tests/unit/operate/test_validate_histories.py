"""Comparison against a model: two tables that differ in known rows while changes flow from one to the other."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict, deque
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operate.validate.compare import Entry, Seen, Sum
from operate.validate.queries import EVERYTHING
from operate.validate.shape import Place, Plan
from operate.validate.table import Comparison

PLACE = Place("public", "t", partitioned=False, key_types=())


def a_plan(*, key: bool, ranged: bool, rows: int = 400, range_rows: int = 50) -> Plan:
    return Plan(PLACE, PLACE, ("id", "v"), ("id",) if key else (), ranged, rows, range_rows, portable=False)


def digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


class Table:
    """Rows by an address that is never used again, each with its key, its value and the version of its last write."""

    def __init__(self, *, keyed: bool) -> None:
        self.keyed, self.rows, self.writes = keyed, {}, 0

    def put(self, address, key, value) -> None:
        self.writes += 1
        self.rows[address] = (key, value, self.writes)

    def identify(self, key, value) -> tuple[str, ...]:
        return (str(key),) if self.keyed else (str(digest(f"{key} {value}")), "")


class FakeSide:
    """A side in memory; the world goes on a little before every reading."""

    def __init__(self, world, table, *, still: bool = False) -> None:
        self.world, self.table, self.still = world, table, still

    def _within(self, bounds):
        if not self.still:
            self.world.tick()
        low = int(bounds.low[0]) if bounds.low else None
        high = int(bounds.high[0]) if bounds.high else None
        for key, value, version in list(self.table.rows.values()):
            if (low is None or key > low) and (high is None or key <= high):
                one = self.table.identify(key, value)
                yield one, digest(repr(one)), Sum(1, digest(f"0 {key} {value}"), digest(f"1 {key} {value}")), version

    def border(self, low, rows):
        keys = sorted(key for key, _, _ in self.table.rows.values() if low is None or key > int(low[0]))
        return (str(keys[rows - 1]),) if len(keys) >= rows else None

    def total(self, bounds):
        return add(s for _, _, s, _ in self._within(bounds))

    def buckets(self, bounds, mask):
        found = defaultdict(list)
        for _, hashed, s, _ in self._within(bounds):
            found[hashed & mask].append(s)
        return {bucket: add(sums) for bucket, sums in found.items()}

    def entries(self, bounds, mask, buckets):
        found = defaultdict(list)
        for one, hashed, s, _ in self._within(bounds):
            if buckets is None or hashed & mask in buckets:
                found[hashed, one].append(s)
        return iter([Entry(hashed, one, add(sums)) for (hashed, one), sums in sorted(found.items())])

    def lookup(self, ids):
        found, wanted = defaultdict(list), set(ids)
        for one, _, s, version in self._within(EVERYTHING):
            if one in wanted:
                found[one].append((s, version))
        return {one: Seen(add(s for s, _ in rows), str(sum(v for _, v in rows))) for one, rows in found.items()}


def add(sums) -> Sum:
    rows = list(sums)
    return Sum(len(rows), sum(s.first for s in rows), sum(s.second for s in rows))


class World:
    """A source that is written to, a log, and a target that applies the log whenever it likes."""

    def __init__(self, seed: int, *, keyed: bool, rows: int = 300, busy: float = 0.5) -> None:
        self.random, self.busy = random.Random(seed), busy
        self.source, self.target = Table(keyed=keyed), Table(keyed=keyed)
        self.log, self.keyed, self.next_address = deque(), keyed, 10_000
        self.watch = lambda: None
        self.committed = self.applied = 0
        for key in range(0, rows * 10, 10):
            value = self.random.randrange(4)
            for table in (self.source, self.target):
                table.put(key, key if keyed else key // 50, value)
        # Without a key, rows that are written and planted ones must not be each other's duplicates.
        wild = [address for address in self.source.rows if keyed or address < 1500]
        self.hot = {address for address in wild if self.random.random() < 0.05}
        self.planted = {"missing": 0, "extra": 0, "different": 0}

    def plant(self, count: int) -> None:
        """Make so many rows of the target wrong, none of which is ever written again."""
        quiet = sorted(a for a in self.source.rows.keys() - self.hot if self.keyed or a >= 1500)
        for address in self.random.sample(quiet, count):
            kind = self.random.choice(["missing", "extra", "different"])
            key, value, _ = self.target.rows[address]
            if kind == "missing":
                del self.target.rows[address]
            elif kind == "extra":
                self.target.put(address + 5, key + 5 if self.keyed else -1, "planted")
            else:
                self.target.put(address, key, f"{value} planted {address}")
            if kind == "different" and not self.keyed:
                self.planted["missing"] += 1
                self.planted["extra"] += 1
            else:
                self.planted[kind] += 1

    def tick(self) -> None:
        while self.random.random() < self.busy:
            self._write()
            if self.random.random() < 0.8:
                self.watch()
        if self.random.random() < 0.3:  # in bursts, so that the target is a good deal behind
            for _ in range(self.random.randrange(15)):
                self._apply()

    def _write(self) -> None:
        if not self.hot:
            return
        address = self._address()
        if address in self.source.rows and self.random.random() < 0.5:
            change = (address, None, None)
            del self.source.rows[address]
        else:
            key = address if self.keyed else address // 50 % 30
            change = (address, key, self.random.randrange(2))
            self.source.put(*change)
        self.log.append(change)
        self.committed += 1

    def _address(self) -> int:
        """Return where to write: at a row known to be written often, or one that has just been there or never was."""
        if self.keyed or self.random.random() < 0.5:
            return self.random.choice(sorted(self.hot))
        if self.random.random() < 0.5:
            self.next_address += 1
        return self.next_address

    def _apply(self) -> None:
        if self.log:
            address, key, value = self.log.popleft()
            self.applied += 1
            if key is None:
                self.target.rows.pop(address, None)
            else:
                self.target.put(address, key, value)

    def catch_up(self) -> bool:
        mark = self.committed
        while self.applied < mark:
            self.tick()
        return True

    @contextmanager
    def watching(self, _plan, look):
        side = FakeSide(self, self.source, still=True)
        self.watch = lambda: look(side)
        yield
        self.watch = lambda: None

    def compare(self, plan: Plan):
        source, target = FakeSide(self, self.source), FakeSide(self, self.target)

        def start(_plan, task):
            answer = task(source), task(target)
            return lambda: answer

        sides = SimpleNamespace(source=source, target=target)
        crew = SimpleNamespace(sides=lambda _plan: sides, start=start, pairs=2, watching=self.watching)
        return Comparison(plan, crew, self).run()


METHODS = pytest.mark.parametrize(
    "plan",
    [
        pytest.param(a_plan(key=True, ranged=True), id="key-ranges"),
        pytest.param(a_plan(key=True, ranged=False), id="key-buckets"),
        pytest.param(a_plan(key=False, ranged=False), id="keyless"),
    ],
)


@METHODS
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(0, 40))
def test_planted_rows_are_counted_exactly_while_other_rows_change(plan, seed, count):
    world = World(seed, keyed=bool(plan.key))
    world.plant(count)

    tally = world.compare(plan)

    assert {"missing": tally.missing, "extra": tally.extra, "different": tally.different} == world.planted


@METHODS
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(0, 40))
def test_tables_at_rest_are_counted_to_the_row(plan, seed, count):
    world = World(seed, keyed=bool(plan.key), busy=0)
    world.plant(count)

    tally = world.compare(plan)

    assert (tally.rows, tally.target_rows) == (len(world.source.rows), len(world.target.rows))
    assert tally.equal == (count == 0)


@METHODS
def test_an_empty_target_lacks_every_row_and_an_empty_source_has_none(plan):
    empty_target, empty_source = (World(seed, keyed=bool(plan.key), busy=0) for seed in (1, 2))
    empty_target.target.rows.clear()
    empty_source.source.rows.clear()

    lacking, surplus = empty_target.compare(plan), empty_source.compare(plan)

    assert (lacking.rows, lacking.missing, lacking.extra, lacking.different) == (300, 300, 0, 0)
    assert (surplus.rows, surplus.missing, surplus.extra, surplus.different) == (0, 0, 300, 0)


@METHODS
def test_two_empty_tables_are_equal(plan):
    world = World(1, keyed=bool(plan.key), rows=0, busy=0)

    assert world.compare(plan).equal


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_rows_that_change_all_the_time_are_met_by_looking_often(seed):
    world = World(seed, keyed=True, rows=100, busy=0.7)

    assert world.compare(a_plan(key=True, ranged=True)).equal


def test_a_pipeline_that_stands_still_lets_differences_be_counted_as_they_are():
    world = World(3, keyed=True, busy=0)
    world.plant(7)
    world.catch_up = lambda: False

    tally = world.compare(a_plan(key=True, ranged=True))

    assert {"missing": tally.missing, "extra": tally.extra, "different": tally.different} == world.planted
