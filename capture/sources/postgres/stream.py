"""The replication connection: START_REPLICATION, COPY BOTH, keepalives and standby status, over libpq.

Source: PostgreSQL documentation, "Streaming Replication Protocol". psycopg.pq is enough: no other driver is needed.
"""

from __future__ import annotations

import select
import time
from struct import Struct
from typing import Final, NoReturn, Protocol

import psycopg
from psycopg import pq

from capture.source import SourceError, SourceUnavailable, is_full
from capture.sources.postgres import lsn
from capture.sources.postgres.pgoutput import EPOCH_US
from runtime.postgres import quote, session_conninfo, unreachable

_STATUS: Final = Struct(">cQQQqB").pack
_KEEPALIVE: Final = Struct(">xQqB").unpack
_DATA: Final = ord("w")
_DATA_HEADER_BYTES: Final = 25
_ALIVE: Final = ord("k")

#: A status is due this often even when the server would wait longer, in seconds.
_LONGEST_SILENCE_S: Final = 10.0
#: Messages taken in by one call at most, so that a flood of empty transactions returns to the caller too.
_MESSAGES_AT_ONCE: Final = 100_000

#: So many rows within a pause are a flood: more are on their way, and rows in large blocks cost a fraction of what they
#: cost in small ones. Fewer are handed on at once.
_FLOOD_ROWS: Final = 200
_PAUSE_S: Final = 0.01
#: Longest time that rows of a flood wait for more, in seconds.
_LONGEST_GATHERING_S: Final = 0.1

#: Another process holds the slot; an Aurora reader or a standby in recovery answers in a like way for a while.
_IN_USE: Final = "55006"
_NOT_ALLOWED: Final = "42501"
#: Decoding met a place in the log where the publication did not exist.
_NO_PUBLICATION: Final = "42704"


class SlotInUse(SourceUnavailable):
    """Another process streams from the slot."""


class Sink(Protocol):
    """What takes the messages in."""

    @property
    def rows(self) -> int:
        """Rows gathered so far."""

    @property
    def between(self) -> bool:
        """Whether no transaction is open."""

    def feed(self, data: bytes) -> None:
        """Take in one message of the output plugin."""

    def keepalive(self, position: int) -> None:
        """Nothing more comes before ``position``."""


