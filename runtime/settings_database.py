"""The sections of a pipeline file about the two databases."""

import importlib.util
from typing import Any, Final, Literal, Self

from psycopg.conninfo import make_conninfo
from pydantic import Field, SecretStr, field_validator, model_validator

from runtime import mysql_url
from runtime.config_faults import fault
from runtime.errors import BadInput
from runtime.postgres import parse_conninfo
from runtime.settings_section import Section


class _Database(Section):
    url: SecretStr | None = None
    """postgresql://user@host:port/dbname?... (handed to libpq unchanged), or mysql://user@host:port/?ssl-ca=...;
    or give host, port, ..."""

    host: str | None = None
    """Host name, instead of a url."""

    port: int = Field(default=5432, ge=1, le=65535)
    """TCP port, beside host; 3306 for MySQL and MariaDB."""

    user: str | None = None
    """Role to log in as, beside host."""

    password: SecretStr | None = None
    """The role's password; overrides the url's, so that a url without a secret can stand in the file."""

    dbname: str | None = None
    """Database, beside host."""

    tls: Literal["verify", "insecure"] = "verify"
    """verify: off loopback the server's certificate is checked (verify-full) unless the url has its own sslmode
    (MySQL: ssl-mode); insecure: plaintext is accepted anywhere."""

    @model_validator(mode="after")
    def _check_address(self) -> Self:
        beside = [name for name in ("host", "port", "user", "dbname") if name in self.model_fields_set]
        if self.url is None and self.host is None:
            raise fault(
                "has neither url nor host", "give `url: postgresql://...`, or host, port, user, password, dbname"
            )
        if self.url is not None and beside:
            raise fault(f"has both url and {', '.join(beside)}", "keep the url, or host, port, user, password, dbname")
        try:
            self._check_conninfo()
        except BadInput as error:
            raise fault(error.what, error.fix) from None
        return self

    def _check_conninfo(self) -> None:
        """Raise BadInput when the driver could not read the address."""
        parse_conninfo(self.conninfo)

    @property
    def conninfo(self) -> str:
        """What libpq connects with: the url as given, or with the password and TLS choice laid over it."""
        own: dict[str, Any] = {"password": self.password.get_secret_value()} if self.password else {}
        if self.url is None:
            own |= {"host": self.host, "port": self.port, "user": self.user, "dbname": self.dbname}
        base = self.url.get_secret_value() if self.url else ""
        if self.tls == "insecure" and "sslmode" not in parse_conninfo(base):
            own["sslmode"] = "prefer"
        return make_conninfo(base, **own) if own else base


class Owned(Section):
    """Something at the source that belongs to the pipeline: made by ferryman, or by a DBA beforehand."""

    name: str = Field(default="", pattern=r"^[a-z0-9_]{0,63}$")
    """Its name; default: ferryman_<pipeline>."""

    create: bool = True
    """Whether ferryman makes (and at teardown drops) it; false: a DBA owns it."""


class SnapshotConfig(Section):
    """How existing rows are read."""

    workers: int = Field(default=2, ge=1, le=64)
    """Processes that read chunks; each holds one connection to the source."""

    chunk_rows: int = Field(default=50_000, ge=1)
    """Rows of a chunk, about: what a crash reads again, and how long one snapshot at the source is held."""

    chunk_mib: int = Field(default=16, ge=1, le=1024)
    """Size of a chunk in MiB, about: wide rows make chunks of fewer rows."""

    lock_timeout_seconds: float = Field(default=600, gt=0)
    """Seconds that a chunk waits for its table behind an ALTER TABLE or the like; then all of capture starts anew. It
    holds up no writers. MySQL, where a chunk needs a lock for a moment: how long it is tried for."""


#: The kinds of sources that speak MySQL's protocol, and all kinds.
MYSQL_KINDS: Final = ("mysql", "mariadb")
SOURCE_KINDS: Final = ("postgresql", *MYSQL_KINDS)

_POSTGRESQL_ONLY: Final = (
    "slot",
    "publication",
    "replica_identity",
    "slot_timeout_seconds",
)
_MYSQL_ONLY: Final = ("server_id", "zero_dates", "nul_characters", "answer_timeout_seconds")


