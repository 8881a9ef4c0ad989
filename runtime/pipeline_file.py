"""A pipeline file as plain data: YAML whose duplicate keys are faults, references resolved where asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from runtime.errors import ConfigError, Fault
from runtime.references import UnresolvedError, resolve

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: A place in the file: keys and indices.
Place = tuple[str | int, ...]


def read(path: Path) -> dict[str, Any]:
    """Return the mapping that a YAML file holds; raises ConfigError that names line and column."""
    where = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError([Fault(where, f"cannot be read: {reason}", "`ferryman init` writes one")]) from None
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        faults = [*_duplicates(root)] if root is not None else []
        data = yaml.safe_load(text) if not faults else {}
    except yaml.YAMLError as error:
        raise ConfigError([_yaml_fault(where, error)]) from None
    if faults:
        raise ConfigError(faults, where)
    if not isinstance(data, dict):
        raise ConfigError([Fault(where, "holds no settings", "`ferryman init` writes a file to start from")])
    return data


def spell(path: Sequence[str | int]) -> str:
    """Return a path into the file as people write it: ``tables[0].include``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def resolve_tree(value: Any, path: Place, faults: list[Fault]) -> Any:
    """Return a value with the references in all its texts resolved; what cannot be is added to ``faults``."""
    if isinstance(value, dict):
        return {key: resolve_tree(item, (*path, str(key)), faults) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve_tree(item, (*path, i), faults) for i, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    try:
        return resolve(value)
    except UnresolvedError as error:
        faults.append(Fault(spell(path), error.what, error.fix))
        return value


def _duplicates(node: yaml.Node, path: Place = ()) -> list[Fault]:
    """Return a fault for every key that stands twice in its mapping: YAML would keep the last one silently."""
    if isinstance(node, yaml.SequenceNode):
        return [fault for i, item in enumerate(node.value) for fault in _duplicates(item, (*path, i))]
    faults: list[Fault] = []
    seen: dict[str, int] = {}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        line = key.start_mark.line + 1
        if key.value in seen:
            what = f"stands twice: lines {seen[key.value]} and {line}"
            faults.append(Fault(spell((*path, str(key.value))), what, "keep one of them"))
        seen[key.value] = line
        faults += _duplicates(value, (*path, str(key.value)))
    return faults


def _yaml_fault(where: str, error: yaml.YAMLError) -> Fault:
    """Return what the parser says, without the line of the file that it would quote: that may hold a password."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "is no YAML"
    place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return Fault(where, f"YAML cannot be read{place}: {problem}", "check indentation, colons and quotes there")