class Stream:
    """One replication connection. Not thread-safe; raises SourceUnavailable wherever the connection breaks."""

    def __init__(self, conninfo: str, application_name: str) -> None:
        prepared = session_conninfo(conninfo, application_name=application_name, replication=True)
        self._conn = pq.PGconn.connect(prepared.encode())
        if self._conn.status != pq.ConnStatus.OK:
            message = self._conn.get_error_message()
            self._conn.finish()
            raise unreachable(conninfo, message)
        self._poll = select.poll()
        self._poll.register(self._conn.socket, select.POLLIN)
        self._silence_s = _LONGEST_SILENCE_S
        self.started = False
        self._slot = ""
        self._confirmed = 0
        self._told_at = time.monotonic()

    # --- commands --------------------------------------------------------------------------------------------------

    def identify(self) -> tuple[str, int]:
        """Return the server's system identifier and its timeline."""
        row = self._row(b"IDENTIFY_SYSTEM")
        return row[0], int(row[1])

    def timeline_history(self, timeline: int) -> str:
        """Return the history file of a timeline: which one it left where."""
        return self._row(f"TIMELINE_HISTORY {timeline}".encode())[1]

    def start(self, slot: str, publication: str, start: int) -> None:
        """Begin to stream at ``start``.

        Raises SourceUnavailable while another process holds the slot, HistoryLost when the slot is of no use any more.
        """
        timeout_ms = int(self._row(b"SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout'")[0])
        if timeout_ms > 0:
            self._silence_s = min(_LONGEST_SILENCE_S, timeout_ms / 3000)
        # The publication's name is an element of a list of identifiers inside a literal.
        names = quote(publication).replace("'", "''")
        options = f"proto_version '1', publication_names '{names}', messages 'true'"
        command = f"START_REPLICATION SLOT {quote(slot)} LOGICAL {lsn.render(start)} ({options})"
        result = self._conn.exec_(command.encode())
        if result.status != pq.ExecStatus.COPY_BOTH:
            _refuse(result, f"the stream of slot {slot} does not start")
        self._slot, self._confirmed, self.started = slot, start, True
        self._tell()

    def _row(self, command: bytes) -> list[str]:
        result = self._conn.exec_(command)
        if result.status != pq.ExecStatus.TUPLES_OK or result.ntuples != 1:
            _refuse(result, f"the server does not answer {command.split()[0].decode()}")
        return [(result.get_value(0, i) or b"").decode() for i in range(result.nfields)]

    # --- the stream ------------------------------------------------------------------------------------------------

    def drain(self, sink: Sink, max_rows: int) -> None:
        """Hand on what has arrived, until nothing more is there or the sink is full (``is_full``)."""
        receive, feed = self._conn.get_copy_data, sink.feed
        try:
            for _ in range(_MESSAGES_AT_ONCE):
                size, raw = receive(1)
                if size == 0:
                    self.keep_alive()
                    self._conn.consume_input()
                    size, raw = receive(1)
                if size <= 0:
                    break
                if raw[0] == _DATA:
                    feed(bytes(raw[_DATA_HEADER_BYTES:]))
                    if sink.rows >= max_rows and is_full(sink.rows, max_rows, between=sink.between):
                        break
                elif raw[0] == _ALIVE:
                    self._alive(bytes(raw), sink)
        except psycopg.OperationalError:
            raise self._broken() from None
        if size < 0:
            self._ended()

    def gather(self, sink: Sink, max_rows: int) -> None:
        """Do what :meth:`drain` does, and go on for a moment while rows pour in. What comes alone does not wait."""
        self.drain(sink, max_rows)
        came, deadline = sink.rows, time.monotonic() + _LONGEST_GATHERING_S
        while came >= _FLOOD_ROWS and sink.rows < max_rows and time.monotonic() < deadline:
            before = sink.rows
            time.sleep(_PAUSE_S)
            self.drain(sink, max_rows)
            came = sink.rows - before

    def wait(self, timeout_s: float) -> None:
        """Wait until something arrives, for at most ``timeout_s`` and no longer than the next status is due."""
        due_s = self._told_at + self._silence_s - time.monotonic()
        self._poll.poll(max(0.0, min(timeout_s, due_s)) * 1000)
        self.keep_alive()

    def confirm(self, position: int) -> None:
        """Tell the server that everything before ``position`` is safe with us; never moves back."""
        self._confirmed = max(self._confirmed, position)
        self._tell()

    def keep_alive(self) -> None:
        """Send a standby status when the next one is due."""
        if time.monotonic() - self._told_at >= self._silence_s:
            self._tell()

    def close(self) -> None:
        """Close the connection; the slot is free as soon as the server notices. Safe to call twice."""
        self._conn.finish()

    def _alive(self, data: bytes, sink: Sink) -> None:
        position, _clock, wanted = _KEEPALIVE(data)
        sink.keepalive(position)
        if wanted:
            self._tell()

    def _tell(self) -> None:
        """Send a standby status. All three positions are what is safe: of what was only read nobody can speak.

        (With a write position ahead of the flush position the server would leave out keepalives on idle streams.)
        """
        clock = time.time_ns() // 1000 - EPOCH_US
        try:
            self._conn.put_copy_data(_STATUS(b"r", self._confirmed, self._confirmed, self._confirmed, clock, 0))
            self._conn.flush()
        except psycopg.OperationalError:
            raise self._broken() from None
        self._told_at = time.monotonic()

    def _ended(self) -> NoReturn:
        """Raise what the server said when it ended the stream of itself."""
        try:
            result = self._conn.get_result()
        except psycopg.OperationalError:
            result = None
        if result is None or result.status != pq.ExecStatus.FATAL_ERROR:
            raise self._broken()
        if result.error_field(pq.DiagnosticField.SQLSTATE) == _NO_PUBLICATION.encode():
            raise SourceError(
                "the log cannot be decoded: at this place the publication did not exist",
                f"SELECT pg_drop_replication_slot('{self._slot}'); every table then needs a resync",
            )
        _refuse(result, "the server ended the stream")

    def _broken(self) -> SourceUnavailable:
        return SourceUnavailable("the replication connection was lost")


def _refuse(result: pq.abc.PGresult, what: str) -> NoReturn:
    """Raise the contract's error for a failed command; the server's text stays out: it may quote data."""
    code = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    text = f"{what} (SQLSTATE {code or 'unknown'})"
    if code == _IN_USE:
        raise SlotInUse(f"{text}: another process uses it; two captures of one pipeline take turns")
    if code == _NOT_ALLOWED:
        raise SourceError(text, "the role needs REPLICATION (Amazon RDS: GRANT rds_replication TO ...)")
    raise SourceUnavailable(text)