class SourceConfig(_Database):
    """The database that is read."""

    type: str
    """Kind of database: postgresql, mysql or mariadb."""

    slot: Owned = Owned()
    """The logical replication slot. PostgreSQL only."""

    publication: Owned = Owned()
    """The publication that selects the tables. PostgreSQL only."""

    replica_identity: Literal["respect", "manage"] = "respect"
    """respect: a table without a usable identity is blocked, with the ALTER TABLE as its fix;
    manage: ferryman sets REPLICA IDENTITY FULL there. PostgreSQL only."""

    server_id: int = Field(default=0, ge=0, le=4294967295)
    """The number that capture has among the server's replicas; no other replica may have it. 0: derived from the
    pipeline's name. MySQL and MariaDB only."""

    zero_dates: Literal["keep", "infinity"] = "keep"
    """Dates that no calendar has (0000-00-00, a zero month or day, the year 0, 31 February). keep: they travel as they
    are, and the table stops at a target whose column is no text; infinity: they become -infinity. MySQL and MariaDB
    only."""

    nul_characters: Literal["keep", "symbol"] = "keep"
    """U+0000 in text, which PostgreSQL cannot hold. keep: it travels as it is, and the table stops at the target;
    symbol: it becomes U+2400, the picture of it. MySQL and MariaDB only."""

    answer_timeout_seconds: float = Field(default=60, ge=1)
    """Seconds of silence after which a connection counts as lost and is made anew, also that of the log, on which an
    idle server shows a sign of life every second. Half as long a statement waits for a table that is being altered.
    MySQL and MariaDB only."""

    discover_seconds: float = Field(default=10, gt=0)
    """Seconds between looks at the catalog for new tables."""

    heartbeat_seconds: float = Field(default=10, gt=0)
    """Seconds between marks in the log of an otherwise idle database, so that its log can be dropped; MySQL and MariaDB
    get no such marks."""

    lock_timeout_seconds: float = Field(default=3, gt=0)
    """Seconds that a statement of ferryman's that changes a table or the publication, or on MySQL holds a table still
    for a moment, waits for its lock, with writers behind it, before it is tried again later."""

    patience_seconds: float = Field(default=5, gt=0)
    """Seconds to wait for a slot (MySQL, MariaDB: a lock) that the session before has not let go of, and for a commit
    that is in PostgreSQL's log and not visible yet, before the stream is opened anew."""

    slot_timeout_seconds: float = Field(default=30, gt=0)
    """Seconds that a new slot waits for transactions that run already before they are named and it is tried again.
    PostgreSQL only."""

    snapshot: SnapshotConfig = SnapshotConfig()
    """How existing rows are read."""

    @property
    def conninfo(self) -> str:
        """What the driver of this kind of database connects with: libpq's text, or a URL for runtime.mysql."""
        if self.type not in MYSQL_KINDS:
            return super().conninfo
        base = self.url.get_secret_value() if self.url else self._mysql_url()
        password = self.password.get_secret_value() if self.password else None
        return mysql_url.override(base, password=password, ssl_mode="PREFERRED" if self.tls == "insecure" else None)

    def _mysql_url(self) -> str:
        port = self.port if "port" in self.model_fields_set else mysql_url.DEFAULT_PORT
        return mysql_url.make(host=self.host or "", port=port, user=self.user or "", database=self.dbname or "")

    def _check_conninfo(self) -> None:
        if self.type in MYSQL_KINDS:
            mysql_url.parse(self.conninfo)
        else:
            super()._check_conninfo()

    @field_validator("type", mode="after")
    @classmethod
    def _check_type(cls, value: str) -> str:
        if value in ("oracle", "mongodb"):
            raise fault(f"{value} is not available in this version", f"use one of {', '.join(SOURCE_KINDS)}")
        if value not in SOURCE_KINDS:
            raise fault(f"{value!r} is no kind of source", f"use one of {', '.join(SOURCE_KINDS)}")
        if value in MYSQL_KINDS and importlib.util.find_spec("pymysql") is None:
            raise fault("the driver for MySQL is not installed", "pip install 'ferryman[mysql]'")
        return value

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        """Refuse settings of the other kind of database: they would have no effect."""
        foreign, kind = (_POSTGRESQL_ONLY, "PostgreSQL") if self.type in MYSQL_KINDS else (_MYSQL_ONLY, "MySQL")
        given = [name for name in foreign if name in self.model_fields_set]
        if given:
            raise fault(f"{', '.join(given)}: a setting for {kind} sources only", "remove it")
        return self


class TargetConfig(_Database):
    """The database that is written: Aurora PostgreSQL, or any PostgreSQL 13+."""
