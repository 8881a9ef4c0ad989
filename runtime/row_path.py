"""Which way rows go: by column where there are many of them, or always one by one."""

from __future__ import annotations

import os
import sys
from typing import Final

from runtime.errors import BadInput
from schemas.columnar.encode import FEWEST

_VARIABLE: Final = "FERRYMAN_ROW_PATH"
_PATHS: Final = {"columns": FEWEST, "reference": sys.maxsize}


def fewest_rows() -> int:
    """Return from how many rows on a block goes by column.

    FERRYMAN_ROW_PATH=reference lets every row go one by one: to find out whether a difference comes from the columns.
    Raises BadInput for anything but ``columns`` and ``reference``.
    """
    path = os.environ.get(_VARIABLE, "columns")
    if path not in _PATHS:
        raise BadInput(f"{_VARIABLE} is {path!r}", "environment", f"set it to {' or '.join(_PATHS)}, or unset it")
    return _PATHS[path]
