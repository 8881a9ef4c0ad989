"""Events as people read them: every message of a topic as one JSON object, values in their usual spelling. Pure."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from schemas.avro import field_names, table_schema
from schemas.binary import CORRUPT, reader
from schemas.errors import ContractError
from schemas.framing import KEY_HEADER, VALUE_HEADER, Fingerprint, Guid, frame_of
from schemas.order import ORDER_KEY_BYTES, OrderKey
from schemas.table import Kind
from schemas.values import MAX_SCALE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from schemas.binary import Reader
    from schemas.framing import FrameId
    from schemas.table import Column, TableSchema, ValueType

#: Marks what is no value. No column's value is shown as an object, so these cannot be mistaken for one.
UNSENT: Final = {"unsent": True}

#: Bytes of a number that Python turns into digits without complaint (its own limit is 4,300 digits).
_LONG_NUMBER: Final = 1_700

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - timestamps without a zone are shown without one
_EPOCH_DAY: Final = date(1970, 1, 1)


class Stored(NamedTuple):
    """A message as Kafka keeps it; ``timestamp_ms`` is Kafka's own."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] | None


class _Known(NamedTuple):
    """A schema of which messages were seen: how to read it, and the table version if it is an envelope."""

    read: Reader
    table: TableSchema | None


class Describer:
    """Describes the messages of one topic; ``schema`` finds the schema that a frame names."""

    def __init__(self, schema: Callable[[FrameId], dict[str, Any]]) -> None:
        self._schema = schema
        self._known: dict[FrameId, _Known] = {}
        self._table: TableSchema | None = None  # the newest version seen: key schemas do not name types

    def describe(self, message: Stored) -> dict[str, Any]:
        """Return a message as JSON; one that cannot be read has the operation ``unreadable`` and a reason."""
        place = {"partition": message.partition, "offset": message.offset, "time": _instant(message.timestamp_ms)}
        try:
            if message.value is None:
                return place | {"op": "tombstone", "key": self._key(message)}
            event, known, frame = self._read(message.value, message.headers, VALUE_HEADER)
            self._table = known.table
            return place | self._event(event, frame) | {"key": self._key(message)}
        except ContractError as error:
            return place | {"op": "unreadable", "reason": str(error)}
        except (*CORRUPT, KeyError, TypeError) as error:
            return place | {"op": "unreadable", "reason": type(error).__name__}

    def _event(self, event: dict[str, Any], frame: FrameId) -> dict[str, Any]:
        table = self._table
        if table is None:
            raise ContractError("a value that is no change event")
        order = event["order"]
        shown = {
            "op": event["op"],
            "before": _row(table, event["before"], event["unavailable_before"], event["verbatim_before"]),
            "after": _row(table, event["after"], event["unavailable"], event["verbatim"]),
            "order": OrderKey.unpack(order)._asdict() if order and len(order) == ORDER_KEY_BYTES else None,
            "last": event["last"],
            "source": {name: value for name, value in event["source"].items() if value is not None},
            "ts_us": event["ts_us"],
            "schema": _frame_text(frame),
        }
        return shown | ({"key_change": True} if event["key_change"] else {})

    def _key(self, message: Stored) -> dict[str, Any] | None:
        if message.key is None:
            return None
        key, _, _ = self._read(message.key, message.headers, KEY_HEADER)
        columns = {} if self._table is None else dict(zip(field_names(self._table), self._table.columns, strict=True))
        return dict(_cell(columns.get(name), name, value) for name, value in key.items())

    def _read(
        self, data: bytes, headers: Sequence[tuple[str, bytes | None]] | None, header: str
    ) -> tuple[dict[str, Any], _Known, FrameId]:
        frame, start = frame_of(data, headers, header)
        known = self._known.get(frame)
        if known is None:
            schema = self._schema(frame)
            table = table_schema(schema) if header == VALUE_HEADER else None
            known = self._known[frame] = _Known(reader(schema), table)
        value, end = known.read(data, start)
        if end != len(data):
            raise ContractError("bytes follow its end")
        return value, known, frame


