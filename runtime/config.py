"""The pipeline file: :func:`load` reads one and reports all its faults at once; runtime.settings has its sections."""

import re
from pathlib import Path
from typing import Any, Final

from pydantic import Field, ValidationError, field_validator, model_validator

from runtime import pipeline_file
from runtime.config_faults import fault, translate
from runtime.errors import ConfigError, Fault
from runtime.settings import (
    ApplyConfig,
    CaptureConfig,
    KafkaConfig,
    Owned,
    Section,
    Selection,
    SnapshotConfig,
    SourceConfig,
    TargetConfig,
    TopicsConfig,
)

__all__ = [
    "SECTIONS",
    "ApplyConfig",
    "CaptureConfig",
    "ConfigError",
    "Fault",
    "KafkaConfig",
    "Owned",
    "Pipeline",
    "Selection",
    "SnapshotConfig",
    "SourceConfig",
    "TargetConfig",
    "TopicsConfig",
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

    topics: TopicsConfig = TopicsConfig()
    """The topics that ferryman makes."""

    capture: CaptureConfig = CaptureConfig()
    """The capture daemon."""

    apply: ApplyConfig = ApplyConfig()
    """The apply daemon."""

    @model_validator(mode="before")
    @classmethod
    def _name_what_is_owned(cls, data: Any) -> Any:
        """Slot and publication are called after the pipeline unless they have names of their own."""
        source = data.get("source") if isinstance(data, dict) else None
        name = data.get("pipeline") if isinstance(data, dict) else None
        if not isinstance(source, dict) or not isinstance(name, str) or not _PIPELINE.fullmatch(name):
            return data
        default = {"name": f"ferryman_{name}"}
        owned = {k: default | source.get(k, {}) for k in ("slot", "publication") if isinstance(source.get(k, {}), dict)}
        return data | {"source": source | owned}

    @field_validator("mode", mode="after")
    @classmethod
    def _check_mode(cls, value: str) -> str:
        if value in ("full_load", "cdc_only"):
            raise fault(f"{value} is not available in this version", "use full_load_and_cdc")
        if value != "full_load_and_cdc":
            raise fault(f"{value!r} is no mode", "use full_load_and_cdc")
        return value


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
