from __future__ import annotations

import sys

import pytest

from runtime.errors import BadInput
from runtime.row_path import fewest_rows
from schemas.columnar.encode import FEWEST


@pytest.mark.parametrize(("path", "fewest"), [(None, FEWEST), ("columns", FEWEST), ("reference", sys.maxsize)])
def test_the_environment_says_from_how_many_rows_on_a_block_goes_by_column(
    monkeypatch: pytest.MonkeyPatch, path: str | None, fewest: int
) -> None:
    monkeypatch.delenv("FERRYMAN_ROW_PATH", raising=False)
    if path is not None:
        monkeypatch.setenv("FERRYMAN_ROW_PATH", path)
    assert fewest_rows() == fewest


def test_an_unknown_path_is_refused_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRYMAN_ROW_PATH", "fast")
    with pytest.raises(BadInput) as raised:
        fewest_rows()
    assert raised.value.fix == "set it to columns or reference, or unset it"
