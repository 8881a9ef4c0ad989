"""``make soak MINUTES=30 SEED=1``: random workload and random faults with all checks on; a report in the end.

The sequence of faults and what each writer does are drawn from the seed. How they meet in time is the machine's.
"""

from __future__ import annotations

import argparse
import faulthandler
import signal
import sys
import tempfile
from pathlib import Path

from tests.soak.report import page, write
from tests.soak.run import soak


def main() -> int:
    """Soak as asked for, print the page, write the JSON; return 1 when anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="how long faults go on")
    parser.add_argument("--seed", default="1", help="what all is drawn from")
    parser.add_argument("--faults", type=int, default=0, help="end after so many faults, however long they take")
    parser.add_argument("--json", type=Path, default=Path("soak-report.json"), help="where the report goes")
    asked = parser.parse_args()
    faulthandler.register(signal.SIGUSR1)  # kill -USR1 tells where it stands
    folder = Path(tempfile.mkdtemp(prefix="ferryman-soak-"))
    report = soak(folder, asked.seed, asked.minutes * 60, asked.faults)
    write(report, asked.json)
    print(page(report))
    print(f"report: {asked.json.absolute()}; logs of the daemons: {folder}")
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
