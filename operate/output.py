"""How commands answer: one JSON document with ``--json``, words and tables for people without."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.errors import Fault, FerrymanError


def emit(json_flag: bool, document: Any, human: Callable[[Console], None]) -> None:  # noqa: FBT001 - it is the flag
    """Print a command's answer on stdout: ``document`` as JSON if so asked, else what ``human`` draws."""
    if json_flag:
        print(json.dumps(document, ensure_ascii=False))
    else:
        human(Console())
    sys.stdout.flush()


def note(text: str) -> None:
    """Tell people something on the way, on stderr."""
    _errors().print(escape(text), highlight=False, soft_wrap=True)


def fail(json_flag: bool, error: FerrymanError) -> int:  # noqa: FBT001 - as emit
    """Report an error and return the exit code: JSON goes to stdout, words to stderr."""
    if json_flag:
        first = {"what": error.what, "where": error.where, "fix": error.fix}
        print(json.dumps({"error": first, "faults": list(map(fault_document, error.faults))}, ensure_ascii=False))
        sys.stdout.flush()
    else:
        show_faults(_errors(), error.faults)
    return error.exit_code


def fault_document(fault: Fault) -> dict[str, str]:
    """Return a fault as it stands in JSON."""
    return {"where": fault.where, "what": fault.what, "fix": fault.fix}


def show_faults(console: Console, faults: Sequence[Fault], mark: str = "[red]✗[/red]") -> None:
    """Draw faults: where, what, and how to fix it, one below the other; ``mark`` is markup."""
    for fault in faults:
        where = f"[bold]{escape(fault.where)}[/bold]: " if fault.where else ""
        console.print(f"{mark} {where}{escape(fault.what)}", highlight=False, soft_wrap=True)
        if fault.fix:
            console.print(f"  [dim]fix:[/dim] {escape(fault.fix)}", highlight=False, soft_wrap=True)


def _errors() -> Console:
    return Console(stderr=True)
