"""The sections of a pipeline file: every setting with its default, its unit and the reason for it.

The docstring under each setting is its documentation: docs/configuration.md and the JSON Schema are made of them.
"""

import importlib.util
import re
from typing import Annotated, Any, Final, Literal, Self

from psycopg.conninfo import make_conninfo
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    SecretStr,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from runtime import mysql_url, selection
from runtime.config_faults import fault
from runtime.errors import BadInput
from runtime.postgres import parse_conninfo


class Section(BaseModel):
    """Some settings; frozen, without room for unknown ones."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True, validate_default=False
    )


_UNITS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(r"([1-9]\d*)(ms|s|m|h|d)")


def _retention(value: Any) -> Any:
    if value == "unlimited" or (isinstance(value, str) and _DURATION.fullmatch(value)):
        return value
    raise fault("is no duration", "write unlimited, or a number and a unit: 30d, 12h, 90m")


def _patterns(value: Any) -> tuple[selection.TablePattern, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise fault("is no pattern", selection.SPELLING)
    try:
        return tuple(map(selection.parse, texts))
    except ValueError as error:
        raise fault(str(error), selection.SPELLING) from None


_TEXT_OR_LIST: Final = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
Patterns = Annotated[
    tuple[selection.TablePattern, ...], BeforeValidator(_patterns), WithJsonSchema(_TEXT_OR_LIST, mode="validation")
]

#: Settings that carry a promise: at least once, in order, no gap skipped, positions saved by us alone.
_FIXED_PROPERTIES: Final = (
    "acks",
    "request.required.acks",
    "enable.idempotence",
    "auto.offset.reset",
    "enable.auto.commit",
)


_PROPERTIES_SCHEMA: Final = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}


class SchemaRegistryConfig(Section):
    """A Confluent Schema Registry; without one, schemas travel in the topic ``<pipeline>.schemas``."""

    url: SecretStr
    """Where it answers; user and password may stand in it."""


class KafkaConfig(Section):
    """The brokers."""

    bootstrap_servers: str = Field(min_length=1)
    """host:port of one or more brokers, separated by commas."""

    properties: Annotated[dict[str, str], WithJsonSchema(_PROPERTIES_SCHEMA)] = Field(
        default={}, repr=False, exclude=True
    )
    """librdkafka settings of every client (security.protocol, sasl.*, ssl.*); what carries a promise is refused."""

    schema_registry: SchemaRegistryConfig | None = None
    """A Confluent Schema Registry for readers that need one."""

    @property
    def schema_registry_url(self) -> str | None:
        """Where the registry answers, if one is used."""
        return self.schema_registry.url.get_secret_value() if self.schema_registry else None

    @field_validator("properties", mode="before")
    @classmethod
    def _check_properties(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        fixed = sorted(set(_FIXED_PROPERTIES) & set(value))
        if fixed:
            raise fault(f"may not set {', '.join(fixed)}", "remove it: ferryman's guarantees depend on its own value")
        return {str(key): _property(item) for key, item in value.items()}


def _property(value: Any) -> Any:
    """Return a setting as librdkafka takes it: text; YAML's numbers and truth values are written as it spells them."""
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, int | float) else value


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


#: The kinds of sources that speak MySQL's protocol, and all kinds.
MYSQL_KINDS: Final = ("mysql", "mariadb")
SOURCE_KINDS: Final = ("postgresql", *MYSQL_KINDS)

_POSTGRESQL_ONLY: Final = ("slot", "publication", "replica_identity")
_MYSQL_ONLY: Final = ("server_id", "zero_dates", "nul_characters")


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

    discover_seconds: float = Field(default=10, gt=0)
    """Seconds between looks at the catalog for new tables."""

    heartbeat_seconds: float = Field(default=10, gt=0)
    """Seconds between marks in the log of an otherwise idle database, so that its log can be dropped."""

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


