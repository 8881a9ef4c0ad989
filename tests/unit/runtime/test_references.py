from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.references import UnresolvedError, resolve

if TYPE_CHECKING:
    from pathlib import Path


def test_the_environment_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST", "db")

    assert resolve("postgresql://u@${env:HOST}/d") == "postgresql://u@db/d"


def test_a_file_is_read_without_its_last_line_break(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("pass\nword\n")

    assert resolve(f"${{file:{tmp_path}/secret}}") == "pass\nword"


def test_what_a_reference_leads_to_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "${env:HOME}")

    assert resolve("${env:PASSWORD}") == "${env:HOME}"


def test_two_dollars_write_one() -> None:
    assert resolve("a$${env:X}b") == "a${env:X}b"


@given(st.text().filter(lambda text: "${" not in text))
def test_text_without_references_is_left_alone(text: str) -> None:
    assert resolve(text) == text


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("${env:FERRYMAN_NOT_SET}", "FERRYMAN_NOT_SET"),
        ("${file:/no/such/file}", "/no/such/file"),
        ("${HOME}", "${HOME}"),
        ("${vault:x}", "${vault:x}"),
        ("${env:}", "${env:}"),
    ],
)
def test_a_reference_that_leads_nowhere_names_itself_and_a_fix(text: str, named: str) -> None:
    with pytest.raises(UnresolvedError) as caught:
        resolve(text)

    assert named in caught.value.what
    assert caught.value.fix


def test_a_file_that_is_no_text_is_refused_without_its_content(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"canary\xff")

    with pytest.raises(UnresolvedError) as caught:
        resolve(f"${{file:{tmp_path}/secret}}")

    assert "canary" not in caught.value.what


class Secrets:
    """The one call of Secrets Manager that is used."""

    def get_secret_value(self, SecretId: str) -> dict[str, str]:  # noqa: N803 - boto3's spelling
        if SecretId != "arn:aws:sm:eu:1:secret:db":
            raise RuntimeError("canary")
        return {"SecretString": json.dumps({"password": "pw", "port": 5432})}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", SimpleNamespace(client=lambda service: Secrets()))  # type: ignore[arg-type]


@pytest.mark.usefixtures("aws")
def test_a_member_of_an_aws_secret_is_picked() -> None:
    assert resolve("${aws-secret:arn:aws:sm:eu:1:secret:db#password}") == "pw"
    assert resolve("${aws-secret:arn:aws:sm:eu:1:secret:db#port}") == "5432"


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("name", ["arn:aws:sm:eu:1:secret:db#nope", "arn:other"])
def test_an_aws_secret_that_is_not_there_names_itself_alone(name: str) -> None:
    with pytest.raises(UnresolvedError) as caught:
        resolve(f"${{aws-secret:{name}}}")

    assert name.partition("#")[0] in caught.value.what
    assert "canary" not in caught.value.what


def test_aws_secrets_need_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)

    with pytest.raises(UnresolvedError) as caught:
        resolve("${aws-secret:arn}")

    assert "boto3" in caught.value.what
