"""The one place that opens MySQL and MariaDB connections: session settings, TLS, and errors that say what to do.

The driver is PyMySQL, of the extra ``mysql``: only what a MySQL source uses imports this module.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final

import pymysql
from pymysql.constants import CR, ER
from pymysql.converters import encoders

from runtime import mysql_url
from runtime.errors import BadInput, Refused, Unreachable
from runtime.names import visible

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

    from runtime.mysql_url import Address

__all__ = ["address", "connect", "connection_settings", "describe", "quote", "transient", "unreachable"]

#: Settings of every session, so that values come out the same everywhere and comparisons with keys never fail:
#: no ANSI_QUOTES, no PAD_CHAR_TO_FULL_LENGTH, and dates such as 2021-02-31 or 0000-00-00 may be compared with.
_SETTINGS: Final = {
    "sql_mode": "'ALLOW_INVALID_DATES'",
    "time_zone": "'+00:00'",
    "net_read_timeout": "600",
    "net_write_timeout": "3600",  # a copy takes as long as the topics take
    "wait_timeout": "86400",
}
#: How long a statement waits for the lock of a table, in seconds, where nobody says otherwise; the server's default is
#: a year. Under a limit on silence it is half of that, so that the server's answer comes first.
_LOCK_WAIT_S: Final = 60
#: The limit on a statement's time, which a server may set for everybody: MySQL's name (ms), MariaDB's (s).
_NO_LIMIT: Final = "/*!50708 , max_execution_time=0 */", "/*M!100101 , max_statement_time=0 */"
#: MySQL may hide a primary key that it made by itself from the catalog; the log has it.
_EVERYTHING: Final = "/*!80030 , show_gipk_in_create_table_and_information_schema=ON */"
_CHARSET: Final = "utf8mb4"
#: The session's collation; both kinds of server have it. It decides nothing: keys are compared in their own.
_COLLATION: Final = "utf8mb4_bin"
#: Rows of up to the server's own largest packet.
_MAX_PACKET: Final = 1024 * 1024 * 1024


def connect(
    url: str,
    *,
    program_name: str,
    answer_s: float | None = None,
    raw: bool = False,
    cursor: type[Cursor] | None = None,
    **more: Any,
) -> Connection[Any]:
    """Open a session in autocommit mode: utf8mb4, UTC, our ``sql_mode``.

    ``answer_s``: a server that is silent for so many seconds while it owes an answer counts as lost; without it a
    statement may take for ever. The login may take as long as the URL's ``connect-timeout``. ``raw``: values are the
    bytes that the server sends, or None. ``cursor`` is PyMySQL's cursor class (SSCursor reads rows as they come).
    ``more`` goes to PyMySQL. Raises Unreachable when the server does not answer, Refused when it says no, BadInput for
    an unreadable URL or certificate file.
    """
    settings = connection_settings(url, program_name=program_name, answer_s=answer_s) | more
    if raw:
        settings |= {"use_unicode": False, "conv": dict(encoders)}
    if cursor is not None:
        settings["cursorclass"] = cursor
    patience = {"read_timeout": settings["connect_timeout"], "write_timeout": answer_s}
    try:
        made: Any = pymysql.connect(**patience, **settings)
    except pymysql.MySQLError as error:
        raise unreachable(url, error) from None
    # The driver has one setting for the login and for all statements.
    made._read_timeout = made._current_timeout = answer_s  # noqa: SLF001
    made._sock.settimeout(answer_s)  # noqa: SLF001
    return made  # type: ignore[no-any-return]


def connection_settings(url: str, *, program_name: str, answer_s: float | None = None) -> dict[str, Any]:
    """Return what ``pymysql.connect`` takes for such a session; for the replication client, which connects itself.

    Holds the password and, off loopback, an SSLContext: it cannot be pickled or shown. Raises BadInput.
    """
    given = mysql_url.parse(url)
    return {
        "host": given.host,
        "port": given.port,
        "user": given.user,
        "password": given.password.encode(),  # PyMySQL would write text as Latin-1
        "database": given.database or None,
        "charset": _CHARSET,
        "collation": _COLLATION,
        "init_command": _init_command(_LOCK_WAIT_S if answer_s is None else max(1, int(answer_s / 2))),
        "connect_timeout": given.connect_timeout,
        "max_allowed_packet": _MAX_PACKET,
        "program_name": program_name,
        "autocommit": True,
        **_tls(given),
    }


def quote(*parts: str) -> str:
    """Return names as one dotted SQL identifier, each in backticks; raises BadInput for a name with a NUL."""
    if any("\0" in part for part in parts):
        raise BadInput("a name holds a NUL character, which MySQL does not allow")
    return ".".join("`" + part.replace("`", "``") + "`" for part in parts)


def address(url: str) -> str:
    """Return the server of a URL as ``host:port``, without user or password."""
    return mysql_url.parse(url).place


def _init_command(lock_wait_s: int) -> str:
    given = _SETTINGS | {"lock_wait_timeout": str(lock_wait_s)}
    settings = ", ".join(f"{name}={value}" for name, value in given.items())
    return f"SET SESSION {settings} {' '.join(_NO_LIMIT)} {_EVERYTHING}"


def _tls(given: Address) -> dict[str, Any]:
    if given.ssl_mode == "DISABLED":
        return {"ssl_disabled": True}
    if given.ssl_mode == "PREFERRED" and given.ssl_ca is None and given.ssl_cert is None:
        return {}  # PyMySQL's own default: TLS where the server can
    try:
        context = ssl.create_default_context(cafile=given.ssl_ca)
        if given.ssl_cert is not None:
            context.load_cert_chain(given.ssl_cert, given.ssl_key)
    except (OSError, ssl.SSLError):
        raise BadInput(
            "a certificate file of the connection URL cannot be read", given.place, "check ssl-ca, ssl-cert and ssl-key"
        ) from None
    # Python 3.13 asks for extensions that certificates made by MySQL itself do not have.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = given.ssl_mode == "VERIFY_IDENTITY"
    if given.ssl_mode not in ("VERIFY_CA", "VERIFY_IDENTITY"):
        context.verify_mode = ssl.CERT_NONE
    return {"ssl": context}


# --- errors -----------------------------------------------------------------------------------------------------------

#: Errors whose own words name users, hosts, tables, settings and logs, but never a value of a row.
_HARMLESS: Final = frozenset(
    {
        ER.DBACCESS_DENIED_ERROR,
        ER.ACCESS_DENIED_ERROR,
        ER.BAD_DB_ERROR,
        ER.HOST_NOT_PRIVILEGED,
        ER.TABLEACCESS_DENIED_ERROR,
        ER.COLUMNACCESS_DENIED_ERROR,
        ER.NO_SUCH_TABLE,
        ER.BAD_TABLE_ERROR,
        ER.BAD_FIELD_ERROR,
        ER.SPECIFIC_ACCESS_DENIED_ERROR,
        ER.MASTER_FATAL_ERROR_READING_BINLOG,
        ER.CON_COUNT_ERROR,
        ER.SERVER_SHUTDOWN,
        ER.LOCK_WAIT_TIMEOUT,
        ER.LOCK_DEADLOCK,
        ER.UNKNOWN_SYSTEM_VARIABLE,
        ER.GLOBAL_VARIABLE,
        1449,  # the definer does not exist
        1698,  # access denied, without a password
        3118,  # the account is locked
        3159,  # TLS is required
    }
)

#: Errors after which another try may help: what the server says when it is busy, stops or cuts us off.
_TRANSIENT: Final = frozenset(
    {
        ER.CON_COUNT_ERROR,
        ER.SERVER_SHUTDOWN,
        ER.NORMAL_SHUTDOWN,
        ER.SHUTDOWN_COMPLETE,
        ER.ABORTING_CONNECTION,
        *range(1158, 1162),  # reading from and writing to the network
        ER.NEW_ABORTING_CONNECTION,
        ER.USER_LIMIT_REACHED,
        ER.LOCK_WAIT_TIMEOUT,
        ER.LOCK_DEADLOCK,
        ER.QUERY_INTERRUPTED,
        1927,  # MariaDB: the connection was killed
        3168,  # the server is not ready
        4031,  # the server closed an idle session
    }
)

#: The client's own errors: but for the unknown one, which may be anything, they are the network's.
_CLIENT_ERRORS: Final = range(2000, 3000)

#: What a failed connection's number tells, and what to do about it. True: refused.
_HINTS: Final[dict[int, tuple[bool, str]]] = {
    ER.ACCESS_DENIED_ERROR: (True, "check user and password, and from which hosts the user may come"),
    1698: (True, "check user and password, and from which hosts the user may come"),
    3118: (True, "ALTER USER ... ACCOUNT UNLOCK;"),
    3159: (True, "leave TLS on: no ssl-mode=DISABLED in the url"),
    ER.DBACCESS_DENIED_ERROR: (True, "grant the user what it needs in that database"),
    ER.BAD_DB_ERROR: (True, "create it, or correct the name behind the url's slash"),
    ER.HOST_NOT_PRIVILEGED: (True, "let this host in: CREATE USER ...@'host'"),
    ER.HOST_IS_BLOCKED: (True, "run FLUSH HOSTS at the server"),
    ER.CON_COUNT_ERROR: (False, "raise max_connections or end idle sessions"),
    ER.USER_LIMIT_REACHED: (False, "raise max_user_connections or end idle sessions"),
    ER.SERVER_SHUTDOWN: (False, "wait until the server has started"),
}

#: The same where the number says only that there is no connection: words of the network or of TLS.
_WORDS: Final = (
    ("certificate verify failed: Hostname", True, "use the name that the server's certificate carries"),
    ("certificate verify failed", True, "add ssl-ca=/path/to/ca.pem of the server's authority to the url"),
    ("doesn't support SSL", True, "turn TLS on at the server; `tls: insecure` accepts plaintext"),
    ("does not support SSL", True, "turn TLS on at the server; `tls: insecure` accepts plaintext"),
    ("Name or service not known", False, "check the host name and DNS"),
    ("Temporary failure in name resolution", False, "check the host name and DNS"),
    ("Connection refused", False, "check that the server runs and that host and port are right"),
    ("timed out", False, "check the network, security groups and firewalls between here and the server"),
)


def describe(error: BaseException) -> str:
    """Return what happened without any value of a row: the number, and the server's words where they name none."""
    number, text = _parts(error)
    if number is None:
        return type(error).__name__
    if number in _HARMLESS or number in _CLIENT_ERRORS:
        return visible(f"error {number}: {text}")
    return f"error {number}{_NAMES.get(number, '')}"


