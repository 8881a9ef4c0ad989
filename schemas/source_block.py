"""The ``source`` block of an event, and ``transaction`` beside it: where a row came from, in Debezium's words.

A new source adds its own fields to :data:`CONNECTORS`. Source: Debezium, ``SchemaFactory.sourceInfoSchemaBuilder``
and each connector's ``SourceInfoStructMaker``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from schemas.binary import writer
from schemas.block import Transaction
from schemas.errors import ContractError

if TYPE_CHECKING:
    from schemas.binary import Writer
    from schemas.block import Origin
    from schemas.table import TableSchema

#: What ``source.version`` says: the version of this contract.
SOURCE_VERSION: Final = "1.0"
_INT64_LIMIT: Final = 1 << 63

_OPTIONAL_STRING: Final = ["null", "string"]
_OPTIONAL_LONG: Final = ["null", "long"]
_SNAPSHOT: Final = [
    {
        "type": "string",
        "connect.name": "io.debezium.data.Enum",
        "connect.version": 1,
        "connect.default": "false",
        "connect.parameters": {
            "allowed": "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"
        },
    },
    "null",
]


class Connector(NamedTuple):
    """A source's own name among Debezium's connectors, and the fields that its ``source`` block adds."""

    record: str
    fields: tuple[tuple[str, Any], ...]


_COMMON: Final[tuple[tuple[str, Any], ...]] = (
    ("version", "string"),
    ("connector", "string"),
    ("name", "string"),
    ("ts_ms", "long"),
    ("snapshot", _SNAPSHOT),
    ("db", "string"),
    ("sequence", _OPTIONAL_STRING),
    ("ts_us", _OPTIONAL_LONG),
    ("ts_ns", _OPTIONAL_LONG),
)
#: Where a transaction begins in the log; ``row``, ``thread`` and ``query`` are there for readers, and not told.
_BINLOG: Final[tuple[tuple[str, Any], ...]] = (
    ("table", _OPTIONAL_STRING),
    ("server_id", "long"),
    ("gtid", _OPTIONAL_STRING),
    ("file", "string"),
    ("pos", "long"),
    ("row", "int"),
    ("thread", _OPTIONAL_LONG),
    ("query", _OPTIONAL_STRING),
)
CONNECTORS: Final = {
    "postgresql": Connector(
        "io.debezium.connector.postgresql.Source",
        (
            ("schema", "string"),
            ("table", "string"),
            ("txId", _OPTIONAL_LONG),
            ("lsn", _OPTIONAL_LONG),
            ("xmin", _OPTIONAL_LONG),
            ("origin", _OPTIONAL_STRING),
            ("origin_lsn", _OPTIONAL_LONG),
        ),
    ),
    "mysql": Connector("io.debezium.connector.mysql.Source", _BINLOG),
    "mariadb": Connector("io.debezium.connector.mariadb.Source", _BINLOG),
}
TRANSACTION_SCHEMA: Final[dict[str, Any]] = {
    "type": "record",
    "name": "block",
    "namespace": "event",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "total_order", "type": "long"},
        {"name": "data_collection_order", "type": "long"},
    ],
    "connect.name": "event.block",
    "connect.version": 1,
}


def source_schema(connector: str) -> dict[str, Any]:
    """Return the Avro record of a connector's ``source`` block; raises ContractError for an unknown connector."""
    try:
        found = CONNECTORS[connector]
    except KeyError:
        raise ContractError(f"the contract has no source block for {connector!r}") from None
    namespace, _, name = found.record.rpartition(".")
    return {
        "type": "record",
        "name": name,
        "namespace": namespace,
        "fields": [_field(name, avro) for name, avro in (*_COMMON, *found.fields)],
        "connect.name": found.record,
        "connect.version": 1,
    }


def source_values(table: TableSchema, prefix: str, transaction: Transaction, origin: Origin) -> dict[str, object]:
    """Return what the ``source`` block of a transaction's rows says, by field name; the writer takes what it needs."""
    shared = {
        "version": SOURCE_VERSION,
        "connector": table.connector,
        "name": prefix,
        "snapshot": origin.value,
        "db": table.database,
        "schema": table.namespace,
        "table": table.name,
    }
    return shared | _of_transaction(table.connector, transaction)


class SourceWriter:
    """Writes the ``source`` blocks of a table's transactions: what all of one origin share is written once."""

    def __init__(self, table: TableSchema, prefix: str) -> None:
        self._table, self._prefix = table, prefix
        self._fields = [(field["name"], writer(field["type"])) for field in source_schema(table.connector)["fields"]]
        self._of_origin: dict[Origin, tuple[list[tuple[bytes, str, Writer]], bytes]] = {}

    def write(self, transaction: Transaction, origin: Origin) -> bytes:
        """Return a ``source`` block in Avro bytes; raises one of schemas.binary.MISFIT for what is none."""
        pieces, end = self._of_origin.get(origin) or self._pieces(origin)
        values = _of_transaction(self._table.connector, transaction)
        written = [shared + write(values[name]) for shared, name, write in pieces]
        return b"".join([*written, end])

    def _pieces(self, origin: Origin) -> tuple[list[tuple[bytes, str, Writer]], bytes]:
        """Return the fields that a transaction has for itself, each with the bytes before it, and the rest's bytes."""
        nothing = Transaction(0, 0, "")
        values = source_values(self._table, self._prefix, nothing, origin)
        own = _of_transaction(self._table.connector, nothing)
        pieces: list[tuple[bytes, str, Writer]] = []
        shared = b""
        for name, write in self._fields:
            if name in own:
                pieces.append((shared, name, write))
                shared = b""
            else:
                shared += write(values.get(name))
        self._of_origin[origin] = pieces, shared
        return pieces, shared


def _of_transaction(connector: str, transaction: Transaction) -> dict[str, object]:
    """Return what the rows of a transaction say of it."""
    microseconds = transaction.committed_us
    times: dict[str, object] = {
        "ts_ms": microseconds // 1_000,
        "ts_us": microseconds,
        "ts_ns": _int64(microseconds * 1_000),
    }
    if connector != "postgresql":
        return times | _binlog(transaction.id)
    number = _int64(int(transaction.id)) if _is_number(transaction.id) else None
    return times | {"txId": number, "lsn": _int64(transaction.position)}


def _binlog(id_: str) -> dict[str, object]:
    """Return where a transaction of MySQL began, from its id: ``file:offset@server_id`` and perhaps `` gtid``.

    Rows of a snapshot have no transaction; their server's number is 0, as in Debezium's.
    """
    begin, _, gtid = id_.partition(" ")
    place, _, server_id = begin.rpartition("@")
    file, _, offset = place.rpartition(":")
    return {
        "server_id": int(server_id) if _is_number(server_id) else 0,
        "gtid": gtid or None,
        "file": file,
        "pos": int(offset) if _is_number(offset) else 0,
        "row": 0,
    }


def _field(name: str, avro: Any) -> dict[str, Any]:
    if avro is _SNAPSHOT:
        return {"name": name, "type": avro, "default": "false"}
    if isinstance(avro, list):
        return {"name": name, "type": avro, "default": None}
    return {"name": name, "type": avro}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _int64(value: int) -> int | None:
    return value if -_INT64_LIMIT <= value < _INT64_LIMIT else None
