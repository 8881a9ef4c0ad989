"""Servers behind proxies: each of the four links of a pipeline can be cut, stalled and slowed by itself."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote, urlsplit, urlunsplit

from operate.local import ports
from operate.local.kafka import Kafka
from operate.local.stack import Stack
from tests.support.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from operate.local.server import Say, Server

#: The links by name, in the order in which a row takes them.
NAMES: Final = ("source-capture", "capture-kafka", "kafka-apply", "apply-target")

#: How soon each side of a database link gives a silent peer up: far below what a stall lasts in the tests.
DATABASE_TIMEOUTS: Final = {
    "connect_timeout": "3",
    "tcp_user_timeout": "3000",
    "options": "-c wal_sender_timeout=4000",
}
#: The same of the brokers' links: a stall outlives them all, so that messages expire and the producer must rewind.
KAFKA_TIMEOUTS: Final = {"message.timeout.ms": 3_000, "socket.timeout.ms": 2_000, "reconnect.backoff.max.ms": 500}


class ProxiedKafka(Kafka):
    """A broker with a listener for each daemon, advertised at the port of that daemon's proxy."""

    port_names: ClassVar[tuple[str, ...]] = ("client", "controller", "capture", "apply")

    def __init__(self, folder: Path, say: Say, advertised: Mapping[str, int]) -> None:
        super().__init__(folder, say)
        self._advertised = advertised

    def settings(self) -> dict[str, str]:
        """Return all settings of this broker: those of a plain one, with two listeners more."""
        settings = super().settings()
        for name, port in self._advertised.items():
            listener = name.upper()
            settings["listeners"] += f",{listener}://{ports.HOST}:{self.ports[name]}"
            settings["advertised.listeners"] += f",{listener}://{ports.HOST}:{port}"
            settings["listener.security.protocol.map"] += f",{listener}:PLAINTEXT"
        return settings | {"inter.broker.listener.name": "PLAINTEXT"}


class ProxiedStack(Stack):
    """A stack with a proxy on each link; ``links`` has them by name. The servers themselves are reached directly."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._advertised = {"capture": ports.free_port(), "apply": ports.free_port()}
        self._proxies = ExitStack()
        self.links: dict[str, Proxy] = {}

    def server(self, name: str) -> Server:
        """Return one server by name."""
        if name == "kafka":
            return ProxiedKafka(self.folder / name, self._say, self._advertised)
        return super().server(name)

    def up(self) -> ProxiedStack:
        """Start servers and proxies."""
        super().up()
        if not self.links:
            brokers = self.server("kafka").ports
            ends = {
                "source-capture": (ports.free_port(), self.server("postgresql").port),
                "capture-kafka": (self._advertised["capture"], brokers["capture"]),
                "kafka-apply": (self._advertised["apply"], brokers["apply"]),
                "apply-target": (ports.free_port(), self.server("target").port),
            }
            self.links = {name: self._proxies.enter_context(Proxy(*end)) for name, end in ends.items()}
        return self

    def close(self) -> None:
        """End the proxies; the servers go with their folder."""
        self._proxies.close()


def rerouted(document: Mapping[str, Any], proxies: Mapping[str, Proxy], daemon: str) -> dict[str, Any]:
    """Return a pipeline file's document for one daemon: its two links lead through the proxies, with short timeouts."""
    database, link, brokers = {
        "capture": ("source", "source-capture", "capture-kafka"),
        "apply": ("target", "apply-target", "kafka-apply"),
    }[daemon]
    kafka = {
        "bootstrap_servers": f"{ports.HOST}:{proxies[brokers].port}",
        "properties": KAFKA_TIMEOUTS | document["kafka"].get("properties", {}),
    }
    url = through(proxies[link], document[database]["url"])
    return {**document, "kafka": document["kafka"] | kafka, database: document[database] | {"url": url}}


def through(proxy: Proxy, url: str) -> str:
    """Return a database's URL by way of a proxy, with timeouts for tests."""
    parts = urlsplit(url)
    address = f"{parts.netloc.rpartition(':')[0]}:{proxy.port}"
    query = "&".join(f"{name}={quote(value)}" for name, value in DATABASE_TIMEOUTS.items())
    return urlunsplit(parts._replace(netloc=address, query="&".join(filter(None, (parts.query, query)))))
