"""CPU time and memory of processes with all their children, while they run."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import psutil

if TYPE_CHECKING:
    from types import TracebackType

    from bench.process import Process

#: Seconds between two looks: what a child uses after the last look before its end is lost.
_INTERVAL_S = 0.1


class Usage:
    """Watches processes while the context lasts: CPU time since they were started, resident memory at its highest.

    Memory is the sum of a tree's resident set sizes, pages that its processes share counted in each.
    """

    def __init__(self, *processes: Process, from_now: bool = False) -> None:
        self._from_now = from_now
        self._roots = {process.name: psutil.Process(process.pid) for process in processes}
        self._cpu: dict[int, float] = {}
        self._first: dict[int, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        #: CPU seconds (user and system) at the call of :meth:`mark_begin`.
        self.begin_cpu_s = 0.0
        #: By process: the highest resident memory of its tree in MiB.
        self.peaks_mb: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._look()
        if self._from_now:
            self._first = dict(self._cpu)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def mark_begin(self) -> None:
        """Note what was used until now."""
        self._look()
        self.begin_cpu_s = self.cpu_s

    @property
    def cpu_s(self) -> float:
        """CPU seconds (user and system) of all that was ever seen; with ``from_now``, since the context began."""
        return sum(seconds - self._first.get(pid, 0.0) for pid, seconds in self._cpu.copy().items())

    @property
    def peak_mb(self) -> float:
        """The highest memory that one of the processes had, its children included, in MiB."""
        return max(self.peaks_mb.values())

    def _watch(self) -> None:
        while not self._stop.wait(_INTERVAL_S):
            self._look()

    def _look(self) -> None:
        for name, root in self._roots.items():
            resident = 0
            for process in _tree(root):
                with suppress(psutil.Error):
                    times, memory = process.cpu_times(), process.memory_info()
                    self._cpu[process.pid] = times.user + times.system
                    resident += memory.rss
            self.peaks_mb[name] = max(self.peaks_mb.get(name, 0.0), resident / (1 << 20))


def _tree(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []
