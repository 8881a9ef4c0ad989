"""Random faults, seeded: something dies, stands still or is cut off for a while, then runs again, and all goes on."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.support import network, trials

if TYPE_CHECKING:
    from collections.abc import Callable

    from operate.local.stack import Stack
    from tests.support.daemons import Daemon
    from tests.support.daemons_setting import Setting
    from tests.support.proxy import Proxy

#: Tables that a fault may have copied anew; the reader's tables are not among them.
COPIED_ANEW: Final = ("public.documents", "public.visits", "public.pairs", "public.cleared")
#: Servers that a fault may kill.
SERVERS: Final = ("kafka", "postgresql", "target")


class Draw(NamedTuple):
    """A fault that was drawn: its name, and the random numbers that it goes by, all fixed before it strikes."""

    name: str
    numbers: Random


class Nemesis:
    """Draws faults from those that are possible; ``fired`` counts those that have happened, each with its proof.

    ``detail`` says more about the last one.

    With a ``stack`` of the test's own the servers are among the victims, with ``links`` (by name) the network is.
    The sequence of draws depends on the seed and on what is possible alone, whatever becomes of each fault.
    """

    def __init__(
        self,
        setting: Setting,
        seed: object,
        stack: Stack | None = None,
        links: dict[str, Proxy] | None = None,
        *,
        only: str = "",
    ) -> None:
        self._setting, self._stack, self._random = setting, stack, Random(f"nemesis:{seed}")
        self.fired, self.detail = Counter[str](), ""
        pipeline = setting.pipeline
        faults: dict[str, Callable[[Random], str | None]] = {
            "kill capture": lambda r: self._kill(pipeline.capture, r),
            "kill apply": lambda r: self._kill(pipeline.apply, r),
            "kill both": self._kill_both,
            "kill capture while it starts": lambda r: self._kill_again(pipeline.capture, r),
            "kill apply while it starts": lambda r: self._kill_again(pipeline.apply, r),
            "kill at a failpoint": lambda r: trials.die_at_a_failpoint(setting, r),
            "freeze capture": lambda r: _freeze(pipeline.capture, r),
            "freeze apply": lambda r: _freeze(pipeline.apply, r),
            "replace a frozen apply": lambda _: trials.replace_frozen_apply(setting),
            "stop and start": self._stop,
            "copy anew": lambda r: pipeline.resync(r.choice(COPIED_ANEW)),
            "big transaction": lambda r: setting.workload.write_much(r.choice([500, 5_000, 20_000])),
        }
        if stack is not None:
            faults |= {f"kill {name}": self._server(stack, name) for name in SERVERS}
        if links:  # and so with short timeouts: by default the server waits a minute
            faults["replace a frozen capture"] = lambda _: trials.replace_frozen_capture(setting)
        for link, proxy in (links or {}).items():
            faults |= {f"{name} {link}": _network(fault, proxy) for name, fault in network.FAULTS.items()}
            if link in network.REQUESTS:
                faults[f"lose an answer {link}"] = _network(
                    partial(network.lose_answer, request=network.REQUESTS[link]), proxy
                )
        self._faults = {name: fault for name, fault in faults.items() if name.startswith(only)}

    @property
    def kinds(self) -> list[str]:
        """The names of all faults that may be drawn."""
        return list(self._faults)

    def draw(self) -> Draw:
        """Return the next fault of the sequence."""
        return Draw(self._random.choice(self.kinds), Random(self._random.random()))

    def strike(self, draw: Draw | None = None) -> str:
        """Let one fault happen and end; return its name. Raises AssertionError where it did not happen."""
        name, numbers = draw or self.draw()
        self.detail = self._faults[name](numbers) or ""
        self.fired[name] += 1
        return name

    def pause(self, mean_s: float) -> None:
        """Let it run for a random time."""
        _pause(self._random, mean_s)

    def _kill(self, daemon: Daemon, random: Random) -> None:
        daemon.kill()
        _pause(random, 0.3)
        daemon.start()

    def _kill_both(self, _: Random) -> None:
        pipeline = self._setting.pipeline
        pipeline.capture.kill()
        pipeline.apply.kill()
        pipeline.start()

    def _kill_again(self, daemon: Daemon, random: Random) -> None:
        daemon.kill()
        daemon.start()
        _pause(random, 1.5)
        daemon.kill()
        daemon.start()

    def _stop(self, _: Random) -> None:
        self._setting.pipeline.stop()
        self._setting.pipeline.start()

    def _server(self, stack: Stack, name: str) -> Callable[[Random], None]:
        def crash(random: Random) -> None:
            stack.kill(name)
            assert not stack.server(name).running, f"{name} survived"
            _pause(random, 1)
            stack.start(name)

        return crash


def _freeze(daemon: Daemon, random: Random) -> None:
    daemon.freeze()
    _pause(random, 1.5)
    daemon.thaw()


def _network(fault: Callable[[Proxy], None], proxy: Proxy) -> Any:
    return lambda _: fault(proxy)


def _pause(random: Random, mean_s: float) -> None:
    time.sleep(min(random.expovariate(1 / mean_s), 4 * mean_s))
