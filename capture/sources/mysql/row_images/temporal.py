"""Dates and times of row images as the text that a SELECT gives in a session in UTC. Pure.

Sources: MySQL, ``sql-common/my_time.cc`` (``my_*_packed_from_binary``) for the types since 5.6; MariaDB and MySQL,
``sql/field.cc``, for those before. Zero and partial dates, and times beyond a day, are values like any other here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.calendar import civil

if TYPE_CHECKING:
    from collections.abc import Callable

_DAY_S: Final = 86_400
#: Times and datetimes are stored with a bias, so that they sort as bytes.
_DATETIME_BIAS: Final = 1 << 39
_ZERO_TIMESTAMP: Final = b"0000-00-00 00:00:00"


def date_text(packed: bytes) -> bytes:
    """Return a DATE: three bytes, little-endian; day in 5 bits, month in 4, then the year."""
    number = int.from_bytes(packed, "little")
    return b"%04d-%02d-%02d" % (number >> 9, number >> 5 & 15, number & 31)


def year_text(packed: bytes) -> bytes:
    """Return a YEAR: one byte, years since 1900; zero is the year 0000."""
    return b"%04d" % (packed[0] + 1900 if packed[0] else 0)


def datetime_reader(fsp: int) -> Callable[[bytes], bytes]:
    """Return what reads a DATETIME(fsp): five bytes, big-endian, and the fraction."""

    def read(packed: bytes) -> bytes:
        number = int.from_bytes(packed[:5], "big") - _DATETIME_BIAS
        day, time = number >> 17, number & 0x1FFFF
        months = day >> 5
        return b"%04d-%02d-%02d %02d:%02d:%02d%b" % (
            months // 13, months % 13, day & 31, time >> 12, time >> 6 & 63, time & 63,
            _fraction(int.from_bytes(packed[5:], "big"), fsp),
        )  # fmt: skip

    return read


def timestamp_reader(fsp: int) -> Callable[[bytes], bytes]:
    """Return what reads a TIMESTAMP(fsp): seconds since 1970 in UTC, four bytes, big-endian, and the fraction.

    All zero is the zero date. MariaDB has counted on to 2106 since 11.5; no server writes what lies before 1970.
    """

    def read(packed: bytes) -> bytes:
        fraction = int.from_bytes(packed[4:], "big")
        return _timestamp(int.from_bytes(packed[:4], "big"), fraction) + _fraction(fraction, fsp)

    return read


def time_reader(fsp: int) -> Callable[[bytes], bytes]:
    """Return what reads a TIME(fsp): hours, minutes and seconds in three bytes, and the fraction, as one number.

    The bias lies above the whole number. A negative time is one number negated, its fraction with it.
    """
    bits = (fsp + 1) // 2 * 8
    bias = 1 << (bits + 23)

    def read(packed: bytes) -> bytes:
        number = int.from_bytes(packed, "big") - bias
        sign, number = (b"-", -number) if number < 0 else (b"", number)
        time = number >> bits
        return b"%b%02d:%02d:%02d%b" % (
            sign, time >> 12 & 0x3FF, time >> 6 & 63, time & 63, _fraction(number & ((1 << bits) - 1), fsp)
        )  # fmt: skip

    return read


def _fraction(stored: int, fsp: int) -> bytes:
    """Return the digits behind the point. An odd number of digits is stored with a zero more."""
    if not fsp:
        return b""
    return b".%0*d" % (fsp, stored // 10 if fsp & 1 else stored)


def _timestamp(seconds: int, fraction: int) -> bytes:
    if not seconds and not fraction:
        return _ZERO_TIMESTAMP
    days, rest = divmod(seconds, _DAY_S)
    return b"%04d-%02d-%02d %02d:%02d:%02d" % (*civil(days), rest // 3600, rest // 60 % 60, rest % 60)


# --- before MySQL 5.6 and MariaDB 10.1, and tables that were never rebuilt since --------------------------------------


def old_datetime_text(packed: bytes) -> bytes:
    """Return a DATETIME of eight bytes: the decimal number YYYYMMDDhhmmss, little-endian."""
    digits = b"%014d" % int.from_bytes(packed, "little")
    return b"%b-%b-%b %b:%b:%b" % (digits[:4], digits[4:6], digits[6:8], digits[8:10], digits[10:12], digits[12:])


def old_timestamp_text(packed: bytes) -> bytes:
    """Return a TIMESTAMP of four bytes, little-endian."""
    return _timestamp(int.from_bytes(packed, "little"), 0)


def old_time_text(packed: bytes) -> bytes:
    """Return a TIME of three bytes: the decimal number hhmmss with its sign, little-endian."""
    number = int.from_bytes(packed, "little", signed=True)
    time = abs(number)
    return b"%b%02d:%02d:%02d" % (b"-" if number < 0 else b"", time // 10_000, time // 100 % 100, time % 100)
