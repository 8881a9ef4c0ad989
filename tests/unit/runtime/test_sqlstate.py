from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from runtime.errors import Refused, Unreachable
from runtime.sqlstate import Reaction, describe, reaction

#: The table of fates, code by code; classes stand for codes that are not named.
FATES = {
    Reaction.RETRY: ["40001", "40P01", "55P03", "57014"],
    Reaction.RECONNECT: ["08000", "08006", "57P01", "57P02", "57P03", "53300", "25006", "58030", "58P01"],
    Reaction.SLOW_RETRY: ["53100", "53200", "53400"],
    Reaction.BLOCK: ["22P02", "22003", "23505", "23502", "42703", "42P01", "42804", "54000", "54011", "22P05", "22021"],
    Reaction.STOP: ["28P01", "28000", "42501", "3D000", "XX000", "XX001", "42601", "F0000"],
}


@pytest.mark.parametrize(("expected", "code"), [(fate, code) for fate, codes in FATES.items() for code in codes])
def test_every_sqlstate_has_one_reaction(expected: Reaction, code: str) -> None:
    assert reaction(errors.lookup(code)("boom")) is expected


def test_a_code_that_nobody_knows_stops_instead_of_retrying() -> None:
    class Unheard(psycopg.Error):
        sqlstate = "ZZ999"

    assert reaction(Unheard("boom")) is Reaction.STOP


def test_a_lost_connection_without_a_code_is_opened_again() -> None:
    assert reaction(psycopg.OperationalError("the connection is closed")) is Reaction.RECONNECT
    assert reaction(psycopg.InterfaceError("the connection is closed")) is Reaction.RECONNECT


def test_a_value_that_the_driver_cannot_send_blocks_its_table() -> None:
    assert reaction(psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")) is Reaction.BLOCK


def test_a_failed_connection_is_tried_again_unless_it_was_refused() -> None:
    assert reaction(Unreachable("timeout")) is Reaction.RECONNECT
    assert reaction(Refused("password authentication failed")) is Reaction.STOP


def test_a_bug_of_ours_stops() -> None:
    assert reaction(ZeroDivisionError()) is Reaction.STOP


def test_a_description_names_the_condition_and_never_the_text_of_the_error() -> None:
    words = describe(errors.lookup("23505")("duplicate key ... Key (email)=(canary@example.com) already exists"))

    assert words == "SQLSTATE 23505 (UniqueViolation)"


def test_an_error_without_a_code_is_described_without_its_text() -> None:
    assert "canary" not in describe(psycopg.OperationalError("canary"))
    assert "canary" not in describe(ValueError("canary"))
