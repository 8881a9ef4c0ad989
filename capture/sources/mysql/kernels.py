"""The source form of a whole column, as typed values: what :mod:`capture.sources.mysql.values` does for one value.

A kernel serves a column only if it gives for every value exactly what the row-wise converter gives; else it raises
Unserved, and the column is converted value by value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.columnar.arrays import Unserved

if TYPE_CHECKING:
    import pyarrow as pa

    from schemas.columnar.images import Kernel
    from schemas.columnar.typed import Typed
    from schemas.table import Column


def kernel(_column: Column) -> Kernel:
    """Return the kernel of a column; it raises Unserved."""
    return _none


def _none(_texts: pa.BinaryArray) -> Typed:
    raise Unserved
