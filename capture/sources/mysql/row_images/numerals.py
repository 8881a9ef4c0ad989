"""Numbers of row images as the text that a SELECT gives. Pure.

Sources: MySQL, ``strings/decimal.c`` (``bin2decimal``) for the packed form of DECIMAL; ``strings/dtoa.cc``
(``my_gcvt``) for the text of floating-point numbers.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from capture.sources.mysql.row_images.wire import decimal_size

if TYPE_CHECKING:
    from collections.abc import Callable

#: Digits of a full group of four bytes.
_GROUP: Final = 9
#: The server writes exponents where more digits than this stand on one side of the point.
_PLAIN_DIGITS: Final = 15


def decimal_reader(precision: int, scale: int) -> Callable[[bytes], bytes]:
    """Return what reads a packed DECIMAL(precision, scale), with all digits of its scale.

    Groups of nine digits are 32-bit numbers, big-endian; the odd ones lie at both ends. The first bit is turned, and
    all bits of a negative number.
    """
    size = decimal_size(precision, scale)
    whole = _groups(precision - scale, odd_first=True)
    fraction = _groups(scale, odd_first=False)
    sign = 1 << (8 * size - 1)
    all_bits = (1 << 8 * size) - 1

    def read(packed: bytes) -> bytes:
        number = int.from_bytes(packed, "big") ^ sign
        negative = number & sign
        if negative:
            number ^= all_bits
        data = number.to_bytes(size, "big")
        digits, at = _digits(data, 0, whole)
        digits = digits.lstrip(b"0") or b"0"
        if scale:
            rest, _ = _digits(data, at, fraction)
            digits += b"." + rest
        return b"-" + digits if negative and digits.strip(b"0.") else digits

    return read


def _groups(digits: int, *, odd_first: bool) -> tuple[tuple[int, int], ...]:
    """Return the digits and bytes of each group, in order."""
    full, odd = divmod(digits, _GROUP)
    groups = [(_GROUP, 4)] * full
    if odd:
        groups.insert(0 if odd_first else full, (odd, decimal_size(odd, 0)))
    return tuple(groups)


def _digits(data: bytes, at: int, groups: tuple[tuple[int, int], ...]) -> tuple[bytes, int]:
    out = b""
    for digits, size in groups:
        out += b"%0*d" % (digits, int.from_bytes(data[at : at + size], "big"))
        at += size
    return out, at


def double_text(value: float) -> bytes:
    """Return the shortest text that reads back as this number, in the server's spelling (``1e20``, ``0.5``, ``-0``)."""
    sign, digits, point = _shortest(repr(value))
    if -_PLAIN_DIGITS < point <= _PLAIN_DIGITS:
        return (sign + _plain(digits, point)).encode()
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{point - 1}".encode()


def _plain(digits: str, point: int) -> str:
    if point <= 0:
        return f"0.{'0' * -point}{digits}"
    if point >= len(digits):
        return digits + "0" * (point - len(digits))
    return f"{digits[:point]}.{digits[point:]}"


def _shortest(text: str) -> tuple[str, str, int]:
    """Return sign, digits without zeros at either end, and the place of the point before the first digit's left."""
    sign, text = ("-", text[1:]) if text[0] == "-" else ("", text)
    mantissa, _, exponent = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return sign, "0", 1
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    return sign, digits.rstrip("0"), point


def float_of(packed: bytes) -> float:
    """Return a FLOAT as the double of the same value."""
    return struct.unpack("<f", packed)[0]  # type: ignore[no-any-return]


def double_of(packed: bytes) -> float:
    """Return a DOUBLE."""
    return struct.unpack("<d", packed)[0]  # type: ignore[no-any-return]


def short_float_text(value: float) -> str:
    """Return the shortest text that reads back as this 32-bit number."""
    import numpy as np  # noqa: PLC0415 - the workers that read chunks import this module, and need no arrays

    return str(np.float32(value))