def _row(
    table: TableSchema, row: dict[str, Any] | None, unavailable: list[str] | None, verbatim: dict[str, str] | None
) -> dict[str, Any] | None:
    """Return a row image by the source's column names; unsent and verbatim values are marked as such."""
    if row is None:
        return None
    shown: dict[str, Any] = {}
    for column, field in zip(table.columns, field_names(table), strict=True):
        if field in (unavailable or ()):
            shown[column.name] = UNSENT
        elif verbatim and field in verbatim:
            shown[column.name] = {"verbatim": verbatim[field]}
        else:
            shown[column.name] = readable(column.type, row[field])
    return shown


def _cell(column: Column | None, name: str, value: Any) -> tuple[str, Any]:
    if column is None:
        return name, _hex(value) if isinstance(value, bytes) else value
    return column.name, readable(column.type, value)


def readable(value_type: ValueType, value: Any) -> Any:
    """Return a value of :mod:`schemas.values` as JSON: numbers and truth values as they are, all else as text."""
    show = _READABLE.get(value_type.kind)
    if value is None or show is None or isinstance(value, str):
        return value
    return show(value_type, value)


def _float(_: ValueType, value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _decimal(value_type: ValueType, value: bytes) -> str:
    return _scaled(value, value_type.scale or 0)


def _variable_decimal(_: ValueType, value: dict[str, Any]) -> str:
    return _scaled(value["value"], value["scale"])


def _scaled(data: bytes, scale: int) -> str:
    if len(data) > _LONG_NUMBER or abs(scale) > MAX_SCALE:
        return f"{_hex(data)} / 10^{scale}"
    unscaled = int.from_bytes(data, "big", signed=True)
    digits = str(abs(unscaled)).rjust(max(scale, 0) + 1, "0") + "0" * max(-scale, 0)
    point = len(digits) - max(scale, 0)
    text = f"{digits[:point]}.{digits[point:]}" if scale > 0 else digits
    return f"-{text}" if unscaled < 0 else text


def _date(_: ValueType, days: int) -> str:
    try:
        return (_EPOCH_DAY + timedelta(days=days)).isoformat()
    except OverflowError:
        return f"{days} days after 1970-01-01"


def _time(_: ValueType, microseconds: int) -> str:
    return str((_EPOCH + timedelta(microseconds=microseconds)).time())


def _timestamp(_: ValueType, microseconds: int) -> str:
    try:
        return (_EPOCH + timedelta(microseconds=microseconds)).isoformat()
    except OverflowError:
        return f"{microseconds} us after 1970-01-01T00:00:00"


def _bits(value_type: ValueType, data: bytes) -> str:
    length = value_type.length or 8 * len(data)
    return format(int.from_bytes(data, "little"), f"0{length}b")


def _hex(data: bytes) -> str:
    return "\\x" + data.hex()


def _instant(timestamp_ms: int) -> str:
    return datetime.fromtimestamp(timestamp_ms / 1_000, UTC).isoformat(timespec="milliseconds")


def _frame_text(frame: FrameId) -> str:
    if isinstance(frame, Fingerprint):
        return f"{frame.value:016x}"
    return frame.value.hex() if isinstance(frame, Guid) else str(frame.value)


_READABLE: Final[dict[Kind, Callable[[ValueType, Any], Any]]] = {
    Kind.FLOAT32: _float,
    Kind.FLOAT64: _float,
    Kind.BYTES: lambda _, data: _hex(data),
    Kind.DECIMAL: _decimal,
    Kind.VARIABLE_DECIMAL: _variable_decimal,
    Kind.DATE: _date,
    Kind.MICRO_TIME: _time,
    Kind.MICRO_TIMESTAMP: _timestamp,
    Kind.BITS: _bits,
}
