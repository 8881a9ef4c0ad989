"""The pipeline file's JSON Schema for editors, and its settings as rows for the documentation. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from runtime.config import Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A number or truth value may be given by reference too.
_REFERENCE: Final = {"type": "string", "pattern": r"\$\{"}


#: JSON Schema's types in plain words.
_WORDS: Final = {
    "array": "list",
    "boolean": "true or false",
    "integer": "whole number",
    "number": "number",
    "object": "mapping",
    "string": "text",
}


class Setting(NamedTuple):
    """One setting: its place in the file, what it takes, its default as YAML, and the reason for it."""

    path: str
    takes: str
    default: str
    reason: str


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a pipeline file."""
    schema = Pipeline.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "ferryman pipeline"
    found: dict[str, Any] = _with_references(schema)
    return found


def settings() -> list[Setting]:
    """Return every setting in the order of the model."""
    schema = Pipeline.model_json_schema()
    return list(_settings(schema, schema, ""))


def _with_references(node: Any) -> Any:
    if isinstance(node, list):
        return [_with_references(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("type") not in ("integer", "number", "boolean"):
        return {key: _with_references(value) for key, value in node.items()}
    told = {key: node[key] for key in ("title", "description", "default") if key in node}
    return told | {"anyOf": [{key: value for key, value in node.items() if key not in told}, _REFERENCE]}


def _settings(node: dict[str, Any], schema: dict[str, Any], path: str) -> Iterator[Setting]:
    required = node.get("required", ())
    for name, inner in node.get("properties", {}).items():
        place = f"{path}.{name}" if path else name
        section = _section(inner, schema)
        if section is not None:
            many = "[]" if section.get("type") == "array" else ""
            yield from _settings(_section(section.get("items", section), schema) or section, schema, place + many)
        else:
            reason = " ".join(inner.get("description", "").split())
            yield Setting(place, _takes(inner), _default(inner, place, required=name in required), reason)


def _section(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any] | None:
    """Return the section that a node stands for, or None if it is a setting."""
    for choice in (node, *node.get("anyOf", ())):
        if "$ref" in choice:
            found: dict[str, Any] = schema["$defs"][choice["$ref"].rpartition("/")[2]]
            return found
    return None


def _takes(node: dict[str, Any]) -> str:
    if "enum" in node:
        return " or ".join(node["enum"])
    choices = [choice for choice in node.get("anyOf", [node]) if choice.get("type") != "null"]
    words = {
        "object": "mapping",
        "array": "list",
        "string": "text",
        "integer": "whole number",
        "boolean": "true or false",
    }
    return " or ".join(words.get(choice["type"], choice["type"]) for choice in choices)


def _default(node: dict[str, Any], place: str, *, required: bool) -> str:
    if place.endswith((".slot.name", ".publication.name")):
        return "ferryman_<pipeline>"
    value = node.get("default")
    if required:
        return "required"
    return "none" if value in (None, [], {}) else value if isinstance(value, str) else json.dumps(value)
