"""Random faults, seeded: something dies or stands still for a while, then runs again, and all goes on."""

from __future__ import annotations

import time
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from operate.local.stack import Stack
    from tests.support.daemons import Daemon
    from tests.support.daemons_setting import Setting

#: Tables that a fault may have copied anew; the reader's tables are not among them.
COPIED_ANEW: Final = ("public.documents", "public.visits", "public.pairs", "public.cleared")


class Nemesis:
    """Draws faults from those that are possible; ``fired`` counts them.

    With a ``stack`` of the test's own the servers are among the victims.
    """

    def __init__(self, setting: Setting, seed: object, stack: Stack | None = None) -> None:
        self._setting, self._stack, self._random = setting, stack, Random(f"nemesis:{seed}")
        self.fired = Counter[str]()
        pipeline = setting.pipeline
        self._faults: dict[str, Callable[[], None]] = {
            "kill capture": lambda: self._kill(pipeline.capture),
            "kill apply": lambda: self._kill(pipeline.apply),
            "kill both": self._kill_both,
            "kill capture while it starts": lambda: self._kill_again(pipeline.capture),
            "kill apply while it starts": lambda: self._kill_again(pipeline.apply),
            "freeze capture": lambda: self._freeze(pipeline.capture),
            "freeze apply": lambda: self._freeze(pipeline.apply),
            "copy anew": lambda: pipeline.resync(self._random.choice(COPIED_ANEW)),
            "big transaction": lambda: setting.workload.write_much(self._random.choice([500, 5_000])),
        }
        if stack is not None:
            self._faults |= {f"kill {name}": self._server(stack, name) for name in ("kafka", "postgresql", "target")}

    def strike(self) -> str:
        """Let one fault happen and end; return its name."""
        name = self._random.choice(list(self._faults))
        self._faults[name]()
        self.fired[name] += 1
        return name

    def pause(self, mean_s: float) -> None:
        """Let it run for a random time."""
        time.sleep(min(self._random.expovariate(1 / mean_s), 4 * mean_s))

    def _kill(self, daemon: Daemon) -> None:
        daemon.kill()
        self.pause(0.3)
        daemon.start()

    def _kill_both(self) -> None:
        pipeline = self._setting.pipeline
        pipeline.capture.kill()
        pipeline.apply.kill()
        pipeline.start()

    def _kill_again(self, daemon: Daemon) -> None:
        daemon.kill()
        daemon.start()
        self.pause(1.5)
        daemon.kill()
        daemon.start()

    def _freeze(self, daemon: Daemon) -> None:
        daemon.freeze()
        self.pause(1.5)
        daemon.thaw()

    def _server(self, stack: Stack, name: str) -> Any:
        def crash() -> None:
            stack.kill(name)
            self.pause(1)
            stack.start(name)

        return crash
