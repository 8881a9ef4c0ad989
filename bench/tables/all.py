"""The tables by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.tables.lineitem import Lineitem
from bench.tables.made import narrow, wide
from bench.tables.standard import Standard

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.tables import Table

TABLES: dict[str, Callable[[], Table]] = {
    "standard": Standard,
    "lineitem": Lineitem,
    "wide": wide,
    "narrow": narrow,
}
