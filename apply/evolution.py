"""Makes the target's table fit a table version: created, columns added, types widened, NOT NULL relaxed; never dropped.

Runs in the transaction of the first batch of the version. ``evolve`` does all this, ``strict`` blocks the table on any
difference, ``ignore`` changes nothing and leaves out the columns that the target lacks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import structlog

from apply import catalog, state, type_width
from apply.errors import Blocked
from apply.layout import Layout, TargetTable
from runtime import failpoints, type_rules
from runtime.postgres import quote, spell
from runtime.settings_types import NO_RULES
from runtime.type_names import parse, spelled

if TYPE_CHECKING:
    from collections.abc import Collection

    from apply.layout import TargetColumn
    from apply.session import Session
    from runtime.settings_types import TypeRules
    from runtime.type_rules import Wanted
    from schemas.table import Column, TableSchema

Policy = Literal["evolve", "strict", "ignore"]

_log = structlog.get_logger()


def ensure(
    session: Session,
    table: TableSchema,
    policy: Policy,
    applied: Collection[str] = frozenset(),
    rules: TypeRules = NO_RULES,
) -> Layout:
    """Return where the values of this table version go, after changing the target's table as the policy says.

    ``applied`` names the columns that the target's rows have had before: such a column is not made anew, because the
    values that it held are lost. ``rules`` give columns other types than the source's own.

    Raises Blocked when the policy forbids a change that is needed, or rows or values could get lost.
    """
    target = catalog.read_table(session, table.namespace, table.name)
    types = _types(session, table, rules) if policy != "ignore" else {}
    if target is not None:
        _check_acted_on(session, target)
        _check_ruled(table, target, types, rules)
    statements = []
    if policy != "ignore":
        missing_schema = target is None and not catalog.has_schema(session, table.namespace)
        statements = (
            create(table, types, missing_schema=missing_schema) if target is None else alter(table, target, types)
        )
    _check_dropped(table, target, applied)
    if statements and policy == "strict":
        raise Blocked(
            f"the target's table differs from the source's, and the policy is strict: {'; '.join(statements)}",
            "run these statements on the target yourself, or set apply.evolution: evolve",
        )
    if statements:
        _run(session, table, statements)
        created, target = target is None, catalog.read_table(session, table.namespace, table.name)
        return layout(table, target, created=created)
    return layout(table, target)


def _check_acted_on(session: Session, target: TargetTable) -> None:
    """Refuse to write where the target would remove or change rows of another table that we fill.

    That table waits too (see layout), but somebody may have added the key when it was ahead of this one already.
    """
    for namespace, name, key in target.acted_on:
        if state.has_rows(session, spell(namespace, name)):
            raise Blocked(
                f"the foreign key {key} of the target's table {spell(namespace, name)} changes its rows by itself when "
                f"{spell(target.namespace, target.name)} is written to",
                _acting_fix(key),
            )


def _acting_fix(key: str) -> str:
    return (
        f"let the role set session_replication_role, or make {key} act on nothing (NO ACTION); "
        "ferryman goes on by itself"
    )


def _check_dropped(table: TableSchema, target: TargetTable | None, applied: Collection[str]) -> None:
    """Refuse to make anew what the target has had: its rows, or values in them, would be missing silently."""
    dropped = [c.name for c in table.columns if c.name in applied and (target is None or target.column(c.name) is None)]
    if dropped:
        name = spell(table.namespace, table.name)
        what = "the table" if target is None else f"the column {quote(dropped[0])} of the table"
        raise Blocked(f"{what} {name} was dropped from the target", f"`ferryman resync {name}` copies it anew")


def layout(table: TableSchema, target: TargetTable | None, *, created: bool = False) -> Layout:
    """Return how a table version's columns lie in the target; raises Blocked when its rows are not safe there."""
    name = spell(table.namespace, table.name)
    if target is None:
        raise Blocked(f"the target has no table {name}", "create it, or set apply.evolution: evolve")
    if target.acting is not None:
        # Tables do not move at one pace: the row that it acts upon may be one from after its change, and would be lost.
        raise Blocked(
            f"the foreign key {target.acting} of the target's table {name} changes its rows by itself",
            _acting_fix(target.acting),
        )
    columns, positions = [], []
    for i, column in enumerate(table.columns):
        found = target.column(column.name)
        if found is not None and not found.generated:
            columns.append(found)
            positions.append(i)
    missing = [table.columns[i].name for i in table.key if i not in positions]
    if missing:
        raise Blocked(
            f"the target's table {name} lacks the key column {missing[0]}, or generates it",
            f"give {name} an ordinary column {quote(missing[0])}",
        )
    key = tuple(positions.index(i) for i in table.key)
    arbiter = frozenset(columns[i].name for i in key) in target.unique
    return Layout(target, tuple(columns), tuple(positions), key, arbiter, created)


