"""CPU time and memory of a process with all its children, while it runs."""

from __future__ import annotations

import threading
from contextlib import suppress

import psutil

#: Seconds between two looks: what a child uses after the last look before its end is lost.
_INTERVAL_S = 0.05


class Usage:
    """Watches a process tree from :meth:`start` on. Memory is the sum of resident set sizes, shared pages included."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._cpu: dict[int, float] = {}
        self._first: dict[int, float] = {}
        self._peak_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self, *, from_now: bool = False) -> Usage:
        """Begin. The whole CPU time since the process started counts, unless ``from_now``."""
        self._look()
        if from_now:
            self._first = dict(self._cpu)
        self._thread.start()
        return self

    def stop(self) -> tuple[float, float]:
        """End; return CPU seconds (user and system) and the peak in megabytes."""
        self._stop.set()
        self._thread.join()
        self._look()
        cpu_s = sum(seconds - self._first.get(pid, 0.0) for pid, seconds in self._cpu.items())
        return cpu_s, self._peak_bytes / (1 << 20)

    def _watch(self) -> None:
        while not self._stop.wait(_INTERVAL_S):
            self._look()

    def _look(self) -> None:
        resident = 0
        for process in self._tree():
            with suppress(psutil.Error):
                times, memory = process.cpu_times(), process.memory_info()
                self._cpu[process.pid] = times.user + times.system
                resident += memory.rss
        self._peak_bytes = max(self._peak_bytes, resident)

    def _tree(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.Error:
            return []
