"""The connections of a comparison between two PostgreSQL databases."""

from __future__ import annotations

from operate.validate.crew import Crew
from operate.validate.origin import target_end
from operate.validate.side import PostgresEnd


def crew(source: str, target: str, pairs: int) -> Crew:
    """Return the connections between two databases, given as URLs."""
    return Crew(lambda: PostgresEnd(source, lambda plan: plan.source), lambda: target_end(target), pairs)
