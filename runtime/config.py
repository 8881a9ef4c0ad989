"""The pipeline file: :func:`load` reads one and reports all its faults at once; runtime.settings* have its sections."""

import re
import zlib
from pathlib import Path
from typing import Any, Final, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from runtime import pipeline_file
from runtime.config_faults import fault, translate
from runtime.errors import ConfigError, Fault
from runtime.settings import ApplyConfig, CaptureConfig, CommandsConfig, RetryConfig, Selection, TopicsConfig
from runtime.settings_database import MYSQL_KINDS, Owned, SnapshotConfig, SourceConfig, TargetConfig
from runtime.settings_kafka import KafkaConfig
from runtime.settings_section import Section
from runtime.settings_types import NO_RULES, TypeRules

__all__ = [
    "SECTIONS",
    "ApplyConfig",
    "CaptureConfig",
    "CommandsConfig",
    "ConfigError",
    "Fault",
    "KafkaConfig",
    "Owned",
    "Pipeline",
    "RetryConfig",
    "Selection",
    "SnapshotConfig",
    "SourceConfig",
    "TargetConfig",
    "TopicsConfig",
    "TypeRules",
    "load",
]

#: What ``load`` can be asked to resolve; other commands must not see these sections' secrets.
SECTIONS: Final = ("kafka", "source", "target")

_PIPELINE: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Pipeline(Section):
    """One pipeline: what a pipeline file says, checked."""

    pipeline: str = Field(pattern=f"^{_PIPELINE.pattern}$")
    """Its name: prefix of the topics, and names slot, publication, consumer group and control rows."""

    mode: str = "full_load_and_cdc"
    """full_load_and_cdc: copy what is there and follow every change."""

    kafka: KafkaConfig
    """The brokers."""

    source: SourceConfig | None = None
    """The database that is read; capture needs it."""

    target: TargetConfig | None = None
    """The database that is written; apply needs it."""

    tables: Selection
    """Which tables are carried: a list of entries with include, exclude or both; an exclude beats every include."""

    types: TypeRules = NO_RULES
    """Which columns get another type in the target than the source's own: a list of rules, of which the first counts
    that matches."""

    topics: TopicsConfig = TopicsConfig()
    """The topics that ferryman makes."""

    capture: CaptureConfig = CaptureConfig()
    """The capture daemon."""

    apply: ApplyConfig = ApplyConfig()
    """The apply daemon."""

    retry: RetryConfig = RetryConfig()
    """How long both daemons wait before they try again what failed."""

    commands: CommandsConfig = CommandsConfig()
    """The commands that watch and steer."""

    @model_validator(mode="before")
    @classmethod
    def _name_what_is_owned(cls, data: Any) -> Any:
        """What is ours at the source is called after the pipeline unless it has a name of its own."""
        source = data.get("source") if isinstance(data, dict) else None
        name = data.get("pipeline") if isinstance(data, dict) else None
        if not isinstance(source, dict) or not isinstance(name, str) or not _PIPELINE.fullmatch(name):
            return data
        return data | {"source": source | _owned(source, name)}

    @model_validator(mode="after")
    def _check_types(self) -> Self:
        """Refuse rules that would have no effect."""
        if self.types.root and self.apply.evolution == "ignore":
            raise fault("types: apply.evolution is ignore, so no column is made", "remove types:, or use evolve")
        if self.source is not None and self.source.type in MYSQL_KINDS:
            faults = [f"types[{i}].from: {why}" for i, why in self.types.foreign_to_mysql()]
            if faults:
                raise fault("; ".join(faults), "name the type alone (tinyint, bigint unsigned), and columns: with it")
        return self

    @field_validator("mode", mode="after")
    @classmethod
    def _check_mode(cls, value: str) -> str:
        if value in ("full_load", "cdc_only"):
            raise fault(f"{value} is not available in this version", "use full_load_and_cdc")
        if value != "full_load_and_cdc":
            raise fault(f"{value!r} is no mode", "use full_load_and_cdc")
        return value


def _owned(source: dict[str, Any], pipeline: str) -> dict[str, Any]:
    """Return the settings of a source section that are derived from the pipeline's name."""
    if source.get("type") in MYSQL_KINDS:
        return {"server_id": source.get("server_id") or server_id(pipeline)}
    default = {"name": f"ferryman_{pipeline}"}
    return {k: default | source.get(k, {}) for k in ("slot", "publication") if isinstance(source.get(k, {}), dict)}


def server_id(pipeline: str) -> int:
    """Return the number of a pipeline's capture among a MySQL's replicas: one of the half that people seldom use."""
    return 1 << 31 | zlib.crc32(pipeline.encode()) >> 1


def load(path: str | Path, sections: set[str]) -> Pipeline:
    """Read a pipeline file; ``sections`` of kafka, source, target are resolved, must be there, and are checked fully.

    Of a section not asked for only the keys are checked, and its references are not followed: source and target are
    None then, kafka is as written. Raises ConfigError with every fault of the file.
    """
    data = pipeline_file.read(Path(path))
    faults = [
        Fault(name, "is missing", f"add a section `{name}:`")
        for name in SECTIONS
        if name in sections and not data.get(name)
    ]
    hidden = set(SECTIONS) - sections
    unresolved: list[Fault] = []
    resolved = {
        key: value if key in hidden else pipeline_file.resolve_tree(value, (str(key),), unresolved)
        for key, value in data.items()
    }
    faults += unresolved
    try:
        Pipeline.model_validate(resolved)
    except ValidationError as error:
        known = {one.where for one in faults}
        faults += [one for one in translate(error, Pipeline, hidden) if one.where not in known]
    if faults:
        raise ConfigError(faults, str(path))
    return Pipeline.model_validate({k: v for k, v in resolved.items() if k not in hidden - {"kafka"}})
