from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from operate import main as cli
from operate.commands.init import Answers, render
from runtime import config

REFERENCES = {"KAFKA": "b:9092", "SOURCE_URL": "postgresql://u@h/s", "TARGET_URL": "postgresql://u@h/t"}


def init(path: Path, *flags: str) -> int:
    return cli.main(["init", str(path), *flags])


def test_what_is_written_can_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in REFERENCES.items():
        monkeypatch.setenv(name, value)

    assert init(tmp_path / "shop.yaml") == 0

    pipeline = config.load(tmp_path / "shop.yaml", set(config.SECTIONS))
    assert pipeline.pipeline == "shop"
    assert pipeline.target.conninfo == "postgresql://u@h/t"


def test_every_line_that_is_commented_out_could_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (REFERENCES | {"KAFKA_PASSWORD": "pw"}).items():
        monkeypatch.setenv(name, value)
    init(tmp_path / "shop.yaml")
    (tmp_path / "secret").write_text("pw")
    text = (tmp_path / "shop.yaml").read_text().replace("/run/secrets/source-password", str(tmp_path / "secret"))
    lines = [line.replace("# ", "", 1) if line.lstrip().startswith("#") else line for line in text.splitlines()[1:]]
    (tmp_path / "all.yaml").write_text("\n".join(lines))

    pipeline = config.load(tmp_path / "all.yaml", set(config.SECTIONS))

    assert pipeline.kafka.properties["sasl.password"] == "pw"
    assert pipeline.topics.replication_factor == 3


def test_flags_say_what_goes_in(tmp_path: Path) -> None:
    flags = ["--pipeline", "orders", "--kafka", "b1:1,b2:2", "--source-url", "postgresql://u@h/s", "--include", "a.*"]

    assert init(tmp_path / "p.yaml", *flags, "--include", 'b."Odd #1"') == 0

    pipeline = config.load(tmp_path / "p.yaml", {"kafka", "source"})
    assert pipeline.kafka.bootstrap_servers == "b1:1,b2:2"
    assert pipeline.tables.matches("b", "Odd #1")


@pytest.mark.parametrize(
    "flags", [("--type", "mariadb", "--source-url", "mysql://u@h/"), ("--source-url", "mariadb://u@h/")]
)
def test_a_mysql_source_is_told_by_its_url_or_by_a_flag(tmp_path: Path, flags: tuple[str, ...]) -> None:
    assert init(tmp_path / "p.yaml", *flags, "--include", "shop.*") == 0

    source = config.load(tmp_path / "p.yaml", {"source"}).source
    assert (source.type, source.conninfo) == ("mariadb", "mysql://u@h:3306/")
    assert "server_id" in (tmp_path / "p.yaml").read_text()
    assert "replica_identity" not in (tmp_path / "p.yaml").read_text()


def test_a_password_in_a_mysql_url_is_kept_from_others(tmp_path: Path) -> None:
    init(tmp_path / "p.yaml", "--source-url", "mysql://u:secret@h/")

    assert (tmp_path / "p.yaml").stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_there_is_never_replaced_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("mine")

    assert init(path) == 2
    assert path.read_text() == "mine"
    assert init(path, "--force") == 0
    assert path.read_text() != "mine"


@pytest.mark.parametrize("flags", [["--pipeline", "Bad"], ["--include", "x"], ["--source-url", "no url"]])
def test_answers_that_are_faulty_leave_no_file_behind(tmp_path: Path, flags: list[str]) -> None:
    assert init(tmp_path / "p.yaml", *flags) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_a_password_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    init(tmp_path / "open.yaml")
    init(tmp_path / "closed.yaml", "--target-url", "postgresql://u:pw@h/t")

    assert (tmp_path / "open.yaml").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "closed.yaml").stat().st_mode & 0o777 == 0o600


def test_the_answer_in_json_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    init(tmp_path / "p.yaml", "--json")

    assert json.loads(capsys.readouterr().out) == {"path": str(tmp_path / "p.yaml")}


def test_the_schema_is_printed_and_nothing_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(tmp_path / "p.yaml", "--schema") == 0

    assert json.loads(capsys.readouterr().out)["title"] == "ferryman pipeline"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    assert init(tmp_path / "no" / "p.yaml") == 2


printable = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)


@settings(deadline=None)
@given(printable, printable)
def test_any_answer_is_read_back_as_it_was_given(kafka: str, include: str) -> None:
    data = yaml.safe_load(render(Path("p.yaml"), Answers(kafka=kafka, include=(include,))))

    assert data["kafka"]["bootstrap_servers"] == kafka
    assert data["tables"][0]["include"] == include
