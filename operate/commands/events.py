"""``ferryman events``: what is in a topic, readable."""

from __future__ import annotations

import json
import re
import sys
from itertools import islice
from pathlib import Path  # noqa: TC003 - typer looks annotations up when it runs
from typing import Annotated, Final

import typer

from operate.events import Describer
from operate.topic_reader import BEGINNING, END, Start, messages
from runtime import config
from runtime.errors import BadInput
from runtime.schema_store import SchemaReader
from runtime.settings_kafka import KafkaConfig
from schemas.naming import prefix_of

#: Control characters that JSON would let through to the terminal.
_CONTROL: Final = re.compile("[\x7f-\x9f\u2028\u2029]")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Watch and steer")(events)


def events(
    topic: Annotated[str, typer.Argument(help="A table's topic: <pipeline>.<schema>.<table>.")],
    *,
    kafka: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Address of a broker.")] = None,
    pipeline_file: Annotated[Path | None, typer.Option(metavar="FILE", help="Take the brokers from this file.")] = None,
    start: Annotated[
        str, typer.Option("--from", metavar="PLACE", help="beginning, end, or an offset of every partition.")
    ] = BEGINNING,
    maximum: Annotated[int | None, typer.Option("--max", metavar="N", min=1, help="Stop after N messages.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more at the end, until Ctrl-C.")] = False,
) -> None:
    """Print the events of a topic, one JSON object a line.

    Columns that the source did not send are {"unsent": true}, values beyond their type {"verbatim": "its text"}.
    Nothing is consumed: no group, no offsets. Exit codes: 0 all read, 1 some messages are unreadable.

    Example: [bold]ferryman events shop.public.orders --kafka localhost:9092 --max 5[/bold]
    """
    brokers = _brokers(kafka, pipeline_file)
    describer = Describer(SchemaReader(brokers, prefix_of(topic)).get)
    unreadable = False
    for message in islice(messages(brokers, topic, _place(start), follow=follow), maximum):
        shown = describer.describe(message)
        unreadable |= shown["op"] == "unreadable"
        print(line(shown), flush=follow)
    sys.stdout.flush()
    raise typer.Exit(1 if unreadable else 0)


def line(shown: dict[str, object]) -> str:
    """Return a described message as one line of JSON that no terminal takes for a command."""
    text = json.dumps(shown, ensure_ascii=False)
    return _CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _brokers(address: str | None, pipeline_file: Path | None) -> KafkaConfig:
    if (address is None) == (pipeline_file is None):
        raise BadInput("one of --kafka and --pipeline-file is needed", fix="--kafka HOST:PORT")
    if pipeline_file is not None:
        return config.load(pipeline_file, {"kafka"}).kafka
    return KafkaConfig(bootstrap_servers=address or "")


def _place(text: str) -> Start:
    if text in {BEGINNING, END}:
        return text
    if text.isascii() and text.isdigit():
        return int(text)
    raise BadInput(f"--from {text}: no such place", fix=f"{BEGINNING}, {END}, or an offset such as 1200")
