"""Where a MySQL or MariaDB is: URLs read and written, and how TLS is to be used. Pure; needs no driver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from runtime.errors import BadInput
from runtime.hosts import is_loopback

DEFAULT_PORT: Final = 3306
SCHEMES: Final = ("mysql", "mariadb")

#: How TLS is used, in MySQL's own words: DISABLED never, PREFERRED where the server can, REQUIRED without a look at
#: the certificate, VERIFY_CA with its authority checked, VERIFY_IDENTITY with the host name checked too.
SslMode = Literal["DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"]
SSL_MODES: Final[tuple[SslMode, ...]] = ("DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")

#: What may stand behind the question mark.
OPTIONS: Final = ("ssl-mode", "ssl-ca", "ssl-cert", "ssl-key", "connect-timeout")

_FIX: Final = "write mysql://user@host:port/?ssl-ca=...; percent-encode odd characters, or use `password:`"


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of a URL; ``ssl_mode`` is resolved, ``connect_timeout`` in seconds. Its repr shows no password."""

    host: str
    port: int
    user: str
    password: str
    database: str
    ssl_mode: SslMode
    ssl_ca: str | None
    ssl_cert: str | None
    ssl_key: str | None
    connect_timeout: int

    def __repr__(self) -> str:
        return f"Address({self.host}:{self.port})"

    @property
    def place(self) -> str:
        """``host:port``, for messages."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(url: str) -> Address:
    """Return the parts of ``mysql://user:password@host:port/database?ssl-mode=...``.

    Without an ``ssl-mode``, off loopback the certificate is verified with the host's name; on loopback TLS is used
    where the server can. Raises BadInput, without repeating any of the URL but the name of a faulty option.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORT
        given = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise BadInput("the connection URL cannot be read", fix=_FIX) from None
    if parts.scheme not in SCHEMES or not parts.hostname or parts.fragment:
        raise BadInput("the connection URL cannot be read", fix=_FIX)
    host = unquote(parts.hostname)
    return Address(
        host=host,
        port=port,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=unquote(parts.path.removeprefix("/")),
        ssl_mode=_ssl_mode(given, host),
        ssl_ca=given.get("ssl-ca"),
        ssl_cert=given.get("ssl-cert"),
        ssl_key=given.get("ssl-key"),
        connect_timeout=_seconds(given.get("connect-timeout", "10")),
    )


def make(
    *, host: str, port: int = DEFAULT_PORT, user: str = "", password: str = "", database: str = "", query: str = ""
) -> str:
    """Return the URL of these parts; ``query`` is what stands behind the question mark."""
    login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    where = f"[{host}]" if ":" in host else quote(host, safe="")
    return (
        f"mysql://{login}{'@' if login else ''}{where}:{port}/{quote(database, safe='')}{'?' if query else ''}{query}"
    )


def override(url: str, *, password: str | None = None, ssl_mode: SslMode | None = None) -> str:
    """Return a URL with another password, and with this ``ssl-mode`` where it has none of its own."""
    parts, old = urlsplit(url), parse(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if ssl_mode is not None:
        options.setdefault("ssl-mode", ssl_mode)
    return make(
        host=old.host,
        port=old.port,
        user=old.user,
        password=old.password if password is None else password,
        database=old.database,
        query=urlencode(options),
    )


def _ssl_mode(given: dict[str, str], host: str) -> SslMode:
    for name in given:
        if name not in OPTIONS:
            raise BadInput(f"{name} is no option of a connection URL", fix=f"use {', '.join(OPTIONS)}")
    wanted = given.get("ssl-mode")
    if wanted is None:
        return "PREFERRED" if is_loopback(host) and "ssl-ca" not in given else "VERIFY_IDENTITY"
    for mode in SSL_MODES:
        if wanted.upper() == mode:
            return mode
    raise BadInput("ssl-mode is none of the choices", fix=f"write one of {', '.join(SSL_MODES)}")


def _seconds(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) <= 3600:
        return int(text)
    raise BadInput("connect-timeout is no number of seconds", fix="write 1 to 3600")
