"""What the peer is made of, from Maven repositories, kept in ferryman's cache."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filelock import FileLock

from operate.local import maven
from operate.local.maven import Artifact

if TYPE_CHECKING:
    from pathlib import Path

    from operate.local.server import Say

CONNECT_VERSION = "4.3.1"
SINK_VERSION = "3.6.0.Final"
APICURIO_VERSION = "2.6.13.Final"

#: Connect looks for log4j's own classes when it starts, and its runtime brings no binding.
CONNECT = [
    Artifact("org.apache.kafka", "connect-runtime", CONNECT_VERSION),
    Artifact("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.5"),
    Artifact("org.apache.logging.log4j", "log4j-core", "2.25.5"),
]
CONVERTER = [Artifact("io.apicurio", "apicurio-registry-utils-converter", APICURIO_VERSION)]
REGISTRY = Artifact("io.apicurio", "apicurio-registry-app", APICURIO_VERSION, "tar.gz", "all")
SINK = Artifact("io.debezium", "debezium-connector-jdbc", SINK_VERSION, "tar.gz", "plugin")

#: The newest source connector for each kind of source.
SOURCES = {
    "postgresql": Artifact("io.debezium", "debezium-connector-postgres", "3.6.1.Final", "tar.gz", "plugin"),
    "mysql": Artifact("io.debezium", "debezium-connector-mysql", "3.6.1.Final", "tar.gz", "plugin"),
    "mariadb": Artifact("io.debezium", "debezium-connector-mariadb", "3.5.0.Final", "tar.gz", "plugin"),
}
_MIB = 1 << 20
#: The converter's jars do not say that they hold one. A manifest beside them does, as Kafka's own tool
#: ``connect-plugin-path sync-manifests`` would write it: a worker that need not search its plugins starts sooner.
_MANIFEST = "META-INF/services/org.apache.kafka.connect.storage.Converter"
#: The worker brings these itself, in another version.
_NOT_OF_THE_PLUGIN = shutil.ignore_patterns("content*", "lock", "connect-*", "kafka-clients-*")
_CONVERTER_CLASS = "io.apicurio.registry.utils.converter.AvroConverter"


@dataclass(frozen=True, slots=True)
class Jars:
    """Folders: Connect's class path, one folder for each plugin, and the registry's program."""

    connect: Path
    plugins: list[Path]
    registry: Path
    source: Artifact

    @property
    def versions(self) -> dict[str, str]:
        """What a result says of the peer."""
        return {
            "kafka-connect": CONNECT_VERSION,
            self.source.name: self.source.version,
            SINK.name: SINK.version,
            "apicurio-registry": APICURIO_VERSION,
        }


def fetch(source: str, say: Say) -> Jars:
    """Return everything that moves a source of this kind; it is downloaded (about 270 MiB) the first time.

    Raises:
        BadInput: no ``mvn``, no Java, or a full disk.
        Unreachable: Maven could not get the files.
    """
    return Jars(
        maven.download(f"Kafka Connect {CONNECT_VERSION}", CONNECT, 40 * _MIB, say),
        [
            _as_plugin(maven.download(f"Apicurio converter {APICURIO_VERSION}", CONVERTER, 26 * _MIB, say)),
            _unpacked(f"Debezium {source} {SOURCES[source].version}", SOURCES[source], 30 * _MIB, say),
            _unpacked(f"Debezium JDBC sink {SINK_VERSION}", SINK, 60 * _MIB, say),
        ],
        _unpacked(f"Apicurio registry {APICURIO_VERSION}", REGISTRY, 150 * _MIB, say),
        SOURCES[source],
    )


def _as_plugin(folder: Path) -> Path:
    """Return a folder whose one subfolder is the plugin: jars that lie in it directly would be plugins each."""
    content = folder / "content"
    with FileLock(folder / "lock"):
        if not content.exists():
            draft = folder / "content.part"
            shutil.rmtree(draft, ignore_errors=True)
            shutil.copytree(folder, draft / "converter", ignore=_NOT_OF_THE_PLUGIN)
            with zipfile.ZipFile(draft / "converter" / "manifest.jar", "w") as jar:
                jar.writestr(_MANIFEST, _CONVERTER_CLASS)
            draft.rename(content)
    return content


def _unpacked(title: str, artifact: Artifact, size: int, say: Say) -> Path:
    folder = maven.download(title, [artifact], size, say)
    content = folder / "content"
    with FileLock(folder / "lock"):
        if not content.exists():
            (archive,) = folder.glob("*.tar.gz")
            draft = folder / "content.part"
            shutil.rmtree(draft, ignore_errors=True)
            with tarfile.open(archive) as packed:
                packed.extractall(draft, filter="data")
            draft.rename(content)
            archive.unlink()
    return content
