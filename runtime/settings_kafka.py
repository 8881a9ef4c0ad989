"""The section of a pipeline file about the brokers."""

from typing import Annotated, Any, Final

from pydantic import Field, SecretStr, WithJsonSchema, field_validator

from runtime.config_faults import fault
from runtime.settings_section import Section

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

    timeout_seconds: float = Field(default=30, gt=0)
    """Seconds to wait for an answer of it."""


class KafkaConfig(Section):
    """The brokers."""

    bootstrap_servers: str = Field(min_length=1)
    """host:port of one or more brokers, separated by commas."""

    properties: Annotated[dict[str, str], WithJsonSchema(_PROPERTIES_SCHEMA)] = Field(
        default={}, repr=False, exclude=True
    )
    """librdkafka settings of every client (security.protocol, sasl.*, ssl.*); what carries a promise is refused."""

    request_timeout_seconds: float = Field(default=10, gt=0)
    """Seconds after which a broker that does not answer a question counts as unreachable."""

    delivery_timeout_seconds: float = Field(default=20, ge=1)
    """Seconds after which a schema, or a request of the command line, that no broker acknowledged counts as not stored.
    For events it is message.timeout.ms among the properties: 10 minutes, since an outage shorter than that then costs
    time and no rewind."""

    schema_wait_seconds: float = Field(default=5, ge=0)
    """Seconds for which a schema that is not there yet is looked for again: brokers may lag behind one another."""

    schema_pause_seconds: float = Field(default=60, ge=0)
    """Seconds after a schema did not come for which no other one is waited for: a topic may hold any number of events
    whose schema nobody knows."""

    schema_registry: SchemaRegistryConfig | None = None
    """A Confluent Schema Registry for readers that need one."""

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
