"""What a repair may write, against a model: a source that is written to, and a target that follows at its leisure.

A repair writes what the source has now. That is right where the source had it, too, at the place where the target
stands; else the target would show what is yet to come, and then go back.
"""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operate.validate.compare import Seen, Sum
from operate.validate.repair import Readings

#: Few of either, so that rows are changed and changed back, and come and go, all the time.
IDS, VALUES = range(4), range(2)


class World:
    """A source's history, and a target that has applied some of it and was spoilt by somebody.

    Rows by their key; ``applied`` counts the events that the target has taken in, which gives each row that it writes
    another version.
    """

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.states: list[dict[int, int]] = [{}]
        self.written, self.applied, self.clock = Counter[int](), 0, 0
        self.target: dict[int, tuple[int, int]] = {}
        self.write(6)
        self.apply(to=len(self.states) - 1)
        for id_ in IDS:
            if self.random.random() < 0.5:
                self._put(id_, self.random.choice([*VALUES, 9, None]))

    def write(self, most: int) -> None:
        for _ in range(self.random.randrange(most + 1)):
            id_, state = self.random.choice(IDS), dict(self.states[-1])
            value = self.random.choice([*VALUES, None])
            state.pop(id_, None)
            if value is not None:
                state[id_] = value
            self.states.append(state)
            self.written[id_] += 1

    def apply(self, *, to: int) -> None:
        """Take events in, some of them at once: then only the last one of an id leaves a trace."""
        while self.applied < to:
            until = min(to, self.applied + self.random.choice([1, 1, 3]))
            before, after = self.states[self.applied], self.states[until]
            touched = {i for n in range(self.applied, until) for i in IDS if self._changed(n, i)}
            for id_ in touched | {i for i in IDS if before.get(i) != after.get(i)}:
                self._put(id_, after.get(id_))
            self.applied = until

    def _changed(self, number: int, id_: int) -> bool:
        return self.states[number].get(id_) != self.states[number + 1].get(id_)

    def _put(self, id_: int, value: int | None) -> None:
        self.clock += 1
        if value is None:
            self.target.pop(id_, None)
        else:
            self.target[id_] = value, self.clock

    def tick(self) -> None:
        self.write(3)
        self.apply(to=self.random.randint(self.applied, len(self.states) - 1))

    # --- readings ----------------------------------------------------------------------------------------------------

    def at_source(self, state: dict[int, int] | None = None, *, versioned: bool = False) -> dict[tuple[str, ...], Seen]:
        """Read the source; without versions, equal rows cannot be told apart."""
        now = self.states[-1] if state is None else state
        rows = [(id_, value, self.written[id_] if versioned else 0) for id_, value in now.items()]
        return self._seen(rows)

    def at_target(self) -> dict[tuple[str, ...], Seen]:
        return self._seen([(id_, *row) for id_, row in self.target.items()])

    def _seen(self, rows: list[tuple[int, int, int]]) -> dict[tuple[str, ...], Seen]:
        found: dict[tuple[str, ...], list[tuple[int, int]]] = {}
        for id_, value, version in rows:
            found.setdefault((str(id_),), []).append((value, version))
        return {one: Seen(Sum(len(some), sum(v for v, _ in some), 0), str(sorted(some))) for one, some in found.items()}


def a_round(world: World, *, versioned: bool) -> tuple[Readings, dict[tuple[str, ...], Seen]]:
    """Read as a repair does, while all goes on; return that, and the source's rows where the target stands."""
    before = world.at_target()
    world.tick()
    first, goal = world.at_source(versioned=versioned), len(world.states) - 1
    world.tick()
    world.apply(to=max(world.applied, goal))
    world.tick()
    there = world.at_target()
    world.write(3)
    last = world.at_source(versioned=versioned)
    return Readings(before, first, there, last), world.at_source(world.states[world.applied])


@pytest.mark.parametrize("versioned", [True, False])
@settings(max_examples=1_000)
@given(seed=st.integers(0, 2**32))
def test_what_is_written_of_a_keyed_table_is_what_the_source_had_where_the_target_stands(seed, versioned) -> None:
    readings, truth = a_round(World(seed), versioned=versioned)

    for one in {(str(id_),) for id_ in IDS}:
        if readings.settled(one, unique=versioned):
            early = one in readings.last and one not in readings.there  # deleting what is absent leaves no trace
            assert sums(readings.last, one) == sums(truth, one) or (early and not versioned)


@settings(max_examples=1_000)
@given(seed=st.integers(0, 2**32))
def test_rows_that_only_the_target_has_are_deleted_where_the_source_has_none(seed) -> None:
    readings, truth = a_round(World(seed), versioned=False)

    for one in readings.there:
        if readings.settled(one, unique=False) and one not in readings.last:
            assert one not in truth


@pytest.mark.parametrize("rule", ["the_target_s_versions", "equal_readings"])
def test_each_rule_taken_away_lets_the_target_see_what_is_yet_to_come(rule: str) -> None:
    broken = 0
    for seed in range(1_000):
        readings, truth = a_round(World(seed), versioned=False)
        for one in readings.there.keys() & readings.last.keys():
            trusting = Readings(readings.before, readings.last, readings.there, readings.last)
            free = rule == "the_target_s_versions"
            settled = readings.settled(one, unique=True) if free else trusting.settled(one, unique=False)
            broken += settled and sums(readings.last, one) != sums(truth, one)

    assert broken


def sums(seen: dict[tuple[str, ...], Seen], one: tuple[str, ...]) -> Sum:
    return seen[one].sum if one in seen else Sum(0, 0, 0)
