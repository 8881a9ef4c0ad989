from __future__ import annotations

import pytest
from psycopg import errors

from apply.checkpoint import Place
from apply.errors import Blocked
from apply.partition import Batch
from apply.recovery import Action, decide, halt_for
from apply.session import Session
from apply.work import Pause, Work
from runtime.errors import Refused, Unreachable
from runtime.failpoints import FailpointError
from schemas.errors import ContractError


def work(**changes: object) -> Work:
    return Work(Place("p", "t", 0), "s.t", 100, **changes)


def batch(units: int) -> Batch:
    return Batch([], 1, None, complete=True, loading=False, units=units)


def test_a_batch_that_fails_on_data_is_tried_again_then_halved_then_blocks_its_table() -> None:
    error = errors.CheckViolation("the row (secret)")

    assert decide(error, work(), batch(8)) is Action.AGAIN
    assert decide(error, work(tried=True), batch(8)) is Action.HALVE
    assert decide(error, work(tried=True), batch(1)) is Action.BLOCK


def test_part_of_a_large_transaction_cannot_be_halved() -> None:
    opened = work(session=Session(lambda: pytest.fail("not needed")))

    assert decide(errors.CheckViolation(), opened, batch(0)) is Action.AGAIN
    opened.tried = True
    assert decide(errors.CheckViolation(), opened, batch(0)) is Action.BLOCK


def test_a_batch_that_loses_again_and_again_is_said_to_be_blocked() -> None:
    error = errors.LockNotAvailable()

    assert decide(error, work(lost=4), batch(8)) is Action.LATER
    assert decide(error, work(lost=5), batch(8)) is Action.BLOCK
    assert decide(Unreachable("no answer"), work(lost=50), batch(8)) is Action.LATER
    assert "lock" in halt_for(error).fix


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (errors.DeadlockDetected(), Action.LATER),
        (errors.AdminShutdown(), Action.LATER),
        (errors.OperationalError("connection lost"), Action.LATER),
        (Unreachable("no answer"), Action.LATER),
        (FailpointError("apply.locked"), Action.LATER),
        (errors.DiskFull(), Action.BLOCK),
        (errors.InsufficientPrivilege(), Action.STOP),
        (Refused("password"), Action.STOP),
        (errors.InternalError_(), Action.STOP),
        (Blocked("why", "fix"), Action.AGAIN),
        (ContractError("no key"), Action.AGAIN),
    ],
)
def test_every_error_has_one_consequence(error: Exception, action: Action) -> None:
    assert decide(error, work(), batch(3)) is action


def test_what_a_person_reads_holds_no_value_of_a_row() -> None:
    halt = halt_for(errors.UniqueViolation("Key (email)=(alice@example.com) already exists"))

    assert halt.state == "blocked"
    assert "23505" in halt.reason
    assert "alice" not in halt.reason + halt.fix
    assert "unique constraint" in halt.fix


def test_pauses_double_up_to_the_longest_and_begin_again_after_success() -> None:
    pause = Pause(1.0, 4.0)

    pauses = [pause.next() for _ in range(5)]
    pause.reset()

    for got, wanted in zip(pauses, (1, 2, 4, 4, 4), strict=True):
        assert 0.75 * wanted <= got <= 1.25 * wanted
    assert pause.next() <= 1.25
