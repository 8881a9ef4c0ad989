"""The page that is made of kept results."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bench.report import page, plot

if TYPE_CHECKING:
    from pathlib import Path


def write(results: Path, target: Path) -> None:
    """Make ``target`` (Markdown) and its pictures, which lie beside the ``results``, from every result there."""
    documents = [json.loads(path.read_text()) for path in sorted(results.glob("*.json"))]
    documents.sort(key=page.place)
    pictures = {}
    for name, (title, figure) in plot.PICTURES.items():
        picture = plot.bars(title, figure, documents)
        if picture is not None:
            (results / name).write_text(picture)
            pictures[title] = f"{results.name}/{name}"
    target.write_text(page.render(documents, pictures))
