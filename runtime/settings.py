"""The sections of a pipeline file about topics, tables and daemons; brokers and databases have files of their own.

The docstring under each setting is its documentation: docs/configuration.md and the JSON Schema are made of them. It
says the unit and the reason.
"""

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, RootModel, WithJsonSchema, field_validator, model_validator

from runtime import selection
from runtime.config_faults import fault
from runtime.settings_section import Section

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

    takeover_seconds: float = Field(default=2, gt=0)
    """Seconds that a new owner of a partition waits for the old one's open transaction before it ends its session."""

    fenced_seconds: float = Field(default=15, gt=0)
    """Seconds until a partition that another replica took is tried again, if the group still gives it to this one."""

    look_seconds: float = Field(default=10, gt=0)
    """Seconds between looks at the brokers for topics that were made anew or that no replica reads; as long is waited
    for the group's answer to a change of topics."""

    expelled_seconds: float = Field(default=60, ge=0)
    """Seconds between two expulsions from the group that a replica outlives: sooner, another one really bears its
    name (`--instance`), and it stops."""


class RetryConfig(Section):
    """How long both daemons wait before they try again what failed."""

    first_ms: int = Field(default=200, ge=1)
    """Milliseconds before the first new try; each pause is twice the one before, with jitter."""

    longest_seconds: float = Field(default=15, gt=0)
    """Longest pause before something that passes by itself is tried again: the lag that an outage may leave behind."""

    blocked_seconds: float = Field(default=60, gt=0)
    """Longest pause before a blocked table, or a target without room, is looked at again; the first one is a twelfth of
    it."""

    stuck_seconds: float = Field(default=120, gt=0)
    """Seconds without a turn of a daemon's loop after which `/healthz` calls it stuck; longer than any pause above."""

    @model_validator(mode="after")
    def _check_stuck(self) -> Self:
        if self.stuck_seconds <= max(self.longest_seconds, self.blocked_seconds):
            raise fault("stuck_seconds is no longer than the longest pause", "raise it, or shorten the pauses")
        return self


class CommandsConfig(Section):
    """The commands that watch and steer."""

    patience_seconds: float = Field(default=30, gt=0)
    """Seconds without a sign or a move after which they hold that a daemon does not respond, that the target will not
    catch up, and that a halt from before a new snapshot still stands; longer than source.heartbeat_seconds."""

    stopped_seconds: float = Field(default=5, gt=0)
    """The same for validate where capture says that it was stopped: most likely nobody starts it again."""

    leaving_seconds: float = Field(default=15, gt=0)
    """Seconds that teardown waits for a replica of apply that just stopped to leave its group; longer than
    apply.session_timeout_ms."""

    repair_lock_seconds: float = Field(default=60, gt=0)
    """Seconds that `validate --repair` waits for the transaction of apply that it must not meet."""

    teardown_lock_seconds: float = Field(default=5, gt=0)
    """Seconds that teardown waits for the transactions of other pipelines, and holds up theirs, before it leaves the
    empty schema ferryman where it is."""


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
