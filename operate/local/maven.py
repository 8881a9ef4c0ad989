"""Artifacts from Maven repositories, through the ``mvn`` client and its settings, kept in a cache folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from filelock import FileLock

from operate.local import java
from operate.local.server import require_room
from runtime.errors import BadInput, Unreachable

if TYPE_CHECKING:
    from operate.local.server import Say

#: Every this many files a line tells how far a download is.
PROGRESS_STEP = 20

POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>ferryman</groupId>
  <artifactId>download</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
{dependencies}
  </dependencies>
</project>
"""
DEPENDENCY = """\
    <dependency>
      <groupId>{}</groupId>
      <artifactId>{}</artifactId>
      <version>{}</version>{}
    </dependency>"""
#: An archive is complete: what its project depends on is inside it.
ARCHIVE = """
      <type>{}</type>
      <classifier>{}</classifier>
      <exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>"""


@dataclass(frozen=True, slots=True)
class Artifact:
    """Maven coordinates. What a jar depends on comes with it; an archive (``kind``: its suffix) comes alone."""

    group: str
    name: str
    version: str
    kind: str = "jar"
    classifier: str = ""


def cache_folder() -> Path:
    """Return where downloads are kept: FERRYMAN_CACHE, else ~/.cache/ferryman."""
    return Path(os.environ.get("FERRYMAN_CACHE") or Path.home() / ".cache" / "ferryman").absolute()


def download(title: str, artifacts: list[Artifact], size: int, say: Say) -> Path:
    """Return a folder with the files of ``artifacts``; they are downloaded (about ``size`` bytes) the first time.

    ``title`` names the folder: another version needs another title. Several processes may ask at once.

    Raises:
        BadInput: no ``mvn``, no Java, or a full disk.
        Unreachable: Maven could not get the files.
    """
    cache = cache_folder()
    folder = cache / title.lower().replace(" ", "-")
    if folder.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "lock"):
        if not folder.exists():
            client = _client()
            require_room(cache, 3 * size)
            say(f"downloading {title} (about {size >> 20} MiB, kept in {cache})")
            _fetch(client, title, artifacts, folder, say)
    return folder


def _fetch(client: str, title: str, artifacts: list[Artifact], folder: Path, say: Say) -> None:
    draft = folder.with_suffix(".part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    (draft / "pom.xml").write_text(pom(artifacts))
    _run_maven(client, title, draft, say)
    (draft / "jars").rename(folder)
    shutil.rmtree(draft)


def pom(artifacts: list[Artifact]) -> str:
    """Return a project whose only content is its dependencies."""
    return POM.format(dependencies="\n".join(map(_dependency, artifacts)))


def _dependency(artifact: Artifact) -> str:
    archive = "" if artifact.kind == "jar" else ARCHIVE.format(escape(artifact.kind), escape(artifact.classifier))
    return DEPENDENCY.format(escape(artifact.group), escape(artifact.name), escape(artifact.version), archive)


def _run_maven(client: str, title: str, draft: Path, say: Say) -> None:
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={draft / 'jars'}"]
    command = [client, "--batch-mode", "--file", str(draft / "pom.xml"), *goal]
    environment = os.environ | java.find().environment
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as run:
        errors = _follow(run, title, say)
    if run.returncode:
        raise Unreachable(
            f"Maven could not download {title}: {' '.join(errors[:2])}",
            "mvn",
            "check the network, and the repositories and proxies in Maven's settings.xml; then try again",
        )


def _follow(run: subprocess.Popen[str], title: str, say: Say) -> list[str]:
    assert run.stdout is not None
    files, errors = 0, []
    for line in run.stdout:
        if "Downloaded from" in line and ".jar" in line:
            files += 1
            if files % PROGRESS_STEP == 0:
                say(f"  {title}: {files} files")
        elif text := line.partition("[ERROR]")[2].strip():
            errors.append(text)
    return errors


def _client() -> str:
    client = shutil.which("mvn")
    if client is None:
        raise BadInput(
            "Apache Maven (mvn) is not installed; the servers' programs are downloaded with it",
            "PATH",
            "run make setup, or install it: apt-get install maven, brew install maven, dnf install maven",
        )
    return client
