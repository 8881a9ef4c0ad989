"""Breakages of the contract: events and their schemas."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_CODEC: Final = "tests/unit/schemas/test_codec.py::"

SCHEMAS: Final = (
    Mutant(
        "a TOAST value that was not sent is NULL",
        "schemas/codec_encode.py",
        "unsent.append(i)",
        "pass",
        f"{_CODEC}test_columns_not_sent_are_listed_and_null_ones_are_not",
    ),
    Mutant(
        "a value that was not sent is NULL where events are read by column",
        "schemas/columnar/decode.py",
        "unsent[column] = listed if before is None else before | listed",
        "unsent[column] = before",
        "tests/unit/schemas/test_columnar_decode.py::test_columns_give_the_values_of_the_reference_for_any_block",
    ),
    Mutant(
        "a tombstone is forgotten",
        "schemas/codec_encode.py",
        "if key is not None:\n                out.append(Message(key, None, []))",
        "if False:\n                out.append(Message(key, None, []))",
        f"{_CODEC}test_a_delete_is_followed_by_a_tombstone_of_the_same_key",
    ),
    Mutant(
        "both halves of a key change have one ordinal",
        "schemas/codec_encode.py",
        "block.ordinals[i] + 1)",
        "block.ordinals[i])",
        f"{_CODEC}test_a_key_change_is_a_delete_a_tombstone_and_a_create_joined_by_headers",
        15,
    ),
    Mutant(
        "the first half of a key change may end a transaction",
        "schemas/codec_encode.py",
        "_tail(order, last=False, key_change=True)",
        "_tail(order, last=block.last[i], key_change=True)",
        f"{_CODEC}test_a_key_change_is_a_delete_a_tombstone_and_a_create_joined_by_headers",
        15,
    ),
    Mutant(
        "an event that holds more than its schema says is taken",
        "schemas/codec_decode.py",
        "if at != len(data):",
        "if False:",
        f"{_CODEC}test_a_cut_event_and_bytes_after_its_end_are_refused",
    ),
    Mutant(
        "a schema may take the name of another one",
        "runtime/schema_store.py",
        "if (known.get(number) or new.get(number, text)) != text:",
        "if False:",
        "tests/integration/test_schema_store.py::test_a_schema_whose_fingerprint_means_another_one_is_refused",
    ),
    Mutant(
        "an event goes out before its schema is stored",
        "runtime/schema_store.py",
        "if records:",
        "if False:",
        "tests/integration/test_schema_store.py::test_a_schema_is_found_by_its_frame_as_soon_as_it_is_registered",
    ),
)
