"""Downloads go through mvn once, whole or not at all."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from operate.local import java, maven
from runtime.errors import BadInput, Unreachable

if TYPE_CHECKING:
    from pathlib import Path

ARTIFACTS = [maven.Artifact("org.example", "a<b", "1.0"), maven.Artifact("org.example", "c", "2.0")]

#: Notes that it ran, and makes one jar in the folder that it is told.
WORKS = """\
echo run >> {notes}
for argument in "$@"; do case $argument in -DoutputDirectory=*) folder=${{argument#*=}};; esac; done
/bin/mkdir -p "$folder" && echo jar > "$folder/a.jar"
"""
FAILS = "echo run >> {notes}; echo '[ERROR] no such artifact'; echo '[ERROR] '; exit 1"


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which the fake Maven notes its runs."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("FERRYMAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(java, "find", lambda: java.Java("java", {}))
    (tmp_path / "notes").touch()
    return tmp_path / "notes"


def _install(notes: Path, script: str) -> None:
    client = notes.parent / "bin" / "mvn"
    client.write_text("#!/bin/sh\n" + script.format(notes=notes))
    client.chmod(0o755)


def _download(said: list[str] | None = None) -> Path:
    return maven.download("Some Server 1.0", ARTIFACTS, 1024, [].append if said is None else said.append)


def test_a_project_names_every_artifact() -> None:
    tree = ET.fromstring(maven.pom(ARTIFACTS))

    names = [node.text for node in tree.iter() if node.tag.endswith("artifactId")]
    assert names == ["download", "a<b", "c"]


def test_an_archive_comes_alone_and_a_jar_with_what_it_depends_on() -> None:
    archive = maven.Artifact("org.example", "server", "1.0", "tar.gz", "all")
    names = [tree.tag.rpartition("}")[2] for tree in ET.fromstring(maven.pom([archive])).iter()]
    jar = [tree.tag.rpartition("}")[2] for tree in ET.fromstring(maven.pom(ARTIFACTS)).iter()]

    assert [name for name in ("type", "classifier", "exclusions") if name not in names] == []
    assert {"type", "classifier", "exclusions"} & {*jar} == set()


def test_what_is_in_the_cache_is_not_downloaded_again(notes: Path) -> None:
    _install(notes, WORKS)
    said: list[str] = []

    first, second = _download(said), _download(said)

    assert first == second
    assert [jar.name for jar in first.iterdir()] == ["a.jar"]
    assert notes.read_text() == "run\n"
    assert len(said) == 1


def test_of_many_at_once_one_downloads(notes: Path) -> None:
    _install(notes, WORKS)

    with ThreadPoolExecutor(4) as pool:
        folders = list(pool.map(lambda _: _download(), range(4)))

    assert len(set(folders)) == 1
    assert notes.read_text() == "run\n"


def test_a_failed_download_leaves_nothing_behind_that_looks_whole(notes: Path) -> None:
    _install(notes, FAILS)

    with pytest.raises(Unreachable, match="no such artifact"):
        _download()
    _install(notes, WORKS)

    assert [jar.name for jar in _download().iterdir()] == ["a.jar"]


def test_without_maven_the_error_says_how_to_install_it(notes: Path) -> None:
    with pytest.raises(BadInput, match="mvn") as error:
        _download()
    assert "make setup" in error.value.fix


def test_the_cache_is_in_the_home_folder_unless_told_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("FERRYMAN_CACHE", raising=False)
    assert maven.cache_folder() == tmp_path / ".cache" / "ferryman"

    monkeypatch.setenv("FERRYMAN_CACHE", str(tmp_path / "elsewhere"))
    assert maven.cache_folder() == tmp_path / "elsewhere"
