"""Bars as SVG: every subject of every case, in a scale of the case's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: File -> title and figure.
PICTURES = {
    "rows-per-second.svg": ("Rows per second: longer is better", "rows_per_s"),
    "cpu.svg": ("CPU-seconds per million rows: shorter is better", "cpu_s_per_million"),
}
_WIDTH, _LABEL, _BAR, _ROW, _TOP = 900, 320, 440, 20, 40
_COLOURS = {"ferryman": "#0b7285", "debezium": "#adb5bd", "limit": "#ffe8a3"}


def bars(title: str, figure: str, documents: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the picture of one figure, None where nothing is to be seen. Latency has no rate to speak of."""
    parts: list[str] = []
    at = _TOP
    for document in documents:
        lines = _lines(document, figure)
        if document["case"] == "latency" or not lines:
            continue
        server = f", {document['server']}" if "server" in document else ""
        parts.append(_text(10, at + 14, f"{document['case']}{server}", "bold"))
        at += _ROW
        largest = max(value for _, value, _ in lines)
        for label, value, colour in lines:
            parts.append(_bar(at, label, value, value / largest * _BAR, colour))
            at += _ROW
        at += _ROW // 2
    if not parts:
        return None
    size = f'width="{_WIDTH}" height="{at}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
    background = f'<rect {size} fill="white"/>'
    return "\n".join([head, background, _text(10, 22, title, "bold"), *parts, "</svg>"]) + "\n"


def _lines(document: Mapping[str, Any], figure: str) -> list[tuple[str, float, str]]:
    lines = [(one["name"], one[figure], one["name"].split()[0]) for one in document["subjects"]]
    if lines and figure == "rows_per_s":
        lines += [(one["name"], one["rows_per_s"], "limit") for one in document["limits"]]
    return lines


def _bar(at: int, label: str, value: float, length: float, colour: str) -> str:
    size = f'width="{max(1.0, length):.1f}" height="{_ROW - 6}"'
    bar = f'<rect x="{_LABEL}" y="{at + 3}" {size} fill="{_COLOURS[colour]}"/>'
    name = f'<text x="{_LABEL - 8}" y="{at + 14}" text-anchor="end">{escape(label)}</text>'
    return f"{name}{bar}{_text(int(_LABEL + length) + 8, at + 14, f'{value:,.0f}')}"


def _text(x: int, y: int, text: str, weight: str = "normal") -> str:
    return f'<text x="{x}" y="{y}" font-weight="{weight}">{escape(text)}</text>'
