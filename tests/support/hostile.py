"""Messages that no honest capture sends: cut, flipped, foreign. Seeded; made of good ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.framing import confluent, single_object
from schemas.order import ORDER_KEY_BYTES

if TYPE_CHECKING:
    from random import Random

#: Bytes of the frame before an event.
FRAME: Final = 10

#: By name: what becomes of a good message. None of these can be read as any event.
UNREADABLE: Final = {
    "empty": lambda value: b"",
    "cut in the frame": lambda value: value[:7],
    "cut behind the frame": lambda value: value[:FRAME],
    "cut in the row": lambda value: value[: FRAME + 4],
    "cut before the end": lambda value: value[:-1],
    "longer than itself": lambda value: value + b"\x00",
    "twice": lambda value: value + value,
    "an unknown schema": lambda value: single_object(0x1234_5678_9ABC_DEF0) + value[FRAME:],
    "a registry's number without a registry": lambda value: confluent(7) + value[FRAME:],
    "a registry's GUID without a registry": lambda value: b"\x01" + bytes(range(16)) + value[FRAME:],
    "JSON": lambda value: b'{"op": "d", "before": {"id": 1}, "after": null}',
    "text": lambda value: "DELETE FROM t; ünï".encode(),
    "zeros": lambda value: bytes(len(value)),
    "ones": lambda value: value[:FRAME] + b"\xff" * 200,
    "a length beyond everything": lambda value: value[:FRAME] + b"\x02" + b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",
}


def fuzzed(value: bytes, random: Random) -> bytes:
    """Return a message that is damaged somewhere; it may still be an event, another one.

    The order key stays whole where there is one: whoever forges that can have any event taken for an old one, and only
    the brokers' checksum (check.crcs) tells damage of it.
    """
    data = bytearray(value)
    kept = _order_key(value)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(data))
        if at not in kept:
            data[at] = random.choice([data[at] ^ 1 << random.randrange(8), random.randrange(256), 0, 255])
    kind = random.random()
    if kind < 0.2:
        return bytes(data[: random.randrange(len(data))])
    if kind < 0.3:
        return bytes(data) + random.randbytes(random.randint(1, 20))
    if kind < 0.35:
        return random.randbytes(random.randrange(60))
    return bytes(data)


def _order_key(value: bytes) -> range:
    """Return where the order key stands: behind its branch and its length, the only such pair with zeros after it."""
    start = value.find(b"\x02" + bytes([2 * ORDER_KEY_BYTES]) + b"\x00\x00", FRAME)
    return range(start, start + 2 + ORDER_KEY_BYTES) if start >= 0 else range(0)
