"""Breakages of apply: checkpoint, fencing, end marks, plans."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_PARTITION: Final = (
    "tests/unit/apply/test_partition.py::test_every_event_is_handed_out_once_and_commits_end_at_end_marks"
)
_TRANSACTION: Final = "tests/integration/test_apply_transaction.py::"
_SUBSCRIPTION: Final = "tests/unit/apply/test_subscription.py::"
_CONSTRAINTS: Final = "tests/integration/test_apply_constraints.py::"
_FLOW: Final = "tests/integration/test_apply_flow.py::"

APPLY: Final = (
    Mutant("dedupe off", "apply/waiting.py", "if order > mark:", "if True:", _PARTITION, 19),
    Mutant(
        "dedupe off where events come by column",
        "schemas/columnar/received.py",
        "if not len(keys) or (self.order(0)",
        "if True or (self.order(0)",
        "tests/unit/schemas/test_columnar_decode.py::test_which_events_are_above_a_mark_is_told_as_one_by_one",
        19,
    ),
    Mutant(
        ">= for > at the high-water mark", "apply/waiting.py", "if order > mark:", "if order >= mark:", _PARTITION, 19
    ),
    Mutant(
        "the high-water mark does not move within a batch",
        "apply/waiting.py",
        "            mark = order\n            kept",
        "            kept",
        _PARTITION,
        19,
    ),
    Mutant(
        "the end mark is ignored",
        "apply/waiting.py",
        "np.flatnonzero(np.asarray(received.last, np.bool_))",
        "np.arange(len(received))",
        _PARTITION,
        18,
    ),
    Mutant(
        "the checkpoint is committed after the data",
        "apply/transaction.py",
        'failpoints.hit("apply.before_checkpoint")',
        'self._session.commit()\n        failpoints.hit("apply.before_checkpoint")',
        "tests/integration/test_apply_crashes.py",
    ),
    Mutant(
        "no fencing: any epoch may write",
        "apply/checkpoint.py",
        "AND epoch = %s FOR UPDATE",
        "AND epoch >= %s FOR UPDATE",
        f"{_TRANSACTION}test_an_owner_that_was_replaced_writes_nothing_more",
    ),
    Mutant(
        "no fencing where tables share a transaction",
        "apply/checkpoint.py",
        "USING (pipeline, topic, partition, epoch)",
        "USING (pipeline, topic, partition)",
        "tests/integration/test_apply_sharing.py::test_a_table_that_another_replica_took_is_written_by_that_one_alone",
    ),
    Mutant(
        "a takeover does not raise the epoch",
        "apply/checkpoint.py",
        "epoch = c.epoch + 1",
        "epoch = c.epoch",
        f"{_TRANSACTION}test_an_owner_that_was_replaced_writes_nothing_more",
    ),
    Mutant(
        "an owner that stands still keeps its session",
        "apply/checkpoint.py",
        "SELECT pid, pg_terminate_backend(pid) FROM",
        "SELECT pid, pid FROM",
        f"{_TRANSACTION}test_an_owner_that_stands_still_in_a_transaction_loses_its_session",
    ),
    Mutant(
        "a commit whose answer was lost is done again",
        "apply/transaction.py",
        "if standing[:2] != known[:2]:",
        "if False:",
        f"{_TRANSACTION}test_a_commit_whose_answer_was_lost_is_found_in_the_checkpoint",
    ),
    Mutant(
        "an event of another table is taken for one of this",
        "apply/work.py",
        "if self.table not in (named, self.place.topic):",
        "if False:",
        "tests/unit/apply/test_events.py::test_an_event_of_another_table_cannot_be_read_in_this_ones_topic",
    ),
    Mutant(
        "a gap is jumped over",
        "runtime/kafka.py",
        '"auto.offset.reset": "error"',
        '"auto.offset.reset": "earliest"',
        f"{_FLOW}test_events_lost_to_retention_make_the_table_wait_for_a_new_snapshot",
    ),
    Mutant(
        "a subscription removes and adds at once",
        "apply/subscription.py",
        "return self._current | self._wanted",
        "return self._wanted",
        f"{_SUBSCRIPTION}test_topics_come_before_others_go",
    ),
    Mutant(
        "a subscription is changed before the group has answered",
        "apply/subscription.py",
        "if now < self._patient_until:",
        "if False:",
        f"{_SUBSCRIPTION}test_nothing_is_changed_as_long_as_the_group_has_not_answered",
    ),
    Mutant(
        "topics that the group leaves over are not asked for",
        "apply/subscription.py",
        "return self._current - lost if lost else None",
        "return None",
        f"{_SUBSCRIPTION}test_what_no_member_has_is_left_and_taken_up_again",
    ),
    Mutant(
        "a topic made anew is taken for the old one",
        "apply/ownership.py",
        "recreated = known.topic_id != work.topic_id",
        "recreated = False",
        f"{_FLOW}test_a_topic_made_anew_is_not_taken_for_the_old_one",
    ),
    Mutant(
        "an event that cannot be read is skipped",
        "apply/work.py",
        "            if partition.awaiting:\n",
        "            if True:\n",
        f"{_FLOW}test_an_event_that_cannot_be_read_blocks_its_table_after_all_before_it",
    ),
    Mutant(
        "an opening does not empty the table",
        "apply/writer.py",
        "self._session.run(self._sql.truncate())",
        "pass",
        f"{_TRANSACTION}test_an_opening_empties_what_ferryman_made_or_filled",
        10,
    ),
    Mutant(
        "an opening empties rows that are not ferryman's",
        "apply/transaction.py",
        "if not catalog.is_empty(",
        "if False and not catalog.is_empty(",
        f"{_TRANSACTION}test_an_opening_does_not_empty_rows_that_ferryman_did_not_write",
        10,
    ),
    Mutant(
        "a foreign key that is added meanwhile acts once before it is seen",
        "apply/transaction.py",
        "catalog.expect_triggers(self._session, self._written)",
        "pass",
        f"{_CONSTRAINTS}test_a_foreign_key_that_is_added_meanwhile_removes_nothing",
    ),
    Mutant(
        "a table goes on that a foreign key of another one acts upon",
        "apply/evolution.py",
        "if state.has_rows(session, spell(namespace, name)):",
        "if False:",
        f"{_CONSTRAINTS}test_a_foreign_key_that_is_added_meanwhile_removes_nothing",
    ),
    Mutant(
        "changes of rows that are not there are passed over",
        "apply/transaction.py",
        "if missing and not self._batch.loading:",
        "if False:",
        f"{_TRANSACTION}test_part_of_a_row_that_is_not_there_passes_only_while_the_table_loads",
        7,
    ),
    Mutant(
        "an old word of completeness counts for a new snapshot",
        "apply/partition.py",
        "if order is not None and order >= self._opened_at else None",
        "if order is not None else None",
        "tests/unit/apply/test_partition.py::test_a_new_opening_makes_an_older_word_of_completeness_void",
        11,
    ),
    Mutant(
        "a key update is a delete and an insert",
        "apply/rows.py",
        "if not change.key_change:",
        "if True:",
        "tests/unit/apply/test_planner.py::test_any_batches_of_a_history_leave_the_source_rows_in_the_target",
    ),
    Mutant(
        "rows that swap their keys are updated one after the other",
        "apply/rows.py",
        "return any(key in left for key, base in moved if base != key)",
        "return False",
        "tests/unit/apply/test_planner.py::test_a_swap_of_keys_with_unsent_columns_lifts_the_rows_out",
    ),
    Mutant(
        "a key that a row passed through keeps the row that stood there",
        "apply/rows.py",
        "            self._vacate(standing)\n",
        "",
        "tests/unit/apply/test_planner.py::test_a_key_that_a_row_passed_through_is_cleared",
    ),
    Mutant(
        "of equal rows all are erased instead of one",
        "apply/sql.py",
        "AND f.nth <= f.n",
        "",
        "tests/integration/test_apply_writer.py::test_equal_texts_of_different_spelling_count_together",
    ),
    Mutant(
        "a straight COPY doubles rows that exist",
        "apply/writer.py",
        "elif not (created and self._copied(rows)):",
        "elif created:\n            self._copy(rows)\n        else:",
        "tests/integration/test_apply_writer.py::test_rows_that_exist_after_all_are_replaced",
        21,
    ),
    Mutant(
        "a new column forgets the value of older rows",
        "apply/evolution.py",
        "if column.missing is None:",
        "if True:",
        "tests/unit/apply/test_evolution.py::test_a_new_column_brings_the_value_that_older_rows_have",
        23,
    ),
)
