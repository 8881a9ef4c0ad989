from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtime import pipeline_file
from runtime.errors import ConfigError, Fault

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def faults(tmp_path: Path):
    def _faults(text: str | bytes) -> list[Fault]:
        path = tmp_path / "p.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(ConfigError) as caught:
            pipeline_file.read(path)
        return caught.value.faults

    return _faults


def test_a_key_that_stands_twice_is_a_fault_at_both_lines(faults) -> None:
    found = faults("a: 1\nb:\n  - c: 1\n    c: 2\na: 3\n")

    assert [(fault.where, fault.what) for fault in found] == [
        ("b[0].c", "stands twice: lines 3 and 4"),
        ("a", "stands twice: lines 1 and 5"),
    ]


def test_yaml_that_cannot_be_read_names_line_and_column_and_quotes_nothing(faults) -> None:
    (fault,) = faults("pipeline: shop\npassword: canary: x\n")

    assert "line 2, column 17" in fault.what
    assert "canary" not in fault.what


def test_a_tag_that_would_make_objects_is_refused(faults) -> None:
    (fault,) = faults("a: !!python/object/apply:os.system [true]\n")

    assert "YAML cannot be read" in fault.what


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n", "just text\n"])
def test_a_file_without_settings_is_a_fault(faults, text: str) -> None:
    assert faults(text)[0].what == "holds no settings"


def test_a_file_that_is_no_text_is_a_fault(faults) -> None:
    assert "not UTF-8" in faults(b"\xff\xfe")[0].what


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        pipeline_file.read(tmp_path / "absent.yaml")

    assert "No such file" in caught.value.what


def test_places_are_spelled_as_people_write_them() -> None:
    assert pipeline_file.spell(("tables", 0, "include", 2)) == "tables[0].include[2]"
