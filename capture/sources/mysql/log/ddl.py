"""Statements that the log carries as text, read as far as it concerns tables that are followed. Pure.

No parser of SQL: what kind of statement it is, and the names behind it. Columns and types come from the log's metadata
and from the catalog. A statement that is not understood is of no effect here: the next rows, or the next look at the
catalog, tell what it did. Source: MySQL Reference Manual and MariaDB Documentation, "Data Definition Statements".
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Kind(Enum):
    """What a statement does to a table's rows."""

    TRUNCATED = auto()
    #: The table is gone, or stands under its name as another one.
    REPLACED = auto()
    #: Some rows came or went without row events.
    RESHUFFLED = auto()
    #: Its columns may be others.
    ALTERED = auto()
    #: Its rows were changed by the statement itself, of which the log has no rows.
    WRITTEN = auto()


class Effect(NamedTuple):
    """One table that a statement concerns; ``table`` None: all of the database, or of every one where that is ''."""

    kind: Kind
    database: str
    table: str | None


#: The characters of a bare name are case-blind by themselves: told so, `re` takes each of them apart, for 0.15 s.
_NAME: Final = r"(?:`(?:[^`]|``)+`|\"(?:[^\"]|\"\")+\"|(?-i:[\w$\u0080-\uffff]+))"
_TABLE: Final = rf"{_NAME}(?:\s*\.\s*{_NAME})?"
_FLAGS: Final = re.IGNORECASE | re.DOTALL
_EXISTS: Final = r"(?:IF\s+(?:NOT\s+)?EXISTS\s+)?"

#: Quoted text and names, which stay as they are; and comments, but for what the server executes of them.
_QUOTED: Final = r"`(?:[^`]|``)*`|'(?:[^'\\]|''|\\.)*'|\"(?:[^\"\\]|\"\"|\\.)*\""
_COMMENT: Final = re.compile(rf"({_QUOTED})|/\*(?!!|M!).*?\*/|/\*M?!\d*|\*/|--\s[^\n]*|#[^\n]*", _FLAGS)
_TRUNCATE: Final = re.compile(rf"TRUNCATE\s+(?:TABLE\s+)?({_TABLE})", _FLAGS)
_DROP: Final = re.compile(rf"DROP\s+(?:TABLES?)\s+{_EXISTS}({_TABLE}(?:\s*,\s*{_TABLE})*)", _FLAGS)
_DROP_DATABASE: Final = re.compile(rf"DROP\s+(?:DATABASE|SCHEMA)\s+{_EXISTS}({_NAME})", _FLAGS)
_RENAME: Final = re.compile(rf"RENAME\s+TABLES?\s+{_EXISTS}(.+)", _FLAGS)
_RENAMED: Final = re.compile(rf"({_TABLE})(?:\s+(?:WAIT\s+\d+|NOWAIT))?\s+TO\s+({_TABLE})", _FLAGS)
_CREATE: Final = re.compile(rf"CREATE\s+OR\s+REPLACE\s+TABLE\s+({_TABLE})", _FLAGS)
_ALTER: Final = re.compile(rf"ALTER\s+(?:ONLINE\s+)?(IGNORE\s+)?TABLE\s+{_EXISTS}({_TABLE})(.*)", _FLAGS)
_ALTER_NAME: Final = re.compile(
    rf"(?:^|,)\s*(?:WAIT\s+\d+\s+|NOWAIT\s+)?RENAME\s+(?!COLUMN\b|INDEX\b|KEY\b)(?:TO\s+|AS\s+|=\s*)?({_TABLE})", _FLAGS
)
_ALTER_ROWS: Final = re.compile(
    r"\b(?:TRUNCATE|DROP|EXCHANGE|DISCARD|IMPORT)\s+PARTITION\b|\b(?:DISCARD|IMPORT)\s+TABLESPACE\b"
    r"|\bCONVERT\s+(?:PARTITION|TABLE)\b|\b(?:DROP|ADD)\s+SYSTEM\s+VERSIONING\b",
    _FLAGS,
)
_PARTNER: Final = re.compile(rf"\b(?:WITH|CONVERT)\s+TABLE\s+({_TABLE})", _FLAGS)
#: Statements that change rows, where they name the only table whose rows these are.
_INSERT: Final = re.compile(
    rf"(?:INSERT|REPLACE)\s+(?:(?:LOW_PRIORITY|DELAYED|HIGH_PRIORITY|IGNORE)\s+)*(?:INTO\s+)?({_TABLE})", _FLAGS
)
_LOAD: Final = re.compile(rf"LOAD\s.*?\bINTO\s+TABLE\s+({_TABLE})", _FLAGS)
_UPDATE: Final = re.compile(
    rf"UPDATE\s+(?:(?:LOW_PRIORITY|IGNORE)\s+)*({_TABLE})(?:\s+(?:AS\s+)?(?!SET\b){_NAME})?\s+SET\b", _FLAGS
)
_DELETE: Final = re.compile(
    rf"DELETE\s+(?:(?:LOW_PRIORITY|QUICK|IGNORE)\s+)*FROM\s+({_TABLE})(?:\s+(?:WHERE|ORDER|LIMIT|RETURNING)\b|\s*$)",
    _FLAGS,
)
#: MariaDB's settings for one statement, which stand before it in the log too.
_SETTINGS: Final = re.compile(
    r"^SET\s+STATEMENT\s.*?\sFOR\s+(?=(?:TRUNCATE|DROP|RENAME|CREATE|ALTER|INSERT|REPLACE|LOAD|UPDATE|DELETE|WITH|"
    r"SELECT|DO|CALL|ANALYZE)\b)",
    _FLAGS,
)
#: ANALYZE before a statement runs it; before a table's name it does not touch rows.
_STATISTICS: Final = re.compile(r"ANALYZE\s+(?:NO_WRITE_TO_BINLOG\s+|LOCAL\s+)?TABLES?\b", _FLAGS)
#: What MariaDB logs of a sequence; it is no table's row.
_SEQUENCE: Final = re.compile(r"SELECT\s+(?:SETVAL|NEXTVAL|NEXT\s+VALUE)\b", _FLAGS)
_TEXT: Final = re.compile(r"'(?:[^'\\]|''|\\.)*'", _FLAGS)


