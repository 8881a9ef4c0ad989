"""The read-only port of a daemon: ``/metrics`` for Prometheus, ``/healthz`` and ``/readyz`` for its keeper."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from typing import TYPE_CHECKING, Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from runtime.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable


class Health:
    """What a daemon's loop says of itself: :meth:`beat` at every turn, :meth:`retrying` while it waits for a system.

    ``stuck_s``: seconds without either after which the process counts as stuck.
    """

    def __init__(self, service: str, stuck_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.ready = False
        self._service, self._stuck_s, self._clock = service, stuck_s, clock
        self._progress = clock()

    def beat(self) -> None:
        """The loop made a turn: alive and ready."""
        self.ready, self._progress = True, self._clock()

    def retrying(self) -> None:
        """A system does not answer and we try again: alive, not ready."""
        self.ready, self._progress = False, self._clock()

    @property
    def idle_seconds(self) -> float:
        """Seconds since the loop last gave a sign."""
        return self._clock() - self._progress

    @property
    def alive(self) -> bool:
        """Whether the loop still turns."""
        return self.idle_seconds < self._stuck_s

    def document(self) -> dict[str, Any]:
        """Return what ``/healthz`` and ``/readyz`` answer."""
        return {
            "service": self._service,
            "alive": self.alive,
            "ready": self.ready and self.alive,
            "idle_seconds": round(self.idle_seconds, 3),
        }


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT`` (``[::1]:9000`` for IPv6); raises BadInput."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise BadInput(f"{text!r} is no address", "--http", "write HOST:PORT, such as 127.0.0.1:9464; port 0 takes any")
    return host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port)


def serve(address: str, health: Health) -> str:
    """Answer at ``HOST:PORT`` from now on, in threads that end with the process; return the address in use.

    Raises BadInput when the address cannot be taken.
    """
    host, port = parse_address(address)
    server = _Server((host, port), health)
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{server.server_address[1]}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], health: Health) -> None:
        self.health = health
        self.address_family = AF_INET6 if ":" in address[0] else AF_INET
        try:
            super().__init__(address, _Handler)
        except OSError as error:
            raise BadInput(
                f"cannot listen at {address[0]}:{address[1]}: {error.strerror}", "--http", "choose another port, or 0"
            ) from None


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "ferryman", ""
    timeout = 5  # seconds: a client that says nothing may not hold a thread

    def do_GET(self) -> None:
        """Answer one of the three paths."""
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._send(200, CONTENT_TYPE_LATEST, generate_latest())
        elif path in ("/healthz", "/readyz"):
            document = self.server.health.document()
            good = document["alive"] if path == "/healthz" else document["ready"]
            self._send(200 if good else 503, "application/json", json.dumps(document).encode())
        else:
            self._send(404, "text/plain", b"/metrics /healthz /readyz\n")

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server calls it
        """Keep scrapes out of the logs."""
