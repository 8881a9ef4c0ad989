"""One source database with one table, and what all subjects of a comparison share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from confluent_kafka.admin import AdminClient

from bench import databases

if TYPE_CHECKING:
    from pathlib import Path

    from bench.sites import Site
    from bench.tables import Table


def source_name(world: str) -> str:
    """Return the name of a world's source database."""
    return f"{world}_source"


@dataclass(slots=True)
class World:
    """Addresses and names. ``source`` is a database of its own; every subject asks for a target of its own."""

    name: str
    site: Site
    kafka: str
    source: str
    target_server: str
    folder: Path
    table: Table
    namespace: str
    _targets: list[str] = field(default_factory=list)

    def new_target(self, name: str) -> str:
        """Return the URL of a new target database."""
        url = databases.create(self.target_server, name)
        self._targets.append(url)
        return url

    def drop(self) -> None:
        """Drop all databases, slots and topics, so that a stack that stays up does not fill the disk."""
        self.site.drop(source_name(self.name), self.source)
        for url in self._targets:
            databases.drop(url)
        admin = AdminClient({"bootstrap.servers": self.kafka})
        topics = [name for name in admin.list_topics(timeout=30).topics if name.startswith(self.name)]
        for deleted in admin.delete_topics(topics, operation_timeout=30).values() if topics else ():
            deleted.result()
