"""Breakages of capture: saving, chunks, the merge, the order key."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_HISTORIES: Final = (
    "tests/unit/capture/test_snapshot_histories.py::"
    "test_every_random_history_with_crashes_ends_equal_and_is_consistent_at_every_prefix"
)
_UNSEEN: Final = (
    "tests/integration/test_capture_loading.py::"
    "test_what_happens_after_chunks_were_read_and_before_they_came_in_is_laid_over_them"
)
_CHUNKS: Final = "tests/integration/test_postgres_source_chunks.py::"
_PARTITIONS: Final = "tests/integration/test_postgres_source_partitions.py::"
_SLOT: Final = "tests/integration/test_postgres_source_slot.py::"

CAPTURE: Final = (
    Mutant(
        "a batch ends where it is full, in the middle of a transaction",
        "capture/source.py",
        "return rows >= most and (between or rows >= 2 * most)",
        "return rows >= most",
        "tests/contract/test_sources.py::"
        "test_a_reader_that_is_behind_stands_between_two_transactions_after_each_batch[mariadb]",
    ),
    Mutant(
        "changes that are logged as statements are passed over",
        "capture/sources/mysql/assembler.py",
        "self._lose(name, STATEMENT)",
        "pass",
        "tests/integration/test_mysql_source_stream.py::"
        "test_changes_that_a_session_logs_as_statements_make_their_table_a_loss_and_no_other[mariadb]",
    ),
    Mutant(
        "a rule may make the scale of a decimal another one",
        "runtime/type_rules.py",
        "column.type.kind is Kind.DECIMAL and column.type.scale == scale",
        "column.type.kind is Kind.DECIMAL",
        "tests/unit/runtime/test_type_rules.py::test_types_that_could_alter_a_value_are_refused_with_those_that_fit",
    ),
    Mutant(
        "the source is told before the position is saved",
        "capture/loop.py",
        'hit("capture.published")\n',
        'hit("capture.published")\n        run.source.confirm(run._resume)\n',
        _HISTORIES,
        17,
    ),
    Mutant(
        "a save does not wait for acknowledgements", "capture/loop.py", "run.publisher.flush()", "pass", _HISTORIES, 8
    ),
    Mutant(
        "the source is told as soon as the position is handed over",
        "capture/loop.py",
        "            if overdue or run.is_saved():\n",
        "            if True:\n",
        "tests/unit/capture/test_loop.py::"
        "test_a_save_begins_once_all_is_acknowledged_and_the_source_hears_of_it_once_it_is_durable",
        17,
    ),
    Mutant(
        "a table that changed since its record was handed over counts as saved",
        "capture/run.py",
        "state.saved = state.saved or state.record is record",
        "state.saved = True",
        "tests/unit/capture/test_run.py::test_a_table_that_changed_since_its_record_was_handed_over_is_saved_once_more",
        10,
    ),
    Mutant(
        "a message that timed out is passed over",
        "capture/publisher.py",
        "if self._failure is not None:\n            raise",
        "if False:\n            raise",
        "tests/unit/capture/test_publisher.py::test_a_message_that_could_not_be_delivered_in_time_is_told_of",
    ),
    Mutant(
        "visibility by number alone: what ran at the snapshot counts as seen",
        "capture/sources/postgres/visibility.py",
        "and xid not in self.running)",
        ")",
        "tests/unit/capture/test_postgres_visibility.py::test_seen_is_what_was_over_before_whatever_the_epoch",
        4,
    ),
    Mutant(
        "32-bit transaction ids are not widened",
        "capture/sources/postgres/visibility.py",
        "return self.xmax + (ahead if",
        "return xid if xid else (ahead if",
        "tests/unit/capture/test_postgres_visibility.py",
        4,
    ),
    Mutant(
        "a chunk is read without a lock",
        "capture/sources/postgres/chunks.py",
        'conn.execute(f"LOCK TABLE {quote(table.namespace, table.table)} IN ACCESS SHARE MODE")',
        "pass",
        f"{_CHUNKS}test_nothing_slips_in_between_a_chunk_s_snapshot_and_its_rows",
        1,
    ),
    Mutant(
        "the stream need not have come as far as a chunk",
        "capture/sources/postgres/chunks.py",
        'ChunkRead(schema, snapshot, {"lsn": upto}',
        'ChunkRead(schema, snapshot, {"lsn": 0}',
        f"{_CHUNKS}test_the_stream_must_pass_the_place_where_a_chunk_was_read",
        1,
    ),
    Mutant(
        "a plan outlives the file that it was made for",
        "capture/sources/postgres/plan.py",
        " if leaf.filenode == filenode else None",
        "",
        f"{_CHUNKS}test_a_rewritten_table_voids_its_plan",
        2,
    ),
    Mutant(
        "tracking has no fence",
        "capture/sources/postgres/source.py",
        'return {"xid": int(row[0]), "running": [int(xid) for xid in row[1]]}',
        'return {"xid": 0, "running": []}',
        "tests/acceptance/test_servers.py::"
        "test_a_commit_that_waits_for_a_standby_is_neither_lost_nor_doubled_by_a_snapshot",
        3,
    ),
    Mutant(
        "a chunk that is not after its fence counts",
        "capture/engine.py",
        "if not chunk.visibility.after(load.fence):",
        "if False:",
        _HISTORIES,
        3,
    ),
    Mutant(
        "a chunk of older columns is laid under newer events",
        "capture/engine.py",
        "if any(change.table != chunk.schema for change in unseen):",
        "if False:",
        f"{_UNSEEN}[column_0]",
        5,
    ),
    Mutant(
        "unseen events are not laid over a chunk",
        "capture/snapshot/track.py",
        "if not visibility.includes(transaction) for c in cs",
        "if False for c in cs",
        f"{_UNSEEN}[changed]",
        6,
    ),
    Mutant(
        "partly sent rows are subtracted from a chunk instead of merged",
        "capture/snapshot/overlay.py",
        "if change.partial is not None and origin is not None",
        "if False and origin is not None",
        "tests/unit/capture/test_overlay.py::test_a_patch_is_laid_over_the_row_that_the_chunk_saw",
        6,
    ),
    Mutant(
        "keys of partly sent rows are not read again",
        "capture/snapshot/track.py",
        "if change.partial is not None and (had or not rows_in):",
        "if False:",
        "tests/integration/test_capture_loading.py::test_rows_that_move_to_pages_that_were_read_already_are_read_by_key",
        7,
    ),
    Mutant(
        "chunks are published inside transactions",
        "capture/loop.py",
        "if batch.between:",
        "if True:",
        _HISTORIES,
        8,
    ),
    Mutant(
        "set-aside events are all published, seen or not",
        "capture/engine.py",
        "unseen = self._numbering.unseen(aside, chunk.visibility)",
        "unseen = aside",
        _HISTORIES,
        9,
    ),
    Mutant(
        "set-aside events keep their own position",
        "capture/snapshot/numbering.py",
        "block.table, [self._here()], self.incarnation, self.run, Origin.LOG,\n            ops=[block.ops[i] for i in keep], tx=[0] * n, ordinals=self._ordinals(n),",
        "block.table, block.transactions, self.incarnation, self.run, Origin.LOG,\n            ops=[block.ops[i] for i in keep], tx=[block.tx[i] for i in keep], ordinals=self._ordinals(n),",
        _HISTORIES,
        9,
    ),
    Mutant(
        "a snapshot opens before the stream has come to it",
        "capture/engine.py",
        "            and self._source.passed(state.floor)\n",
        "",
        _HISTORIES,
        10,
    ),
    Mutant(
        "an opening takes an earlier request's word for saved",
        "capture/engine.py",
        "            and state.saved\n",
        "",
        _HISTORIES,
        10,
    ),
    Mutant(
        "a position of the stream is a transaction's end",
        "capture/sources/postgres/assembler.py",
        "self._at = Transaction(begin.position,",
        "self._at = Transaction(begin.position + 48,",
        "tests/unit/capture/test_postgres_assembler.py",
        12,
    ),
    Mutant(
        "all runs are one run",
        "capture/snapshot/numbering.py",
        "self.incarnation, self.run = standing.incarnation, standing.run",
        "self.incarnation, self.run = standing.incarnation, 1",
        _HISTORIES,
        13,
    ),
    Mutant(
        "the run is missing from the order key",
        "schemas/order.py",
        "return _LAYOUT.pack(*self)",
        "return _LAYOUT.pack(*self._replace(run=0))",
        "tests/unit/schemas/test_order.py::test_packed_keys_compare_as_their_parts_do",
        13,
    ),
    Mutant(
        "a save of a replaced daemon counts",
        "schemas/positions.py",
        "elif record.run >= self.run:",
        "else:",
        "tests/unit/schemas/test_positions.py::test_what_a_replaced_daemon_saves_after_its_successor_s_start_is_void",
        13,
    ),
    Mutant(
        "ordinals of a snapshot begin again with each block",
        "capture/snapshot/numbering.py",
        "first = self._ordinal\n",
        "first = 0\n",
        _HISTORIES,
        14,
    ),
    Mutant(
        "a slot that is ahead of the saved position will do",
        "capture/sources/postgres/source.py",
        "if at is not None and state.confirmed > at:",
        "if False:",
        f"{_SLOT}test_a_slot_that_was_moved_ahead_is_lost_history",
    ),
    Mutant(
        "new files of all partitions are a TRUNCATE of their table",
        "capture/sources/postgres/partitions.py",
        "now[oid].written not in known.truncates",
        "known.leaves.keys() - known.moved(now)",
        f"{_PARTITIONS}test_rows_that_come_or_go_with_their_partition_lose_the_table",
    ),
    Mutant(
        "a partition that was away for a moment was there all the time",
        "capture/sources/postgres/partitions.py",
        "leaf.links not in (None, now[oid].leaf.links)",
        "False",
        f"{_PARTITIONS}test_that_is_noticed_also_when_capture_was_down",
    ),
    Mutant(
        "rows that the attaching transaction wrote before are in the log",
        "capture/sources/postgres/partitions.py",
        " OR cmin::text::bigint < {int(command)}",
        "",
        f"{_PARTITIONS}test_rows_that_come_or_go_with_their_partition_lose_the_table",
    ),
    Mutant(
        "a publication that was altered carries everything",
        "capture/sources/postgres/carried.py",
        "if before.publication != now.publication:",
        "if False:",
        f"{_SLOT}test_a_publication_that_was_altered_and_mended_while_capture_was_down_has_lost_its_tables",
    ),
    Mutant(
        "what the publication carried is forgotten while capture is down",
        "capture/sources/postgres/beside.py",
        "witness.load(saved.get(name, {}))",
        "witness.load(saved.get(name, {}) if name != 'carried' else {})",
        f"{_SLOT}test_a_publication_that_was_altered_and_mended_while_capture_was_down_has_lost_its_tables",
    ),
    Mutant(
        "a table put back into the publication was in it all the time",
        "capture/sources/postgres/carried.py",
        "before.place != now.place:",
        "False:",
        f"{_SLOT}test_a_table_that_was_taken_out_of_the_publication_and_put_back_has_lost_its_changes",
    ),
    Mutant(
        "a table's place in the publication is forgotten while it is out of it",
        "capture/sources/postgres/carried.py",
        "place=terms.place or self._place(oid)",
        "place=terms.place",
        f"{_SLOT}test_a_table_that_a_dba_took_out_and_put_back_has_lost_its_changes",
    ),
    Mutant(
        "a type change that rewrites values is none",
        "capture/sources/postgres/steps.py",
        'return f"column {name} changed its type"',
        "continue",
        "tests/unit/capture/test_postgres_steps.py::test_what_changes_rows_without_a_word_in_the_log_is_a_loss",
        23,
    ),
)
