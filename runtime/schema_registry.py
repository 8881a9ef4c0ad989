"""A Confluent Schema Registry as a store of schemas."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import UUID

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError

from runtime.errors import Refused, UnknownSchemaError, Unreachable
from schemas.framing import RegistryId, confluent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.settings_kafka import SchemaRegistryConfig
    from schemas.framing import Guid


class Registry:
    """A Confluent Schema Registry; subjects are ``<topic>-key`` and ``<topic>-value``."""

    def __init__(self, config: SchemaRegistryConfig) -> None:
        url = config.url.get_secret_value()
        self._where = urlsplit(url).hostname or "the schema registry"  # the URL itself may hold a password
        self._client = SchemaRegistryClient({"url": url, "timeout": config.timeout_seconds})

    def put_all(self, schemas: Sequence[tuple[str, str]]) -> None:
        """Do nothing: a registry takes one schema at a time, by :meth:`put`."""

    def put(self, subject: str, text: str) -> bytes:
        """Register a schema and return its frame; the registry keeps it before it answers."""
        return confluent(self._ask(lambda: self._client.register_schema(subject, Schema(text, "AVRO")), subject))

    def get(self, frame: RegistryId | Guid) -> str:
        """Return the text of the schema of an id or GUID."""
        if isinstance(frame, RegistryId):
            found = self._ask(lambda: self._client.get_schema(frame.value), f"schema {frame.value}")
        else:
            guid = str(UUID(bytes=frame.value))
            found = self._ask(lambda: self._client.get_schema_by_guid(guid), f"schema {guid}")
        return str(found.schema_str)

    def _ask(self, question: Callable[[], Any], about: str) -> Any:
        try:
            return question()
        except SchemaRegistryError as error:
            raise self._refusal(error, about) from None
        except Exception as error:  # noqa: BLE001 - the client hands on its HTTP library's errors, under no name of its own
            what = f"the schema registry does not answer ({type(error).__name__})"
            raise Unreachable(what, self._where, "check kafka.schema_registry.url") from None

    def _refusal(self, error: SchemaRegistryError, about: str) -> Exception:
        if error.http_status_code == HTTPStatus.NOT_FOUND:
            return UnknownSchemaError(f"{about} is not in the schema registry at {self._where}")
        if error.http_status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Unreachable(f"the schema registry failed ({error.http_status_code})", self._where)
        what = f"the schema registry refuses {about} ({error.http_status_code})"
        fix = f"set the compatibility of {about} to NONE" if error.http_status_code == HTTPStatus.CONFLICT else ""
        return Refused(what, self._where, fix or "check the user and its rights at the registry")
