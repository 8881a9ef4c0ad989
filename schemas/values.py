"""What a value is between its source form, its Avro bytes and its COPY text: the one place that says so.

A source's converters (``capture/sources/<db>/types.py``) return these Python values, apply's renderers
(``apply/types.py``) take them, and the codec carries them as the Avro type beside them:

=================== ================= =========================================================================
Kind                Avro              Python value
=================== ================= =========================================================================
BOOLEAN             boolean           bool
INT16               int               int, -2^15 .. 2^15-1
INT32               int               int, -2^31 .. 2^31-1
INT64               long              int, -2^63 .. 2^63-1
FLOAT32             float             float; it comes back rounded to 32 bits. NaN, infinities and -0.0 travel
FLOAT64             double            float; NaN, infinities and -0.0 travel
STRING              string            str
JSON, XML           string            str, the source's own text
UUID                string            str, lower case with hyphens
ENUM                string            str, the label
LTREE, TSVECTOR     string            str, the type's text form
INTERVAL            string            str, ISO 8601 (``P1Y2M3DT4H5M6.7S``; parts may be negative)
ZONED_TIME          string            str, ``HH:MM:SS[.ffffff]`` and ``Z`` or an offset ``+HH:MM``
ZONED_TIMESTAMP     string            str, ``YYYY-MM-DDTHH:MM:SS[.ffffff]Z``, years 0001 to 9999
BYTES               bytes             bytes
DECIMAL             bytes (decimal)   bytes: the unscaled value at the type's scale, big-endian two's complement,
                                      the fewest bytes that hold it (0 is one zero byte)
VARIABLE_DECIMAL    record            dict {"scale": int, "value": bytes as for DECIMAL}; scale is the number of
                                      digits written after the point, so that 1.50 comes back as 1.50; between
                                      -MAX_SCALE and MAX_SCALE
DATE                int               int, days since 1970-01-01 (proleptic Gregorian; negative before)
MICRO_TIME          long              int, microseconds since midnight, 0 .. 86,399,999,999
MICRO_TIMESTAMP     long              int, microseconds since 1970-01-01 00:00:00 of a timestamp without zone
BITS                bytes             bytes: little-endian, ceil(length / 8) bytes; the last bit of the text form
                                      is bit 0. Only for bit strings whose every value has ``length`` bits
=================== ================= =========================================================================

A value that its kind cannot hold (numeric NaN, infinity, BC dates, 24:00:00, 0000-00-00, a scale that the type does
not have) is :class:`Verbatim`, for any kind: the source's own text, which the target must read as its input text.
It travels beside the row and the column itself is null. NULL and unsent values never reach a converter or renderer.
"""

from __future__ import annotations

from typing import Final

#: PostgreSQL's limit on digits after the point. An event with more is refused: writing them out could take gigabytes.
MAX_SCALE: Final = 16_383


class Verbatim(str):
    """The source's own text of a value that the column's Avro type cannot hold."""

    __slots__ = ()
