"""``python -m bench CASE [--rows N] [--repeat R] [--peer debezium] [--json]``; ``--help`` has the rest."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING

from bench import options, report, runner
from bench.rig import rig

if TYPE_CHECKING:
    from bench.result import Result


def main() -> int:
    """Run what was asked for and print each result; 1 where one failed. The page comes last."""
    asked = options.parse(sys.argv[1:])
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # everything that was started is ended, as by Ctrl-C
    failed = asked.case != options.REPORT and _measure(asked)
    if asked.case in (options.ALL, options.REPORT) and asked.results is not None:
        report.write(asked.results, asked.results.parent / options.PAGE)
    return int(failed)


def _measure(asked: options.Options) -> bool:
    failed = False
    with rig(asked.folder, asked.kind, peer=asked.peer is not None, java=asked.java, formats=asked.formats) as servers:
        for result in runner.run(servers, asked, lambda result: _keep(asked, result)):
            print(json.dumps(result.document(), indent=None if asked.json else 2), flush=True)
            failed |= result.failed is not None
    return failed


def _keep(asked: options.Options, result: Result) -> None:
    if asked.results is not None:
        result.save(asked.results)


if __name__ == "__main__":
    sys.exit(main())
