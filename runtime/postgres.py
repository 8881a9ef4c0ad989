"""The one place that opens PostgreSQL connections: session settings, TLS, and errors that say what to do."""

from __future__ import annotations

import os
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from runtime.errors import BadInput, Refused, Unreachable
from runtime.hosts import is_loopback
from runtime.names import parse_name, quote, spell, visible
from runtime.sqlstate import Reaction, describe, reaction

__all__ = [
    "Reaction",
    "address",
    "connect",
    "describe",
    "duration",
    "parse_name",
    "quote",
    "reaction",
    "session_conninfo",
    "spell",
    "unreachable",
]

#: Settings of every session. They go with the connection request, so that settings of the role or the database lose:
#: text must come out the same everywhere, and nothing may be cut short or filtered silently.
_SETTINGS: Final = {
    "DateStyle": "ISO",
    "IntervalStyle": "iso_8601",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "xmloption": "content",  # a document is content too
    "array_nulls": "on",  # else a NULL in an array's text is the word
    "quote_all_identifiers": "off",  # the spelling of types
    "search_path": "pg_catalog",
    "row_security": "off",  # a policy that hides rows becomes an error instead of missing rows
    "statement_timeout": "0",  # a copy takes as long as it takes; apply sets its own limit
}

#: A peer that vanished is noticed in about half a minute (idle: 10 + 4 * 5 s; with data under way: 30 s).
_NETWORK: Final = {
    "connect_timeout": "10",
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "30000",
}


def session_conninfo(conninfo: str, *, application_name: str, replication: bool = False) -> str:
    """Return ``conninfo`` with our session settings, timeouts and TLS rule, for psycopg and ``psycopg.pq`` alike.

    What the conninfo says itself about the network and TLS stands. Raises BadInput when libpq cannot read it.
    """
    given = {key: str(value) for key, value in parse_conninfo(conninfo).items() if value is not None}
    own = {"client_encoding": "UTF8", "application_name": application_name, "options": _options(given)}
    if replication:
        own["replication"] = "database"
    return make_conninfo("", **{**_NETWORK, **_tls(given), **_writable(given), **given, **own})


def duration(seconds: float) -> str:
    """Return a time as the server's settings take it (``lock_timeout``): whole milliseconds, with their unit."""
    return f"{round(seconds * 1000)}ms"


def cancel(connection: psycopg.Connection[Any]) -> None:
    """End what another thread has running on a connection; the server is asked for as long as connecting may take.

    Raises psycopg.Error when it does not answer.
    """
    connect_timeout = int(connection.info.get_parameters().get("connect_timeout", 0))
    connection.cancel_safe(timeout=connect_timeout if connect_timeout > 0 else 30)


def connect(
    conninfo: str, *, application_name: str, autocommit: bool = False, replication: bool = False
) -> psycopg.Connection:
    """Open a session as :func:`session_conninfo` describes it.

    Raises Unreachable when the server does not answer, Refused when it says no, BadInput for an unreadable conninfo.
    """
    prepared = session_conninfo(conninfo, application_name=application_name, replication=replication)
    try:
        return psycopg.connect(prepared, autocommit=autocommit)
    except psycopg.OperationalError as error:
        raise unreachable(conninfo, str(error)) from None


def parse_conninfo(conninfo: str) -> dict[str, str | int | None]:
    """Return the parts of a libpq URL or ``key=value`` text; raises BadInput, without repeating any of it."""
    try:
        return dict(conninfo_to_dict(conninfo))
    except psycopg.Error:
        raise BadInput(
            "the connection URL cannot be read",
            fix="write postgresql://user@host:port/dbname; percent-encode odd characters, or use `password:`",
        ) from None


def address(conninfo: str) -> str:
    """Return the servers of a conninfo as ``host:port[,host:port]``, without user or password."""
    given = parse_conninfo(conninfo)
    hosts = str(given.get("host") or given.get("hostaddr") or os.environ.get("PGHOST") or "local socket").split(",")
    ports = str(given.get("port") or os.environ.get("PGPORT") or 5432).split(",")
    return ",".join(f"{host}:{ports[i] if len(ports) > 1 else ports[0]}" for i, host in enumerate(hosts))


_REPLICATION_FIX: Final = "ALTER ROLE ... REPLICATION (Amazon RDS: GRANT rds_replication)"

#: What the text of a failed connection tells, and what to do about it; the first that matches counts. True: refused.
_HINTS: Final = (
    ("password authentication failed", True, "check user and password"),
    ("no password supplied", True, "give a password: `password: ${env:NAME}` beside the url"),
    ("no pg_hba.conf entry", True, "let this host, user and database in, in the server's pg_hba.conf"),
    ("root certificate file", True, "add sslrootcert=/path/to/ca.pem (or sslrootcert=system) to the url"),
    ("certificate verify failed", True, "give sslrootcert=/path/to/ca.pem of its authority; renew it if it expired"),
    ("does not match host name", True, "use the name that the server's certificate carries"),
    ("server does not support SSL", True, "turn TLS on at the server; `tls: insecure` accepts plaintext"),
    ("permission denied to start WAL sender", True, _REPLICATION_FIX),
    ("permission denied", True, "grant the role what the message names"),
    ("must be superuser or replication role", True, _REPLICATION_FIX),
    ("does not exist", True, "create it, or correct the name"),
    ("could not translate host name", False, "check the host name and DNS"),
    ("Name or service not known", False, "check the host name and DNS"),
    ("Connection refused", False, "check that the server runs and that host and port are right"),
    ("timeout expired", False, "check the network, security groups and firewalls between here and the server"),
    ("starting up", False, "wait until the server has started"),
    ("too many", False, "raise max_connections or end idle sessions"),
)


def unreachable(conninfo: str, message: str) -> Unreachable:
    """Return the error for a failed connection from libpq's own words (which name no value of a row)."""
    text = visible(" ".join(message.split())).removeprefix("connection failed: ")
    for words, refused, fix in _HINTS:
        if words in text:
            return (Refused if refused else Unreachable)(text, address(conninfo), fix)
    return Unreachable(text, address(conninfo), "check that the server runs and can be reached from here")


def _options(given: dict[str, str]) -> str:
    ours = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
    return f"{given.get('options', '')} {ours}".strip()


def _tls(given: dict[str, str]) -> dict[str, str]:
    """Off loopback the certificate is verified unless the conninfo says otherwise; loopback and sockets prefer."""
    if "sslmode" in given or _local(given):
        return {}
    trusted = "sslrootcert" in given or "PGSSLROOTCERT" in os.environ
    return {"sslmode": "verify-full"} if trusted else {"sslmode": "verify-full", "sslrootcert": "system"}


def _local(given: dict[str, str]) -> bool:
    hosts = given.get("hostaddr") or given.get("host") or os.environ.get("PGHOST", "")
    return "service" not in given and all(is_loopback(host) for host in hosts.split(","))


def _writable(given: dict[str, str]) -> dict[str, str]:
    """Of several hosts take the one that can be written: slots and targets live there, before and after failover."""
    return {"target_session_attrs": "read-write"} if "," in given.get("host", "") else {}
