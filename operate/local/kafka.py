"""An Apache Kafka broker of our own, in KRaft mode, from Maven's jars."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING, ClassVar

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from operate.local import java, maven, ports, process
from operate.local.server import Server
from runtime.errors import Unreachable

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "4.4.0"
ARTIFACTS = [
    maven.Artifact("org.apache.kafka", "kafka_2.13", VERSION),
    # Kafka logs through slf4j and brings no binding; without one its log would stay empty.
    maven.Artifact("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.5"),
]
SIZE = 44 * 1024 * 1024

HEAP = "512m"
#: The JVM's default stack of one-shot tools is slow to warm up: the first compiler stage is enough for them.
TOOL_OPTIONS = ["-XX:TieredStopAtLevel=1", "-Xmx128m"]
SERVER_OPTIONS = [f"-Xmx{HEAP}", "-Xms128m", "-Djava.awt.headless=true"]
#: One cluster a folder, and its broker is never asked for its name: any base64 UUID will do.
CLUSTER_ID = "ZmVycnltYW4tbG9jYWwtMA"
#: 32 MiB: above the 16 MiB that ferryman sets on its topics, so that the topic's setting governs.
MESSAGE_MAX_BYTES = 32 * 1024 * 1024

SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "num.partitions": "1",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "message.max.bytes": str(MESSAGE_MAX_BYTES),
    "replica.fetch.max.bytes": str(MESSAGE_MAX_BYTES),
    # A topic that sets no retention keeps a week, as everywhere.
    "log.retention.hours": "168",
    # Small segments, so that compaction and retention have something to work on in a short life.
    "log.segment.bytes": str(128 * 1024 * 1024),
    # 16 MiB instead of 128, which would be a quarter of the heap.
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    # A killed broker may register again only when its session has run out: 3 s instead of 9.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "group.initial.rebalance.delay.ms": "0",
    # Tests of takeovers ask for short sessions.
    "group.min.session.timeout.ms": "1000",
}

#: Of any Java process of ours: warnings and errors to its standard output.
LOG_SETTINGS = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
"""


class Kafka(Server):
    """One broker that is its own controller."""

    title: ClassVar[str] = "Apache Kafka"
    port_names: ClassVar[tuple[str, ...]] = ("client", "controller")

    @property
    def address(self) -> str:
        """The bootstrap server, host:port."""
        return f"{ports.HOST}:{self.port}"

    def prepare(self) -> None:
        """Get the jars, write the settings, format the log folder, once."""
        (self.folder / "log4j2.properties").write_text(LOG_SETTINGS)
        self._settings_file.write_text(render(self.settings()))
        if not (self._data / "meta.properties").exists():
            self._format()

    def settings(self) -> dict[str, str]:
        """Return all settings of this broker."""
        listener, controller = self.address, f"{ports.HOST}:{self.ports['controller']}"
        return SETTINGS | {
            "listeners": f"PLAINTEXT://{listener},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{listener}",
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": str(self._data),
        }

    def command(self) -> process.Launch:
        """Return the broker's command line."""
        argv = self._java(SERVER_OPTIONS, "kafka.Kafka", str(self._settings_file))
        return process.Launch(argv, process.clean_environment(("KAFKA_", "JAVA_TOOL_OPTIONS")))

    def answers(self) -> bool:
        """Return whether the broker has registered itself: topics can be made then."""
        if not ports.listens(self.port):
            return False
        # What librdkafka would print of a broker that is not there yet is no news.
        admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0, "socket.timeout.ms": 5000})
        with contextlib.suppress(KafkaException):
            return bool(admin.list_topics(timeout=5).brokers)
        return False

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _settings_file(self) -> Path:
        return self.folder / "server.properties"

    def _java(self, options: list[str], main: str, *arguments: str) -> list[str]:
        jars = maven.download(f"Apache Kafka {VERSION}", ARTIFACTS, SIZE, self.say)
        logging = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}"
        return [java.find().program, *options, logging, "-cp", f"{jars}/*", main, *arguments]

    def _format(self) -> None:
        arguments = ["format", "--cluster-id", CLUSTER_ID, "--config", str(self._settings_file)]
        command = self._java(TOOL_OPTIONS, "kafka.tools.StorageTool", *arguments)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unreachable(
                f"Kafka could not format its folder: {(done.stdout + done.stderr)[-800:].strip()}",
                str(self._data),
                "see its message",
            )


def render(settings: dict[str, str]) -> str:
    """Return settings as a Java properties file (values here hold no line ends; backslashes are escaped)."""
    return "".join(f"{name}={value}\n".replace("\\", "\\\\") for name, value in sorted(settings.items()))
