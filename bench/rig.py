"""The servers of a run, and the subjects that are compared on them."""

from __future__ import annotations

import secrets
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from bench import databases, process
from bench.debezium import jars, jvm
from bench.debezium.connectors import Format
from bench.debezium.registry import Registry
from bench.debezium.subject import Debezium, Installation
from bench.ferryman import Ferryman
from bench.sites import SITES
from bench.world import World, source_name
from operate.local import kafka
from operate.local.stack import DEFAULT_SERVICES, Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.subject import Subject
    from bench.tables import Table

    Kind = Callable[[World], Subject]


class Rig:
    """A running stack with a work folder, and the peer if it was asked for."""

    def __init__(
        self, stack: Stack, folder: Path, kind: str, peer: Installation | None, formats: tuple[Format, ...]
    ) -> None:
        self._stack, self._folder, self._kind = stack, folder, kind
        self.peer, self.formats = peer, formats

    @contextmanager
    def world(self, table: Table) -> Iterator[World]:
        """Give a new, empty source database; at the end whatever runs is killed and all data dropped."""
        name = f"bench_{secrets.token_hex(3)}"
        site = SITES[self._kind](self._stack.server(self._kind).address)
        source = site.create(source_name(name))
        target = self._stack.server("target").address
        broker = self._stack.server("kafka").address
        world = World(name, site, broker, source, target, self._folder, table, site.namespace(source_name(name)))
        try:
            with process.ended_afterwards():
                yield world
        finally:
            world.drop()

    def kinds(self, turn: int = 0, formats: tuple[Format, ...] | None = None) -> list[Kind]:
        """Return what can make subjects: ferryman and, where a peer was asked for, the peer in each of its formats.

        In every second turn they come in reverse order: whoever is first meets colder caches.
        """
        found: list[Kind] = [Ferryman]
        if self.peer is not None:
            found += [
                partial(Debezium, installation=self.peer, form=form)
                for form in (self.formats if formats is None else formats)
            ]
        return found[::-1] if turn % 2 else found

    @property
    def applied_formats(self) -> tuple[Format, ...]:
        """Those of the peer's formats that its sink understands."""
        return tuple(form for form in self.formats if form is not Format.PLAIN_JSON)

    def subjects(self, world: World, turn: int = 0) -> list[Subject]:
        """Return one subject of each kind in one world."""
        return [kind(world) for kind in self.kinds(turn)]

    def alone(self) -> Rig:
        """Return the same servers without the peer."""
        return Rig(self._stack, self._folder, self._kind, None, ())

    @property
    def versions(self) -> dict[str, str]:
        """The versions of everything that takes part."""
        with psycopg.connect(self._stack.server("target").address) as connection:
            found = {"target": databases.one(connection, "SHOW server_version").split()[0], "kafka": kafka.VERSION}
        found |= SITES[self._kind](self._stack.server(self._kind).address).version()
        if self.peer is not None:
            found |= self.peer.jars.versions | {"java": str(self.peer.java.version)}
        return found


@contextmanager
def rig(folder: Path | None, kind: str, *, peer: bool, java: int | None, formats: tuple[Format, ...]) -> Iterator[Rig]:
    """Give a rig for a ``kind`` of source on a stack of its own; one in ``folder`` stays up for the next run."""
    with ExitStack() as stacked:
        made = stacked.enter_context(tempfile.TemporaryDirectory(prefix="ferryman-bench-", ignore_cleanup_errors=True))
        Path(made).chmod(0o711)  # the servers' own user must get through
        services = [*DEFAULT_SERVICES] + ([kind] if kind not in DEFAULT_SERVICES else [])
        stack = Stack(folder or Path(made) / "stack", services).up()
        if folder is None:
            stacked.callback(stack.remove)
        _configure(stack)
        installation = None
        if peer:
            parts = jars.fetch(kind, lambda text: print(text, file=sys.stderr))
            registry = stacked.enter_context(Registry(parts.registry, Path(made)))
            installation = Installation(parts, jvm.find(java), registry.url)
        yield Rig(stack, Path(made), kind, installation, formats)


def _configure(stack: Stack) -> None:
    """Restart the database servers with what the benchmarks need, unless they have it."""
    for name in ("postgresql", "target"):
        with psycopg.connect(stack.server(name).address, autocommit=True) as connection:
            if databases.one(connection, "SHOW track_commit_timestamp") == "on":
                continue
            connection.execute("ALTER SYSTEM SET track_commit_timestamp = on")
        stack.server(name).stop()
        stack.start(name)