def effects(text: bytes, database: str) -> list[Effect]:
    """Return what a statement does to tables; ``database`` is the one in use."""
    statement = _COMMENT.sub(lambda found: found[1] or " ", text.decode(errors="replace")).strip()
    statement = _SETTINGS.sub("", statement)
    verb = statement[:8].upper()
    for start, read in _READERS:
        if verb.startswith(start):
            return list(read(statement, database))
    return []


def _truncate(statement: str, database: str) -> Iterator[Effect]:
    if found := _TRUNCATE.match(statement):
        yield _effect(Kind.TRUNCATED, found[1], database)


def _drop(statement: str, database: str) -> Iterator[Effect]:
    if found := _DROP_DATABASE.match(statement):
        yield Effect(Kind.REPLACED, _unquoted(found[1]), None)
    elif found := _DROP.match(statement):
        for name in re.findall(_TABLE, found[1]):
            yield _effect(Kind.REPLACED, name, database)


def _rename(statement: str, database: str) -> Iterator[Effect]:
    if found := _RENAME.match(statement):
        for before, after in _RENAMED.findall(found[1]):
            yield _effect(Kind.REPLACED, before, database)
            yield _effect(Kind.REPLACED, after, database)


def _create(statement: str, database: str) -> Iterator[Effect]:
    if found := _CREATE.match(statement):
        yield _effect(Kind.REPLACED, found[1], database)


def _alter(statement: str, database: str) -> Iterator[Effect]:
    found = _ALTER.match(statement)
    if found is None:
        return
    ignore, name, rest = found[1], found[2], _TEXT.sub("''", found[3])
    if renamed := _ALTER_NAME.search(rest):
        yield _effect(Kind.REPLACED, name, database)
        yield _effect(Kind.REPLACED, renamed[1], database)
    elif ignore or _ALTER_ROWS.search(rest):
        yield _effect(Kind.RESHUFFLED, name, database)
        if partner := _PARTNER.search(rest):
            yield _effect(Kind.RESHUFFLED, partner[1], database)
    else:
        yield _effect(Kind.ALTERED, name, database)


def _written(pattern: re.Pattern[str]) -> Callable[[str, str], Iterator[Effect]]:
    """Return what reads a statement that changes rows: its table, or where there may be several every name in it."""

    def read(statement: str, database: str) -> Iterator[Effect]:
        found = pattern.match(statement)
        names = [found[1]] if found else re.findall(_TABLE, _TEXT.sub("''", statement), _FLAGS)
        for name in dict.fromkeys(names):
            yield _effect(Kind.WRITTEN, name, database)

    return read


def _analyzed(statement: str, database: str) -> Iterator[Effect]:
    if not _STATISTICS.match(statement):
        yield from _written(_INSERT)(statement, database)


def _called(statement: str, _database: str) -> Iterator[Effect]:
    """What a function or procedure changes, its call does not say."""
    if not _SEQUENCE.match(statement):
        yield Effect(Kind.WRITTEN, "", None)


_READERS: Final = (
    ("TRUNCATE", _truncate), ("DROP", _drop), ("RENAME", _rename), ("CREATE", _create), ("ALTER", _alter),
    ("INSERT", _written(_INSERT)), ("REPLACE", _written(_INSERT)), ("LOAD", _written(_LOAD)),
    ("UPDATE", _written(_UPDATE)), ("DELETE", _written(_DELETE)), ("WITH", _written(_DELETE)),
    ("SELECT", _called), ("DO", _called), ("CALL", _called), ("ANALYZE", _analyzed),
)  # fmt: skip


def _effect(kind: Kind, name: str, database: str) -> Effect:
    parts = [_unquoted(part) for part in re.findall(_NAME, name)]
    return Effect(kind, parts[0] if len(parts) > 1 else database, parts[-1])


def _unquoted(name: str) -> str:
    if name[0] in '`"':
        return name[1:-1].replace(name[0] * 2, name[0])
    return name
