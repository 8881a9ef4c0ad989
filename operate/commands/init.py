"""``ferryman init``: a commented pipeline file to start from, by questions or by flags."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.markup import escape

from operate.output import emit, note
from runtime import config, mysql_url
from runtime.config_schema import json_schema
from runtime.errors import BadInput, ConfigError
from runtime.postgres import parse_conninfo

_TEMPLATE = """\
# A ferryman pipeline. `ferryman check {path}` tells what is missing; docs/configuration.md has every setting.

pipeline: {pipeline}  # topic prefix; also names slot, publication, consumer group and control rows

kafka:
  bootstrap_servers: {kafka}
  # properties:  # any librdkafka setting
  #   security.protocol: sasl_ssl
  #   sasl.mechanism: SCRAM-SHA-512
  #   sasl.username: ferryman
  #   sasl.password: ${{env:KAFKA_PASSWORD}}

source:
  type: {type}
  url: {source_url}
  # password: ${{file:/run/secrets/source-password}}  # overrides the url's
  # {own}

target:
  url: {target_url}  # Aurora PostgreSQL, or any PostgreSQL 13+

tables:  # * and ? are wildcards, odd names stand in double quotes: public."Odd Name"
{include}
  # - exclude: public.audit_*

# types:  # other types in the target than the source's own; docs/type-map.md has which are admitted
#   - {{from: {type_from}, to: {type_to}}}

# topics:
#   retention: unlimited  # or 30d: a target can be rebuilt only from what is still there
#   replication_factor: 3
"""


#: A setting of each kind of source that people may look for.
_OWN = {
    "postgresql": "replica_identity: manage  # lets ferryman set REPLICA IDENTITY FULL on tables without a usable key",
    "mysql": "server_id: 4711  # capture's number among the server's replicas; derived from the pipeline's name",
}
_OWN["mariadb"] = _OWN["mysql"]
#: A rule for types that people may want of each kind of source.
_RULES = {"postgresql": ("json", "jsonb"), "mysql": ("bigint unsigned", "bigint")}
_RULES["mariadb"] = _RULES["mysql"]


@dataclass(slots=True)
class Answers:
    """What goes into the file."""

    pipeline: str = "shop"
    kafka: str = "${env:KAFKA}"
    type: str = "postgresql"
    source_url: str = "${env:SOURCE_URL}"
    target_url: str = "${env:TARGET_URL}"
    include: tuple[str, ...] = ("public.*",)


_QUESTIONS = {
    "pipeline": "Name of the pipeline (topic prefix)",
    "kafka": "Kafka brokers, host:port, or ${env:NAME}",
    "type": f"Kind of the source: {', '.join(_OWN)}",
    "source_url": "URL of the source database, or ${env:NAME}",
    "target_url": "URL of the target database, or ${env:NAME}",
    "include": "Tables to carry, patterns separated by spaces",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Before")(init)


def init(  # noqa: PLR0913 - one parameter for each flag
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("pipeline.yaml"),
    *,
    pipeline: Annotated[str | None, typer.Option(help="Name of the pipeline: prefix of its topics.")] = None,
    kafka: Annotated[str | None, typer.Option(help="Brokers, host:port or ${env:NAME}.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help=f"Kind of the source: {', '.join(_OWN)}.")] = None,
    source_url: Annotated[str | None, typer.Option(help="The source's URL or ${env:NAME}.")] = None,
    target_url: Annotated[str | None, typer.Option(help="The target's URL or ${env:NAME}.")] = None,
    include: Annotated[list[str] | None, typer.Option(help="Tables to carry; may be given again.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema for editors, write nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write a commented pipeline file; on a terminal, ask for what no flag says.

    Example: [bold]ferryman init shop.yaml --pipeline shop --include 'public.*'[/bold]
    """
    if schema:
        print(_pretty(json_schema()))
        return
    if path.exists() and not force:
        raise BadInput("the file exists already", str(path), "choose another name, or --force to replace it")
    kind = kind or _kind_of(source_url)
    given = {"pipeline": pipeline, "kafka": kafka, "type": kind, "source_url": source_url, "target_url": target_url}
    flags = {key: value for key, value in given.items() if value is not None}
    answers = Answers(**flags, **({"include": tuple(include)} if include else {}))  # type: ignore[arg-type] # by name
    if sys.stdin.isatty() and not json:
        _ask(answers, {*flags, *(["include"] if include else [])})
    write(path, render(path, answers), _given(answers), private=_holds_password(answers))
    emit(json, {"path": str(path)}, lambda console: console.print(f"[green]✓[/green] wrote {escape(str(path))}"))
    note(f"next: ferryman check {path}")


