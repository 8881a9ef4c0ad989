"""One source database with one table, and what all subjects of a comparison share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from confluent_kafka.admin import AdminClient

from bench import databases

if TYPE_CHECKING:
    from pathlib import Path

    from bench.tables import Table


@dataclass(slots=True)
class World:
    """Addresses and names. ``source`` is a database of its own; every subject asks for a target of its own."""

    name: str
    kind: str
    kafka: str
    source: str
    target_server: str
    folder: Path
    table: Table
    namespace: str = "public"
    _targets: list[str] = field(default_factory=list)

    def new_target(self, name: str) -> str:
        """Return the URL of a new target database."""
        url = databases.create(self.target_server, name)
        self._targets.append(url)
        return url

    def drop(self) -> None:
        """Drop all databases, slots and topics, so that a stack that stays up does not fill the disk."""
        for url in (self.source, *self._targets):
            databases.drop(url)
        admin = AdminClient({"bootstrap.servers": self.kafka})
        topics = [name for name in admin.list_topics(timeout=30).topics if name.startswith(self.name)]
        for deleted in admin.delete_topics(topics, operation_timeout=30).values() if topics else ():
            deleted.result()
