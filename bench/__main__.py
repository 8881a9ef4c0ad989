"""``python -m bench CASE [--rows N] [--repeat R] [--json]``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench.cases import CASES
from bench.result import Result, machine
from bench.rig import rig


def main() -> int:
    """Run one case and print what it found."""
    options = _options()
    result = Result(options.case, options.rows, machine=machine())
    with rig(options.dir) as servers:
        for _ in range(options.repeat):
            CASES[options.case](servers, result, options.rows)
    document = result.document()
    print(json.dumps(document, indent=None if options.json else 2))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("case", choices=sorted(CASES))
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=1, help="runs of each subject; the median counts")
    parser.add_argument("--dir", type=Path, help="a stack that stays up between runs; default: one of its own")
    parser.add_argument("--json", action="store_true", help="print one line")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
