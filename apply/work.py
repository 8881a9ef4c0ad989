"""What this replica knows of a topic partition that it was given: where it stands, and how its last tries went."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from apply.events import Poison
from apply.partition import Partition
from runtime.names import spell
from runtime.policy import Pause
from runtime.settings import RetryConfig

if TYPE_CHECKING:
    from apply.checkpoint import Checkpoint, Place
    from apply.events import Decoded
    from apply.messages import Messages
    from apply.session import Session


@dataclass(slots=True)
class Work:
    """A topic partition of ours. Without a ``checkpoint`` it is not taken over yet (or was lost to another owner).

    ``session`` is the partition's own while a target transaction stays open over several batches. ``limit`` shrinks
    while a failing batch is halved. ``tried`` and ``rebuild``: the batch at hand failed once, and how it is tried now.
    ``lost``: how often in a row it failed for reasons that pass by themselves.
    ``started``: it is being read, from ``waiting.position`` on.

    While the table is ``blocked``, ``scout`` reads ahead for a new snapshot, which makes everything before it moot;
    at ``retry_at`` the batch that failed is tried once more instead.
    """

    place: Place
    table: str
    batch_rows: int
    topic_id: str = ""
    checkpoint: Checkpoint | None = None
    partition: Partition = field(default_factory=lambda: Partition(0, None))
    session: Session | None = None
    scout: Partition | None = None
    poison: Poison | None = None
    limit: int = 0
    tried: bool = False
    rebuild: bool = False
    lost: int = 0
    blocked: bool = False
    started: bool = False
    state: str = ""
    retry_at: float = 0.0
    leader_epoch: int | None = None
    pauses: RetryConfig = field(default_factory=RetryConfig)
    retry: Pause = field(init=False)
    slow: Pause = field(init=False)

    def __post_init__(self) -> None:
        self.limit = self.batch_rows
        self.retry, self.slow = Pause.passing(self.pauses), Pause.blocked(self.pauses)

    @property
    def waiting(self) -> Partition:
        """What takes in the messages that are read now."""
        return self.scout if self.blocked and self.scout is not None else self.partition

    @property
    def at_rest(self) -> bool:
        """Whether there is nothing to be applied, and nothing that stands in the way."""
        return self.poison is None and self.partition.at_rest

    @property
    def may_share(self) -> bool:
        """Whether nothing went wrong lately, and no transaction is open, so that others need not fear for theirs."""
        return self.session is None and not (self.blocked or self.tried or self.lost) and self.limit == self.batch_rows

    def fresh(self, messages: Messages) -> Messages:
        """Return the messages to decode; those before the place that was asked for are of an earlier fetch."""
        return messages.since(self.waiting.position)

    def take_in(self, messages: Messages, decoded: Decoded) -> Messages:
        """Let what was decoded of fresh messages wait; return those that must be decoded yet.

        What cannot be read before a new snapshot does not matter, so reading goes on behind it.
        """
        partition, rest = self.waiting, messages.since(messages.offsets[-1] + 1)
        self.leader_epoch = messages.leader_epoch
        poison = self._let_wait(decoded)
        if poison is None:
            partition.reach(messages.offsets[-1] + 1)
        else:
            partition.reach(poison.offset)
            if partition.awaiting:
                partition.reach(poison.offset + 1)
                rest = messages.since(poison.offset + 1)
            else:
                self.poison = poison
        if self.blocked and not partition.awaiting:
            self.partition, self.scout, self.blocked, self.retry_at = partition, None, False, 0.0
        return rest

    def _let_wait(self, decoded: Decoded) -> Poison | None:
        """Let events wait up to the first one that is not to be applied here, if any, and return that."""
        for received, size in decoded.events:
            named = spell(received.table.namespace, received.table.name)
            # The topic's name stands in for the table's until capture has told that.
            if self.table not in (named, self.place.topic):
                return Poison(int(received.offsets[0]), f"an event of table {named} in the topic of {self.table}")
            self.waiting.add(received, size)
        return decoded.poison

    def succeeded(self) -> None:
        """A batch was committed: back to full size, step by step."""
        self.limit = min(self.batch_rows, self.limit * 2)
        self.tried = self.rebuild = self.blocked = False
        self.lost = 0
        self.scout = None
        self.retry.reset()
        self.slow.reset()

    def block(self, state: str, retry_at: float) -> None:
        """Apply nothing until then, and read ahead for a new snapshot meanwhile."""
        self.rewind()
        if self.scout is None:
            self.scout = Partition(self.partition.position, self.partition.mark, awaiting=True)
            self.scout.note_loaded(self.partition.loaded)  # capture says it once
        self.blocked, self.state, self.retry_at = True, state, retry_at

    def unblock(self) -> None:
        """Try the batch that failed once more."""
        self.blocked = self.tried = self.rebuild = self.started = False

    def note_loaded(self, order: bytes | None) -> None:
        """Capture says that the table's snapshot is complete at this order key."""
        self.partition.note_loaded(order)
        if self.scout is not None:
            self.scout.note_loaded(order)

    def rewind(self) -> None:
        """Forget everything above the checkpoint; it is read and applied again."""
        if self.session is not None:
            self.session.close()
            self.session = None
        if self.checkpoint is not None:
            self.partition.rewind(self.checkpoint.next_offset, self.checkpoint.order_key)
        self.poison = None
        self.started = False
