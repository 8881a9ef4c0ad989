"""Decoding beside writing: while a batch is being written to the target, a thread decodes what was read meanwhile.

Arrow, NumPy and the driver's waits let go of the interpreter, so both go on at the same time. Everything else of apply
is done by one thread.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from apply.events import Decoded, EventReader
    from apply.messages import Messages
    from apply.partition import Partition
    from apply.work import Work

#: Fewer messages are decoded at once: handing them to a thread and back would only cost time.
FEW: Final = 1_000


class Reading(NamedTuple):
    """Messages of a partition that are being decoded. ``waiting`` is to take them in, unless it was rewound since."""

    work: Work
    waiting: Partition
    rewinds: int
    messages: Messages
    decoded: Future[Decoded]

    @property
    def is_wanted(self) -> bool:
        """Whether the partition still is where it was when these messages were read."""
        work = self.work
        return work.started and work.waiting is self.waiting and work.waiting.rewinds == self.rewinds


class Decoding:
    """Hands messages to the thread that decodes."""

    def __init__(self, reader: EventReader) -> None:
        self._reader = reader
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decode")

    def begin(self, work: Work, messages: Messages) -> Reading:
        """Begin to decode; few messages are decoded by the time this returns.

        What decoding raises, the reading's ``decoded`` raises.
        """
        if len(messages) < FEW:
            decoded: Future[Decoded] = Future()
            try:
                decoded.set_result(self._reader.read(messages))
            except Exception as error:  # noqa: BLE001 - raised where the result is asked for
                decoded.set_exception(error)
        else:
            decoded = self._thread.submit(self._reader.read, messages)
        return Reading(work, work.waiting, work.waiting.rewinds, messages, decoded)

    def close(self) -> None:
        """End the thread once it has done what it is at."""
        self._thread.shutdown(cancel_futures=True)
