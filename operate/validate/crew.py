"""The connections of a comparison: a few pairs that hash in parallel, and one for everything that goes step by step."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from operate.validate.shape import Plan
    from operate.validate.side import End, Side

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Sides:
    """Both sides of one table."""

    source: Side
    target: Side


class Crew:
    """Connections to both servers, opened by ``source`` and ``target``. Called from one thread.

    Statements of :meth:`start` run in others. Use as a context manager. Raises Unreachable or Refused when a server
    cannot be reached.
    """

    def __init__(self, source: Callable[[], End], target: Callable[[], End], pairs: int) -> None:
        self.pairs = pairs
        self._open = source, target
        self._all: list[tuple[End, End]] = []
        self._free: list[tuple[End, End]] = []
        self._pool = ThreadPoolExecutor(2 * pairs, "validate")
        self._running: set[Future[Any]] = set()

    def __enter__(self) -> Self:
        try:
            for _ in range(1 + self.pairs):
                source = self._open[0]()
                try:
                    self._all.append((source, self._open[1]()))
                except BaseException:
                    source.close()
                    raise
        except BaseException:
            self._close()
            raise
        self._free = self._all[1:]
        return self

    def __exit__(self, *_: object) -> None:
        for connections in self._all:
            for connection in connections:
                if self._running:
                    connection.cancel()
        self._close()

    @property
    def source(self) -> End:
        """The source's connection for what goes step by step."""
        return self._all[0][0]

    @property
    def target(self) -> End:
        """The target's connection for what goes step by step."""
        return self._all[0][1]

    @property
    def broken(self) -> bool:
        """Whether a connection was lost."""
        return any(connection.lost for pair in self._all for connection in pair)

    def sides(self, plan: Plan) -> Sides:
        """Return both sides of a table on the connections for what goes step by step."""
        return Sides(self.source.side(plan), self.target.side(plan))

    def start(self, plan: Plan, task: Callable[[Side], _Answer]) -> Callable[[], tuple[_Answer, _Answer]]:
        """Run ``task`` on both sides at once, on a free pair; the result waits for (source's, target's) answer.

        At most :attr:`pairs` may be under way.
        """
        pair = self._free.pop()
        futures = [self._pool.submit(task, end.side(plan)) for end in pair]
        self._running.update(futures)

        def result() -> tuple[_Answer, _Answer]:
            wait(futures)
            self._running.difference_update(futures)
            self._free.append(pair)
            return futures[0].result(), futures[1].result()

        return result

    @contextmanager
    def watching(self, plan: Plan, look: Callable[[Side], None]) -> Iterator[None]:
        """Have ``look`` called on the source again and again, in another thread, as long as the context lasts."""
        over = Event()
        pair = self._free.pop()
        side = pair[0].side(plan)

        def watch() -> None:
            while not over.is_set():
                look(side)

        future = self._pool.submit(watch)
        self._running.add(future)
        try:
            yield
        finally:
            over.set()
            wait([future])
            self._running.discard(future)
            self._free.append(pair)
        future.result()

    def rest(self) -> None:
        """Wait for whatever an abandoned comparison left running, and have every pair free again."""
        wait(self._running)
        self._running.clear()
        self._free = self._all[1:]

    def _close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        for connections in self._all:
            for connection in connections:
                connection.close()
