from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading

from runtime.signals import INTERRUPTED, Stop


def test_waiting_ends_when_another_thread_requests_the_stop() -> None:
    stop = Stop()
    threading.Thread(target=stop.request).start()

    assert stop.wait(60)
    assert stop.requested


def test_waiting_without_a_request_says_so() -> None:
    assert not Stop().wait(0)


def test_a_request_is_remembered_and_may_come_again() -> None:
    stop = Stop()
    stop.request()
    stop.request()

    assert stop.wait(60)
    assert stop.wait(60)


def test_the_request_shows_in_select_beside_sockets() -> None:
    stop = Stop()
    assert select.select([stop], [], [], 0)[0] == []

    stop.request()

    assert select.select([stop], [], [], 60)[0] == [stop]


#: Says what happens to it, and goes on until it is told to end.
PROGRAM = """
from runtime.signals import Stop
stop = Stop().install()
print("ready", flush=True)
stop.wait(60)
print("asked", flush=True)
input()
"""


def started() -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=pipe, stdout=pipe, text=True, env=os.environ)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_sigterm_asks_and_the_process_ends_in_its_own_time() -> None:
    with started() as process:
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "asked\n"

        process.communicate("\n")

    assert process.returncode == 0


def test_a_second_signal_ends_the_process_at_once() -> None:
    with started() as process:
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "asked\n"
        process.send_signal(signal.SIGTERM)

        process.wait()

    assert process.returncode == INTERRUPTED
