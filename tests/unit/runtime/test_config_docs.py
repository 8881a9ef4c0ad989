"""The documents about the pipeline file say what the model says."""

from __future__ import annotations

import json
from pathlib import Path

from runtime.config_schema import json_schema, settings

DOCS = Path(__file__).parents[3] / "docs"


def test_docs_configuration_lists_every_setting_with_its_default_and_reason() -> None:
    section = (DOCS / "configuration.md").read_text().partition("## Settings")[2].partition("## Environment")[0]

    documented = [line for line in section.splitlines() if line.startswith("| `")]

    assert documented == [f"| `{s.path}` | {s.takes} | {s.default} | {s.reason} |" for s in settings()]


def test_every_setting_has_a_reason() -> None:
    assert [setting.path for setting in settings() if not setting.reason] == []


def test_the_published_schema_is_the_model_s() -> None:
    assert json.loads((DOCS / "pipeline.schema.json").read_text()) == json_schema()
