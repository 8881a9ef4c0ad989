"""The errors that a person sees: what happened, where, what to do about it. Never a secret, never a row value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from schemas.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: ``where`` (``tables[0].include``, a server, a table), ``what``, and how to fix it."""

    where: str
    what: str
    fix: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n    fix: {self.fix}" if self.fix else text


class FerrymanError(Exception):
    """An error with a message for people. ``exit_code`` is what a command returns for it (4: internal)."""

    exit_code: ClassVar[int] = 4

    def __init__(self, what: str, where: str = "", fix: str = "") -> None:
        super().__init__(what, where, fix)
        self.what, self.where, self.fix = what, where, fix

    def __str__(self) -> str:
        return str(Fault(self.where, self.what, self.fix))

    @property
    def faults(self) -> list[Fault]:
        """The error as a list of faults; one, unless the error gathers several."""
        return [Fault(self.where, self.what, self.fix)]


class BadInput(FerrymanError):
    """An argument, a file or a setting cannot be used as it stands."""

    exit_code: ClassVar[int] = 2


class ConfigError(BadInput):
    """A pipeline file with faults: all of them."""

    def __init__(self, faults: Sequence[Fault], where: str = "") -> None:
        first = faults[0]
        what = first.what if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__(what, first.where if len(faults) == 1 else where, first.fix if len(faults) == 1 else "")
        self.args = (faults, where)
        self._faults = list(faults)

    def __str__(self) -> str:
        return "\n".join(map(str, self._faults))

    @property
    def faults(self) -> list[Fault]:
        """Every fault of the file."""
        return list(self._faults)


class Unreachable(FerrymanError):
    """A system does not answer now; trying again later may help. ``where`` is host:port, without any secret."""

    exit_code: ClassVar[int] = 3


class Refused(Unreachable):
    """A system answered and said no (authentication, privileges, no such database): only a person can change it."""


class Stopped(FerrymanError):
    """A stop was requested while waiting for something; not a failure."""

    exit_code: ClassVar[int] = 0


class UnknownSchemaError(ContractError):
    """No store that we may read holds the schema of an event."""
