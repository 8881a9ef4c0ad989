"""The message key lies within what the log sends of old rows, and falls to none where it cannot."""

from __future__ import annotations

import pytest

from capture.sources.postgres.identity import DEFAULT, FULL, INDEX, NOTHING, Keys, message_key

COLUMNS = ("a", "b", "c")


@pytest.mark.parametrize(
    ("keys", "sent"),
    [
        (Keys(DEFAULT, primary=("b", "a")), ("b", "a")),
        (Keys(DEFAULT), ()),
        (Keys(DEFAULT, primary=("a",), primary_deferrable=True), ()),
        (Keys(NOTHING, primary=("a",)), ()),
        (Keys(INDEX, primary=("a",), index=("c",)), ("c",)),
        (Keys(INDEX, primary=("a",)), ()),
        (Keys(FULL), COLUMNS),
        (Keys(FULL, primary=("a",), primary_deferrable=True), COLUMNS),
    ],
)
def test_the_server_sends_what_the_replica_identity_says(keys, sent):
    assert keys.identity_columns(COLUMNS) == sent


@pytest.mark.parametrize(
    ("identity", "sent", "primary", "key"),
    [
        (DEFAULT, ("a", "b"), ("b", "a"), ("b", "a")),
        (DEFAULT, ("a", "b"), ("a",), ("a", "b")),  # the catalog is ahead of the log
        (INDEX, ("a", "b"), ("a",), ("a",)),
        (INDEX, ("c",), ("a",), ("c",)),
        (FULL, COLUMNS, ("b",), ("b",)),
        (FULL, COLUMNS, (), ()),
        (FULL, COLUMNS, ("gone",), ()),
    ],
)
def test_the_message_key_is_the_primary_key_where_the_log_has_it(identity, sent, primary, key):
    assert message_key(identity, sent, primary) == key
