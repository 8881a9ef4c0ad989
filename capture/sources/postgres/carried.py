"""What the publication carries of each table: somebody may alter it, and what it left out meanwhile is in no message.

The server judges each change by the publication as it was at the change: operations left out, a table taken out and put
back, a filter, all without a word in the stream. What tells is that the publication's row in the catalog, or the one of
the table in it, was written anew between two looks. The writers last seen are saved with the resume point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from capture.sources.postgres.dumped import dumped
from capture.sources.postgres.faults import translated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import psycopg

    from capture.source import FoundTable

_TERMS: Final = """
SELECT c.oid::bigint, p.xmin::text, r.xmin::text
FROM pg_publication p CROSS JOIN pg_class c LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.oid
WHERE p.pubname = %s AND c.oid = ANY (%s::oid[])"""


class Terms(NamedTuple):
    """The transactions that wrote the publication and the table's place in it (None: it is not listed by itself)."""

    publication: str
    place: str | None


class Carried:
    """The terms of every followed table as they were when the catalog was last looked at."""

    def __init__(self, publication: str) -> None:
        self._name = publication
        self._terms: dict[int, Terms] = {}
        self._dumped: dict[str, Any] = {}

    def see(self, conn: psycopg.Connection[Any], tables: Iterable[FoundTable]) -> dict[str, str]:
        """Look at the tables; return by name those of which changes may have been left out, with the reason."""
        names = {int(table.identity["oid"]): table.name for table in tables}
        with translated("the catalog cannot be read"):
            now = self._read(conn, list(names))
        reasons = {names[oid]: loss(self._terms[oid], terms) for oid, terms in now.items() if oid in self._terms}
        # A table that is not listed for a while keeps its former place, to be compared with the next one.
        kept = {oid: terms._replace(place=terms.place or self._place(oid)) for oid, terms in now.items()}
        self._set(kept)
        return {name: reason for name, reason in reasons.items() if reason is not None}

    def note(self, conn: psycopg.Connection[Any], oid: int) -> None:
        """A snapshot of the table opens: what was before counts no more. Raises psycopg.Error."""
        self._set(self._terms | self._read(conn, [oid]))

    def dump(self) -> dict[str, Any]:
        """Return the terms as JSON, for the resume point; the same object while nothing changed."""
        return self._dumped

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take up the terms of a resume point."""
        self._set({int(oid): Terms(*terms) for oid, terms in saved.items()})

    def _place(self, oid: int) -> str | None:
        return self._terms[oid].place if oid in self._terms else None

    def _read(self, conn: psycopg.Connection[Any], oids: list[int]) -> dict[int, Terms]:
        rows = conn.execute(_TERMS, [self._name, oids]).fetchall()
        return {int(oid): Terms(publication, place) for oid, publication, place in rows}

    def _set(self, terms: dict[int, Terms]) -> None:
        if terms != self._terms:
            self._dumped = dumped(terms, self._terms, self._dumped, list)
            self._terms = terms


def loss(before: Terms, now: Terms) -> str | None:
    """Return why changes of a table may have been left out; None when they were not. Pure.

    A table that comes into the publication is copied from there on; one that is out of it is told of elsewhere.
    """
    if before.publication != now.publication:
        return "the publication was altered: changes may have been left out"
    if before.place is not None and now.place is not None and before.place != now.place:
        return "it was taken out of the publication and put back, so changes may have been left out"
    return None
