"""CPU time and memory of processes with all their children, while they run."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import psutil

if TYPE_CHECKING:
    from types import TracebackType

    from bench.process import Process

#: Seconds between two looks. Each reads the table of all processes, on the cores that are measured.
_INTERVAL_S = 0.25


class Usage:
    """Watches processes while the context lasts: CPU time since they were started, resident memory at its highest.

    What ended children used counts as soon as their parent has collected them. Memory is the sum of a tree's resident
    set sizes, pages that its processes share counted in each.
    """

    def __init__(self, *processes: Process, from_now: bool = False) -> None:
        self._from_now = from_now
        self._roots = {process.name: psutil.Process(process.pid) for process in processes}
        self._cpu_s: dict[str, float] = {}
        self._before_s = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        #: CPU seconds (user and system) at the call of :meth:`mark_begin`.
        self.begin_cpu_s = 0.0
        #: By process: the highest resident memory of its tree in MiB.
        self.peaks_mb: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._look()
        if self._from_now:
            self._before_s = sum(self._cpu_s.values())
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
        """CPU seconds (user and system) up to the last look; with ``from_now``, since the context began."""
        return sum(self._cpu_s.values()) - self._before_s

    @property
    def peak_mb(self) -> float:
        """The highest memory that one of the processes had, its children included, in MiB."""
        return max(self.peaks_mb.values())

    def _watch(self) -> None:
        while not self._stop.wait(_INTERVAL_S):
            self._look()

    def _look(self) -> None:
        for name, root in self._roots.items():
            resident, cpu_s = 0, 0.0
            for process in _tree(root):
                with suppress(psutil.Error):
                    cpu_s += sum(process.cpu_times()[:4])  # its own and its collected children's, user and system
                    resident += process.memory_info().rss
            self._cpu_s[name] = max(self._cpu_s.get(name, 0.0), cpu_s)
            self.peaks_mb[name] = max(self.peaks_mb.get(name, 0.0), resident / (1 << 20))


def _tree(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []
