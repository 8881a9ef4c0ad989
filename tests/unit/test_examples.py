"""What stands in deploy/ can be used as it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from runtime import config

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "deploy" / "examples").glob("*.yaml"))


@pytest.fixture
def compose() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return parsed


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_a_valid_pipeline_of_its_name(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = tmp_path / path.name
    example.write_text(path.read_text().replace("/run/secrets/", f"{tmp_path}/"))
    for name in ("source-password", "target-password", "kafka-password"):
        (tmp_path / name).write_text("example")
    monkeypatch.setenv("KAFKA", "127.0.0.1:9092")
    monkeypatch.setenv("SOURCE_URL", "postgresql://postgres@127.0.0.1/shop")
    monkeypatch.setenv("MYSQL_URL", "mysql://root:shop@source-mysql:3306/?ssl-mode=REQUIRED")
    monkeypatch.setenv("TARGET_URL", "postgresql://postgres@127.0.0.1/shop")

    pipeline = config.load(example, {"kafka", "source", "target"})

    assert pipeline.pipeline == path.stem


def test_every_file_that_docker_compose_mounts_exists(compose: dict[str, Any]) -> None:
    mounts = [mount for service in compose["services"].values() for mount in service.get("volumes", [])]
    files = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]

    assert files
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_docker_compose_publishes_on_loopback_alone(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]

    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_docker_compose_runs_both_daemons_on_the_same_pipeline_file(compose: dict[str, Any]) -> None:
    names = ("capture", "apply", "capture-mysql", "apply-mysql")
    commands = {name: compose["services"][name]["command"] for name in names}

    assert {name: command[:2] for name, command in commands.items()} == {
        "capture": ["capture", "/etc/ferryman/shop.yaml"],
        "apply": ["apply", "/etc/ferryman/shop.yaml"],
        "capture-mysql": ["capture", "/etc/ferryman/shop_mysql.yaml"],
        "apply-mysql": ["apply", "/etc/ferryman/shop_mysql.yaml"],
    }
