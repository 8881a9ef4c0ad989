"""A stack keeps to its folder."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

from operate.local import kafka, mariadb, mysql
from operate.local.stack import ADDRESSES, SERVERS, Stack
from operate.main import main
from runtime.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path


def test_a_service_that_is_not_built_in_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="oracle is not available") as error:
        Stack(tmp_path, ["kafka", "oracle"])
    assert "postgresql" in error.value.fix


def test_where_nothing_runs_every_address_is_null_and_down_does_nothing(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "none")

    assert stack.addresses == {"dir": str(tmp_path / "none")} | dict.fromkeys(ADDRESSES)
    assert stack.down() == []
    assert not stack.folder.exists()


def test_every_server_has_an_address_in_the_document() -> None:
    assert set(SERVERS) <= set(ADDRESSES)


def test_a_folder_with_other_things_is_neither_used_nor_deleted(tmp_path: Path) -> None:
    work = tmp_path / "target" / "work"
    work.parent.mkdir()
    work.write_text("a week of it")
    stack = Stack(tmp_path)

    with pytest.raises(BadInput, match="other things"):
        stack.up()
    stack.down()
    stack.remove()

    assert work.read_text() == "a week of it"


def test_a_folder_that_is_named_for_mariadb_must_hold_its_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERRYMAN_MARIADB", str(tmp_path))
    with pytest.raises(BadInput, match="has no bin/mariadbd"):
        mariadb.programs(mariadb.MariaDB(tmp_path / "server"))

    for program in mariadb.PROGRAMS:
        (tmp_path / program).parent.mkdir(exist_ok=True)
        (tmp_path / program).touch()
    assert mariadb.programs(mariadb.MariaDB(tmp_path / "server")) == tmp_path


@pytest.mark.parametrize(
    ("said", "what"),
    [("mariadbd  Ver 11.4.5-MariaDB", "this is not MySQL's server"), (None, "there is no mysqld on this machine")],
)
def test_only_a_mysqld_of_mysql_is_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None, what: str
) -> None:
    monkeypatch.delenv("FERRYMAN_MYSQLD", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    if said:
        (tmp_path / "mysqld").write_text(f"#!/bin/sh\necho '{said}'\n")
        (tmp_path / "mysqld").chmod(0o755)

    with pytest.raises(BadInput, match=what):
        mysql.program()


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("bin/mariadbd", True),
        ("share/mariadb_system_tables.sql", True),
        ("share/english/errmsg.sys", True),
        ("share/danish/errmsg.sys", False),
        ("bin/mariadb-dump", False),
        ("libs/libmariadbclient.a", False),
    ],
)
def test_of_mariadb_s_archive_only_what_a_server_needs_is_unpacked(path: str, *, wanted: bool) -> None:
    assert mariadb.needed(PurePosixPath(path)) == wanted


def test_kafka_settings_are_written_as_java_properties() -> None:
    assert kafka.render({"b": "1", "a": "C:\\data"}) == "a=C:\\\\data\nb=1\n"


def test_kafka_listens_on_loopback_alone(tmp_path: Path) -> None:
    settings = kafka.Kafka(tmp_path).settings()

    addresses = [part.split("://")[1] for part in settings["listeners"].split(",")]
    assert [address.rpartition(":")[0] for address in addresses] == ["127.0.0.1", "127.0.0.1"]


def test_env_without_a_stack_says_how_to_start_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["local", "env", "--dir", str(tmp_path)]) == 3
    assert "ferryman local up" in capsys.readouterr().err


def test_up_with_an_unknown_service_is_bad_input_in_json_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["local", "up", "--with", "oracle", "--dir", str(tmp_path / "stack"), "--json"]) == 2
    assert "oracle" in json.loads(capsys.readouterr().out)["error"]["what"]


def test_down_without_a_stack_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["local", "down", "--dir", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"dir": str(tmp_path), "stopped": []}
