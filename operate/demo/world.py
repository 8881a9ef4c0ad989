"""The demo's own stack and daemons, in one temporary folder: made, ended and removed, also after a demo that died."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from operate.demo import processes
from operate.demo.processes import Daemon
from operate.local.process import Identity
from operate.local.stack import Stack
from runtime import config

if TYPE_CHECKING:
    from operate.demo.application import Application
    from operate.local.server import Say
    from runtime.config import Pipeline

#: All demos of one user have their folders here, one each.
BASE = Path(tempfile.gettempdir()) / f"ferryman-demo-{os.geteuid()}"
#: Holds the identity of the demo that uses a folder; a folder that is kept has none.
OWNER = "owner"
NAME = "nyc"

#: Passwords stay where the stack keeps them: in files that only we can read.
PIPELINE = """\
pipeline: {name}
kafka:
  bootstrap_servers: {kafka}
source:
  type: {type}
  url: {source}
  password: ${{file:{source_password}}}
target:
  url: {target}
  password: ${{file:{target_password}}}
tables:
  - include: public.*
"""


class World:
    """One demo's folder: the stack, the pipeline file, and the daemons."""

    def __init__(self, say: Say, application: Application) -> None:
        remove_abandoned()
        self.application = application
        BASE.mkdir(mode=0o711, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(dir=BASE))
        self.folder.chmod(0o711)  # the server's user must get through
        Identity.of(os.getpid()).write(self.folder / OWNER)
        self.stack = Stack(self.folder / "stack", ["kafka", application.server, "target"], say)
        self.file = self.folder / "demo.yaml"
        self.capture = Daemon("capture", self.folder, str(self.file))
        self.apply = Daemon("apply", self.folder, str(self.file), "--instance", "demo")

    @property
    def source(self) -> str:
        """The superuser's URL of the source."""
        return self.stack.server(self.application.server).address

    @property
    def target(self) -> str:
        """The superuser's URL of the target."""
        return self.stack.server("target").address

    def open(self) -> Pipeline:
        """Start the servers, write the pipeline file, and return what it says."""
        self.stack.up()
        servers = {"source": self.application.server, "target": "target"}
        urls = {role: _without_password(self.stack.server(name).address) for role, name in servers.items()}
        passwords = {f"{role}_password": self.stack.folder / name / "password" for role, name in servers.items()}
        kafka = self.stack.server("kafka").address
        kind = self.application.type
        self.file.write_text(PIPELINE.format(name=NAME, type=kind, kafka=kafka, **urls, **passwords))
        return config.load(self.file, set(config.SECTIONS))

    def keep(self) -> None:
        """Leave everything running; ``ferryman demo --stop`` ends it."""
        (self.folder / OWNER).unlink()

    def remove(self) -> None:
        """End and delete everything."""
        _remove(self.folder)


def remove_abandoned() -> None:
    """Remove what demos left behind that were killed before they could do it themselves."""
    for folder in BASE.glob("*"):
        owner = Identity.read(folder / OWNER)
        if owner is not None and owner.find() is None:
            _remove(folder)


def remove_kept() -> list[Path]:
    """End and delete the demos that were kept; return their folders."""
    kept = [folder for folder in sorted(BASE.glob("*")) if not (folder / OWNER).exists()]
    for folder in kept:
        _remove(folder)
    return kept


def _remove(folder: Path) -> None:
    processes.end(folder)
    Stack(folder / "stack").remove()
    shutil.rmtree(folder, ignore_errors=True)
    if BASE.exists() and not any(BASE.iterdir()):
        BASE.rmdir()


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.username}@{parts.hostname}:{parts.port}").geturl()