def transient(error: BaseException) -> bool:
    """Whether another try may help: the server is busy, stops, or the connection broke."""
    number, _ = _parts(error)
    if not number:  # PyMySQL has 0 for whatever is asked of it after the connection was lost
        return isinstance(error, pymysql.err.InterfaceError | OSError)
    return number in _TRANSIENT or (number in _CLIENT_ERRORS and number != CR.CR_UNKNOWN_ERROR)


def unreachable(url: str, error: BaseException) -> Unreachable:
    """Return the error for a failed connection; its words name no value of a row."""
    number, text = _parts(error)
    where, words = address(url), visible(" ".join(text.split()))
    if number in _HINTS:
        refused, fix = _HINTS[number]
        return (Refused if refused else Unreachable)(words, where, fix)
    for part, refused, fix in _WORDS:
        if part in words:
            return (Refused if refused else Unreachable)(words, where, fix)
    return Unreachable(describe(error), where, "check that the server runs and can be reached from here")


def _parts(error: BaseException) -> tuple[int | None, str]:
    """Return the number and words of an error of the driver."""
    number, text = (*error.args, "", "")[:2]
    return (number, str(text)) if isinstance(number, int) and isinstance(error, pymysql.MySQLError) else (None, "")


#: The errors' names, for those whose words may hold values.
_NAMES: Final = {
    value: f" ({name})" for name, value in vars(ER).items() if isinstance(value, int) and not name.startswith("_")
}