def create(table: TableSchema, types: dict[str, str], *, missing_schema: bool) -> list[str]:
    """Return the statements that make the table, and its schema if that is missing too."""
    lines = [f"{quote(c.name)} {types[c.name]}{'' if c.nullable else ' NOT NULL'}" for c in table.columns]
    if table.key:
        lines.append(f"PRIMARY KEY ({', '.join(quote(table.columns[i].name) for i in table.key)})")
    statements = [f"CREATE SCHEMA IF NOT EXISTS {quote(table.namespace)}"] if missing_schema else []
    return [*statements, f"CREATE TABLE {quote(table.namespace, table.name)} ({', '.join(lines)})"]


def alter(table: TableSchema, target: TargetTable, types: dict[str, str]) -> list[str]:
    """Return the statements that let an existing table hold every row of this version."""
    name = quote(target.namespace, target.name)
    return [
        f"ALTER TABLE {name} {change}"
        for i, column in enumerate(table.columns)
        for change in _changes(column, target, types[column.name], in_key=i in table.key)
    ]


def _changes(column: Column, target: TargetTable, wanted: str, *, in_key: bool) -> list[str]:
    name, found = quote(column.name), target.column(column.name)
    if found is None:
        return _added(column, wanted)
    if found.generated:
        return []
    changes = []
    if type_width.widens(parse(found.type), parse(wanted)):
        changes.append(f"ALTER COLUMN {name} TYPE {wanted}")
    if found.not_null and column.nullable and not in_key:
        changes.append(f"ALTER COLUMN {name} DROP NOT NULL")
    return changes


def _added(column: Column, wanted: str) -> list[str]:
    """Rows older than the column have its ``missing`` value at the source, and no event says so: the default does.

    It is dropped again at once, because every event carries the value. Without such a value the column must take NULL
    in the rows that stand in the target.
    """
    name = quote(column.name)
    if column.missing is None:
        return [f"ADD COLUMN {name} {wanted}"]
    not_null = "" if column.nullable else " NOT NULL"
    return [
        f"ADD COLUMN {name} {wanted}{not_null} DEFAULT {_literal(column.missing)}",
        f"ALTER COLUMN {name} DROP DEFAULT",
    ]


def _literal(text: str) -> str:
    """Return a string literal that means the same whatever standard_conforming_strings says."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _types(session: Session, table: TableSchema, rules: TypeRules) -> dict[str, str]:
    return {column.name: _type(session, table, column, rules.wanted(table, column)) for column in table.columns}


def _type(session: Session, table: TableSchema, column: Column, ruled: Wanted | None) -> str:
    if ruled is None:
        return catalog.known_type(session, column.target_type, column.fallback_type)
    reason = type_rules.refusal(column, ruled)
    if reason is not None:
        raise Blocked(f"a rule of `types:` cannot hold for {spell(table.namespace, table.name)}: {reason}", _RULE_FIX)
    wanted = catalog.spelling(session, spelled(ruled.type))
    if wanted is None:
        raise Blocked(
            f"a rule of `types:` gives column {column.name} the type {spelled(ruled.type)}, which the target has not",
            "make the type at the target (CREATE TYPE, CREATE EXTENSION); ferryman goes on by itself",
        )
    return wanted


_RULE_FIX = "correct the rule in the pipeline file, and restart apply"


def _check_ruled(table: TableSchema, target: TargetTable, types: dict[str, str], rules: TypeRules) -> None:
    """Refuse a rule that came after its column: nobody else would say that it has no effect."""
    for column in table.columns:
        found = target.column(column.name)
        if found is None or found.generated or column.name not in types or rules.wanted(table, column) is None:
            continue
        if not _fits(found, types[column.name]):
            name, wanted = quote(column.name), types[column.name]
            raise Blocked(
                f"a rule of `types:` says {wanted} for column {column.name}, which is {found.type} in the target",
                f"ALTER TABLE {quote(target.namespace, target.name)} ALTER COLUMN {name} TYPE {wanted} "
                f"USING {name}::text::{wanted}; or drop the rule. ferryman goes on by itself",
            )


def _fits(found: TargetColumn, wanted: str) -> bool:
    there, asked = parse(found.type), parse(wanted)
    return there == asked or type_width.widens(there, asked) or type_width.widens(asked, there)


def _run(session: Session, table: TableSchema, statements: list[str]) -> None:
    failpoints.hit("apply.before_ddl")
    for statement in statements:
        session.run(statement)
    failpoints.hit("apply.after_ddl")
    _log.info("table.evolved", table=spell(table.namespace, table.name), statements=len(statements))
