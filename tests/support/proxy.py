"""A TCP proxy in user space whose link can be cut, stalled and slowed, and which can show that it was."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self

from operate.local.ports import HOST
from tests.support.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

_AT_ONCE: Final = 64 * 1024
#: Closing with this option sends RST instead of FIN.
_RESET: Final = struct.pack("ii", 1, 0)


class Proxy:
    """Forwards connections from ``port`` to port ``to`` of this machine, in a thread of its own.

    ``cut`` counts connections that were reset, ``held`` bytes that had to wait in a stall, ``slowed`` bytes that were
    delayed, ``swallowed`` answers that never arrived: the proof that a fault has happened to somebody.
    """

    def __init__(self, port: int, to: int) -> None:
        self.port, self._to = port, to
        self.cut = self.held = self.slowed = self.swallowed = 0
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._delay_s, self._rate = 0.0, 0
        self._trip = b""
        self._server: asyncio.Server | None = None
        self._news = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy {port}", daemon=True)
        self._thread.start()
        self._open.set()
        self._do(self._listen())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def connections(self) -> int:
        """How many connections there are now."""
        return len(self._pairs)

    def sever(self) -> int:
        """Reset all connections and refuse new ones until :meth:`heal`; return how many were reset."""
        return int(self._do(self._sever()))

    def drop(self) -> int:
        """Reset all connections; new ones are served. Return how many were reset."""
        return int(self._do(self._drop()))

    def stall(self) -> None:
        """Forward nothing until :meth:`heal`: connections stay, new ones are accepted, nobody hears of it."""
        self._do(self._set(stalled=True))

    def slow(self, delay_s: float, bytes_per_s: int) -> None:
        """Delay whatever is forwarded, and forward no more than this, until :meth:`heal`."""
        self._do(self._set(delay_s=delay_s, rate=bytes_per_s))

    def lead_to(self, port: int) -> None:
        """Forward new connections to another port from now on."""
        self._to = port

    def lose_answer_to(self, text: bytes) -> None:
        """Let the next request that holds ``text`` pass, and cut its connection instead of bringing the answer."""
        self._trip = text

    def heal(self) -> None:
        """Forward everything again, at full speed, what waited first."""
        self._trip = b""
        self._do(self._set())
        self._do(self._listen())

    def wait_until(self, count: str, above: int, seconds: float = PATIENCE_S) -> None:
        """Wait until one of the counts is above a value: the fault has met somebody."""
        with self._news:
            met = self._news.wait_for(lambda: getattr(self, count) > above, seconds)
        assert met, f"nothing was {count} on the link to port {self._to} within {seconds:g} s"

    def close(self) -> None:
        """End all connections and the thread; safe to call twice."""
        if self._thread.is_alive():
            self._do(self._finish())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PATIENCE_S)

    def _do(self, action: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(action, self._loop).result(PATIENCE_S)

    # --- in the proxy's thread -------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, HOST, self.port, limit=_AT_ONCE)

    async def _sever(self) -> int:
        if self._server is not None:
            self._server.close()
            self._server = None
        return await self._drop()

    async def _finish(self) -> None:
        await self._sever()
        ours = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not ours]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _drop(self) -> int:
        pairs = list(self._pairs)
        for pair in pairs:
            self._reset(pair)
        self._count("cut", len(pairs))
        return len(pairs)

    async def _set(self, *, stalled: bool = False, delay_s: float = 0.0, rate: int = 0) -> None:
        self._delay_s, self._rate = delay_s, rate
        (self._open.clear if stalled else self._open.set)()

    def _reset(self, pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter]) -> None:
        self._pairs.discard(pair)
        for writer in pair:
            with suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        try:
            there_reader, there = await asyncio.open_connection(HOST, self._to, limit=_AT_ONCE)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, there)
        self._pairs.add(pair)
        tasks = [
            asyncio.ensure_future(self._pump(reader, there, pair, asks=True)),
            asyncio.ensure_future(self._pump(there_reader, writer, pair, asks=False)),
        ]
        await asyncio.wait(tasks)
        self._pairs.discard(pair)
        for end in pair:
            end.close()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
        *,
        asks: bool,
    ) -> None:
        try:
            while data := await reader.read(_AT_ONCE):
                await self._weather(len(data))
                if asks and self._trip and self._trip in data:
                    self._trip = b""
                    await self._swallow(data, writer, pair)
                    return
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        except OSError:  # one end is gone: the other one hears of it
            self._reset(pair)

    async def _weather(self, size: int) -> None:
        """Wait for as long as the link's state asks for."""
        if self._delay_s:
            self._count("slowed", size)
            await asyncio.sleep(self._delay_s + size / self._rate)
        if not self._open.is_set():
            self._count("held", size)
            await self._open.wait()

    async def _swallow(
        self, data: bytes, writer: asyncio.StreamWriter, pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter]
    ) -> None:
        """Send a request on, and end the connection at our side before anything comes back."""
        pair[0].transport.abort()
        writer.write(data)
        await writer.drain()
        writer.write_eof()
        self._count("swallowed", 1)

    def _count(self, name: str, more: int) -> None:
        with self._news:
            setattr(self, name, getattr(self, name) + more)
            self._news.notify_all()
