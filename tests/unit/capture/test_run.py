"""What a run takes for saved; the simulated histories try everything else of it."""

from __future__ import annotations

from tests.support.sim_capture import World


def test_a_table_that_changed_since_its_record_was_handed_over_is_saved_once_more() -> None:
    world = World(0)
    world.kills = world.rewinds = 0.0
    run = world.new_run()
    run.begin()
    run.read(0)
    changed, same = run.engine.tables["a"], run.engine.tables["u"]
    handed_over = changed.record

    run.save()
    changed.request("a resync was asked for")
    run.settle()

    assert (changed.saved, same.saved, run.dirty) == (False, True, True)
    assert world.positions().tables["a"] == handed_over
    run.save()
    run.settle()
    assert changed.saved
    assert world.positions().tables["a"] == changed.record
