"""``make mutants``: deliberate breakages of the protocol, each of which a named test must catch."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.mutants.protocol import MUTANTS
from tests.mutants.run import Verdict, copy_tree, failing_unbroken, servers, try_all


def main() -> int:
    """Try the mutants asked for; print a table, write the JSON; return 1 unless all were caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", default="", help="those whose name, file or test holds this text")
    parser.add_argument("--at-once", type=int, default=2, help="how many are tried side by side")
    parser.add_argument("--json", type=Path, default=Path("mutants-report.json"), help="where the verdicts go")
    asked = parser.parse_args()
    mutants = [m for m in MUTANTS if asked.only in f"{m.name} {m.file} {m.test}"]
    with servers() as environment, tempfile.TemporaryDirectory(prefix="ferryman-mutants-") as folder:
        failing = failing_unbroken(mutants, copy_tree(Path(folder) / "whole"), environment, asked.at_once)
        if failing:
            print(f"tests fail without any mutant:\n{failing}")
            return 1
        verdicts = try_all(mutants, Path(folder), environment, asked.at_once, show)
    found = Counter(verdict.outcome for verdict in verdicts)
    asked.json.write_text(json.dumps([document(v) for v in verdicts], indent=1) + "\n")
    print(f"{len(verdicts)} mutants: {', '.join(f'{n} {outcome}' for outcome, n in sorted(found.items()))}")
    return 0 if verdicts and set(found) == {"caught"} else 1


def show(verdict: Verdict) -> None:
    """Print a line of the table, and what the test said where it did not fail as it must."""
    mutant = verdict.mutant
    rule = f"rule {mutant.rule}" if mutant.rule else ""
    test = mutant.test.removeprefix("tests/")
    print(f"{verdict.outcome:8} {verdict.seconds:6.1f} s  {rule:7}  {mutant.name}  [{test}]", flush=True)
    if verdict.words:
        print(verdict.words)


def document(verdict: Verdict) -> dict[str, object]:
    """Return a verdict as JSON."""
    mutant = verdict.mutant
    return {
        "name": mutant.name, "file": mutant.file, "rule": mutant.rule or None, "test": mutant.test,
        "outcome": verdict.outcome, "seconds": verdict.seconds,
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
