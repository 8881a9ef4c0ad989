"""Breakages of the command line's own promises: what a repair may write."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

OPERATE: Final = (
    Mutant(
        "a repair takes equal readings of a source without versions for proof",
        "operate/validate/repair.py",
        "unique = self._plan.versioned and bool(self._plan.key)",
        "unique = bool(self._plan.key)",
        "tests/integration/test_validate_mysql_repair.py::"
        "test_a_row_that_is_changed_and_changed_back_meanwhile_is_left_to_apply[mariadb]",
    ),
    Mutant(
        "a repair does not read the source a second time",
        "operate/validate/repair.py",
        "if self.first.get(one) != self.last.get(one):",
        "if False:",
        "tests/unit/operate/test_repair_histories.py::"
        "test_what_is_written_of_a_keyed_table_is_what_the_source_had_where_the_target_stands",
    ),
    Mutant(
        "rows are copied from the source as they are later",
        "operate/validate/mysql_origin.py",
        "for statement in _FROZEN:",
        "for statement in ():",
        "tests/integration/test_validate_mysql_repair.py::"
        "test_a_row_that_changes_between_reading_and_copying_is_copied_as_it_was_read[mariadb]",
    ),
    Mutant(
        "apply goes on while rows are repaired",
        "operate/validate/repair.py",
        "            self._hold_apply()\n",
        "",
        "tests/integration/test_validate_repair.py::test_apply_waits_while_rows_are_being_repaired",
    ),
)