class TopicsConfig(Section):
    """The topics that ferryman makes."""

    create: bool = True
    """Whether ferryman makes missing topics; false: somebody makes them beforehand."""

    partitions: int = Field(default=1, ge=1)
    """Partitions of each table's topic."""

    replication_factor: int = Field(default=-1, ge=-1, le=32767)
    """Copies of each topic; -1: the brokers' default."""

    retention: Annotated[str, BeforeValidator(_retention)] = "unlimited"
    """How long events stay: unlimited, or a duration (30d, 12h); a target can be rebuilt only from what is there."""

    cleanup: str = "delete"
    """delete: full history within retention."""

    max_message_bytes: int = Field(default=16 * 1024 * 1024, ge=1024, le=100 * 1024 * 1024)
    """Largest event in bytes; a larger row blocks its table."""

    @property
    def retention_ms(self) -> int:
        """Retention in milliseconds, -1 for unlimited, as Kafka's ``retention.ms``."""
        found = _DURATION.fullmatch(self.retention)
        return int(found[1]) * _UNITS[found[2]] if found else -1

    @field_validator("cleanup", mode="after")
    @classmethod
    def _check_cleanup(cls, value: str) -> str:
        if value == "compact":
            raise fault("compact is not available in this version", "use delete")
        if value != "delete":
            raise fault(f"{value!r} is no cleanup policy", "use delete")
        return value

    @field_validator("partitions", mode="after")
    @classmethod
    def _check_partitions(cls, value: int) -> int:
        if value != 1:
            raise fault("more than one partition is not available in this version", "use 1")
        return value


class CaptureConfig(Section):
    """The capture daemon."""

    save_interval_ms: int = Field(default=200, ge=1)
    """Milliseconds between saves of the position: what a crash publishes again (and apply drops again)."""

    batch_rows: int = Field(default=10_000, ge=1)
    """Rows taken from the stream at a time, about: bounds memory."""

    batch_wait_ms: int = Field(default=100, ge=1)
    """Milliseconds to wait for the stream when it is idle."""


class ApplyConfig(Section):
    """The apply daemon."""

    batch_rows: int = Field(default=50_000, ge=1)
    """Most events of a target transaction, about: bounds memory and the time that locks are held."""

    batch_wait_ms: int = Field(default=100, ge=1)
    """Milliseconds to wait for events when there are none."""

    evolution: Literal["evolve", "strict", "ignore"] = "evolve"
    """evolve: add and widen columns as the source does, never drop; strict: block the table on any difference;
    ignore: write the columns that both sides have."""

    lock_timeout_seconds: float = Field(default=10, gt=0)
    """Seconds to wait for a lock at the target before the transaction is tried again."""

    statement_timeout_seconds: float = Field(default=600, gt=0)
    """Seconds that one statement at the target may take before the transaction is tried again."""

    session_timeout_ms: int = Field(default=10_000, ge=1_000)
    """Milliseconds without a sign of life after which another replica takes a replica's partitions."""


class TableRule(Section):
    """One entry of ``tables``."""

    include: Patterns = ()
    """Pattern or list of patterns <schema>.<table>: * and ? are wildcards, odd names stand in double quotes."""

    exclude: Patterns = ()
    """Tables not to carry, whichever entry includes them."""

    @model_validator(mode="after")
    def _check_any(self) -> Self:
        if not self.include and not self.exclude:
            raise fault("selects nothing", "give include: or exclude:")
        return self


class Selection(RootModel[tuple[TableRule, ...]]):
    """Which tables are carried: those that any entry includes and none excludes."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="after")
    def _check_any(self) -> Self:
        if not any(rule.include for rule in self.root):
            raise fault("includes no table", "add an entry such as `- include: public.*`")
        return self

    @property
    def schemas(self) -> list[str]:
        """The schemas that are named without wildcards, in order."""
        return list(dict.fromkeys(p.schema for rule in self.root for p in rule.include if p.schema is not None))

    def matches(self, namespace: str, name: str) -> bool:
        """Whether a table of the source is carried."""
        included = any(p.matches(namespace, name) for rule in self.root for p in rule.include)
        return included and not any(p.matches(namespace, name) for rule in self.root for p in rule.exclude)
