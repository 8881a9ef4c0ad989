from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from capture.source import SourceError, SourceUnavailable
from operate import main as cli
from operate import prerequisites
from operate.prerequisites import Findings
from runtime.errors import Fault, Refused, Unreachable

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """\
pipeline: shop
kafka: {bootstrap_servers: "127.0.0.1:1"}
source: {type: postgresql, url: "postgresql://u@127.0.0.1:1/d"}
target: {url: "postgresql://u@127.0.0.1:1/d"}
tables: [{include: public.*}]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(GOOD)
    return path


@pytest.fixture
def systems(monkeypatch: pytest.MonkeyPatch):
    """Let each system's check return what is said here, or raise it."""

    def _systems(
        kafka: list[Fault] | Exception = [],  # noqa: B006 - nobody changes it
        source: Findings | Exception = Findings([]),  # noqa: B008 - as above
        target: list[Fault] | Exception = [],  # noqa: B006 - as above
    ) -> None:
        answers = {"kafka_faults": kafka, "source_findings": source, "target_faults": target}
        for name, answer in answers.items():

            def check(*_: object, answer: Any = answer) -> Any:
                if isinstance(answer, Exception):
                    raise answer
                return answer

            monkeypatch.setattr(prerequisites, name, check)

    return _systems


def check(file: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict]:
    code = cli.main(["check", str(file), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_nothing_found_is_ok(file: Path, systems, capsys: pytest.CaptureFixture[str]) -> None:
    systems()

    assert check(file, capsys) == (0, {"ok": True, "faults": [], "warnings": []})


def test_faults_of_all_systems_are_reported_at_once(file: Path, systems, capsys: pytest.CaptureFixture[str]) -> None:
    systems(
        kafka=[Fault("kafka", "k", "kf")],
        source=Findings([Fault("public.t", "no replica identity", "ALTER TABLE ...")]),
        target=[Fault("target", "t", "tf")],
    )

    code, document = check(file, capsys)

    assert code == 1
    assert [fault["where"] for fault in document["faults"]] == ["kafka", "public.t", "target"]
    assert document["faults"][1] == {"where": "public.t", "what": "no replica identity", "fix": "ALTER TABLE ..."}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unreachable("refused", "db:1", "start it"), 3),
        (Refused("password", "db:1", "check it"), 3),
        (SourceUnavailable("gone", "start it"), 3),
        (SourceError("wal_level is replica", "ALTER SYSTEM ..."), 1),
    ],
)
def test_a_system_that_fails_does_not_hide_the_others(
    error: Exception, code: int, file: Path, systems, capsys: pytest.CaptureFixture[str]
) -> None:
    systems(source=error, target=[Fault("target", "t", "tf")])

    found, document = check(file, capsys)

    assert found == code
    assert len(document["faults"]) == 2
    assert not document["ok"]


def test_warnings_keep_nothing_from_running(file: Path, systems, capsys: pytest.CaptureFixture[str]) -> None:
    systems(source=Findings([], warnings=[Fault("source", "max_slot_wal_keep_size is unlimited", "set it")]))

    code, document = check(file, capsys)

    assert (code, document["ok"]) == (0, True)
    assert document["warnings"] == [{"where": "source", "what": "max_slot_wal_keep_size is unlimited", "fix": "set it"}]


def test_a_faulty_file_is_reported_in_the_same_form(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD.replace("tables", "tabels"))

    code, document = check(file, capsys)

    assert code == 2
    assert {fault["where"] for fault in document["faults"]} == {"tables", "tabels"}


def test_people_see_the_fix_below_each_fault(file: Path, systems, capsys: pytest.CaptureFixture[str]) -> None:
    systems(target=[Fault("target", "no right [x]", "GRANT CREATE ON DATABASE d TO u;")])

    assert cli.main(["check", str(file)]) == 1
    assert capsys.readouterr().out == "✗ target: no right [x]\n  fix: GRANT CREATE ON DATABASE d TO u;\n"


def test_systems_that_do_not_run_are_unreachable(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD.replace('127.0.0.1:1"}', '127.0.0.1:1", request_timeout_seconds: 0.3}', 1))

    code, document = check(file, capsys)

    assert code == 3
    assert [fault["where"] for fault in document["faults"]].count("127.0.0.1:1") >= 2
