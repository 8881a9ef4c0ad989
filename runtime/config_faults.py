"""pydantic's findings about a pipeline file as faults: a path, what is wrong, and what to write instead. Pure."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import PydanticCustomError

from runtime.errors import Fault
from runtime.pipeline_file import spell

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from pydantic import BaseModel, ValidationError


def fault(what: str, fix: str) -> PydanticCustomError:
    """Return what a validator raises: its words reach the person as they are, and never repeat the value if secret."""
    return PydanticCustomError("ferryman", "{what}", {"what": what, "fix": fix})


def translate(error: ValidationError, model: type[BaseModel], hidden: Container[str]) -> list[Fault]:
    """Return the faults of a file; of the ``hidden`` sections, whose references are unresolved, unknown keys only."""
    schema = model.model_json_schema()
    found = error.errors(include_url=False, include_input=False)
    return [
        _fault(one["type"], one["loc"], one["msg"], one.get("ctx", {}), schema)
        for one in found
        if one["type"] in _ALWAYS or one["loc"][:1] == () or one["loc"][0] not in hidden
    ]


#: Kinds of faults that no reference can mend.
_ALWAYS: Final = ("extra_forbidden",)

_FIXES: Final = {
    "string_type": "write text, in quotes if it looks like a number or a truth value",
    "int_parsing": "write a whole number",
    "int_type": "write a whole number",
    "int_from_float": "write a whole number",
    "float_parsing": "write a number",
    "float_type": "write a number",
    "bool_parsing": "write true or false",
    "bool_type": "write true or false",
    "model_type": "write a mapping: indented lines of `key: value`",
    "dict_type": "write a mapping: indented lines of `key: value`",
    "tuple_type": "write a list: lines that start with `- `",
    "missing": "add it",
}


def _fault(
    kind: str, path: Sequence[str | int], message: str, context: dict[str, Any], schema: dict[str, Any]
) -> Fault:
    where = spell(path)
    if kind == "ferryman":
        return Fault(where, context["what"], context["fix"])
    if kind == "extra_forbidden":
        return Fault(where, "is no setting", _suggest(str(path[-1]), _keys(schema, path[:-1])))
    if kind == "missing":
        return Fault(where, "is missing", _FIXES[kind])
    if kind == "literal_error":
        return Fault(where, "is none of the choices", f"write {context['expected']}")
    if kind == "string_pattern_mismatch":
        return Fault(where, f"does not match {context['pattern']}", "use lower-case letters, digits and underscores")
    return Fault(where, message[:1].lower() + message[1:], _FIXES.get(kind, "correct the value"))


def _suggest(given: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(given, known, 1, 0.6)
    return f"did you mean `{close[0]}`?" if close else f"remove it; known here: {', '.join(known)}"


def _keys(schema: dict[str, Any], path: Sequence[str | int]) -> list[str]:
    """Return the settings that may stand at a path, found in the model's JSON Schema."""
    node = schema
    for part in path:
        node = node.get("items", {}) if isinstance(part, int) else node.get("properties", {}).get(part, {})
        node = _follow(node, schema)
    return sorted(node.get("properties", {}))


def _follow(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    for choice in (node, *node.get("anyOf", ())):
        if "$ref" in choice:
            found: dict[str, Any] = schema["$defs"][choice["$ref"].rpartition("/")[2]]
            return found
    return node
