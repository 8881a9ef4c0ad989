"""The list of mutants is in step with the code: each can be applied, and its test is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.mutants.mutant import Mutant
from tests.mutants.protocol import MUTANTS
from tests.mutants.run import is_stale

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_s_text_stands_in_its_file_exactly_once(mutant: Mutant) -> None:
    assert not is_stale(mutant), f"{mutant.file} does not hold this once: {mutant.old!r}"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_test_that_must_catch_a_mutant_exists(mutant: Mutant) -> None:
    file, _, name = mutant.test.partition("::")
    text = (ROOT / file).read_text()

    assert not name or re.search(rf"^def {re.escape(name.partition('[')[0])}\(", text, re.MULTILINE)


def test_mutants_have_names_of_their_own_and_break_all_three_rooms() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 25
    assert {"capture", "schemas", "apply"} <= {Path(mutant.file).parts[0] for mutant in MUTANTS}