def _kind_of(url: str | None) -> str | None:
    """Return the kind of source that a URL speaks of, if it does."""
    scheme = url.partition("://")[0] if url else ""
    return {"postgres": "postgresql"}.get(scheme, scheme) if scheme in ("postgres", *_OWN) else None


def render(path: Path, answers: Answers) -> str:
    """Return the file's text."""
    type_from, type_to = _RULES.get(answers.type, _RULES["postgresql"])
    return _TEMPLATE.format(
        path=path,
        pipeline=_scalar(answers.pipeline),
        kafka=_scalar(answers.kafka),
        type=_scalar(answers.type),
        type_from=type_from,
        type_to=type_to,
        own=_OWN.get(answers.type, _OWN["postgresql"]),
        source_url=_scalar(answers.source_url),
        target_url=_scalar(answers.target_url),
        include="\n".join(f"  - include: {_scalar(pattern)}" for pattern in answers.include),
    )


def write(path: Path, text: str, sections: set[str], *, private: bool) -> None:
    """Write the file whole or not at all, and only if it can be loaded; ``private``: readable by its owner alone.

    ``sections`` hold no references, so that their values can be checked too. Raises ConfigError or BadInput.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise BadInput(f"cannot be written: {error.strerror}", str(path), "choose a folder that exists") from None
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        config.load(draft, sections)
        draft.chmod(0o600 if private else 0o644)
        draft.replace(path)
    except ConfigError as error:
        raise ConfigError(error.faults, str(path)) from None
    finally:
        draft.unlink(missing_ok=True)
    if private:
        note("the file holds a password now, readable by you alone; ${env:NAME} or ${file:/path} would keep it out")


def _ask(answers: Answers, told: set[str]) -> None:
    """Ask on the terminal for every answer that no flag told."""
    for field in fields(answers):
        if field.name in told:
            continue
        default = getattr(answers, field.name)
        shown = " ".join(default) if isinstance(default, tuple) else default
        said = typer.prompt(_QUESTIONS[field.name], default=shown, err=True)
        setattr(answers, field.name, tuple(said.split()) if field.name == "include" else said)


def _given(answers: Answers) -> set[str]:
    """Return the sections whose values stand in the file themselves."""
    values = {"kafka": answers.kafka, "source": answers.source_url, "target": answers.target_url}
    return {section for section, value in values.items() if "${" not in value}


def _holds_password(answers: Answers) -> bool:
    urls = [url for url in (answers.source_url, answers.target_url) if "${" not in url]
    try:
        return any(_password(url) for url in urls)
    except BadInput:
        return True  # not a URL, and refused for that in a moment


def _password(url: str) -> object:
    mysql = url.startswith(tuple(f"{scheme}://" for scheme in mysql_url.SCHEMES))
    return mysql_url.parse(url).password if mysql else parse_conninfo(url).get("password")


def _scalar(text: str) -> str:
    """Return a text as a YAML scalar on one line, plain where YAML reads it back as it is."""
    try:
        plain = yaml.safe_load(f"key: {text}  # comment") == {"key": text}
    except yaml.YAMLError:
        plain = False
    return text if plain and "\n" not in text else yaml.dump(text, default_style='"', width=10_000).strip()


def _pretty(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)
