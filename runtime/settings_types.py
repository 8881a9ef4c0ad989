"""The section of a pipeline file about columns that get another type in the target than the source's own."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, RootModel, WithJsonSchema, model_validator

from runtime import selection, type_rules
from runtime.config_faults import fault
from runtime.settings_section import Section
from runtime.type_names import TypeName, canonical
from runtime.type_rules import Wanted
from schemas.table import Column, TableSchema


def _patterns(value: Any) -> tuple[selection.ColumnPattern, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise fault("is no pattern", selection.COLUMN_SPELLING)
    try:
        return tuple(map(selection.parse_column, texts))
    except ValueError as error:
        raise fault(str(error), selection.COLUMN_SPELLING) from None


def _target_type(value: Any) -> str:
    if not isinstance(value, str) or not type_rules.is_known(canonical(value)):
        known = ", ".join(type_rules.ADMITTED)
        raise fault(f"{value!r} is no type that a rule may give", f"write one of {known}, or <schema>.<name>")
    return value


_TEXT_OR_LIST: Final = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
Columns = Annotated[
    tuple[selection.ColumnPattern, ...],
    BeforeValidator(_patterns),
    WithJsonSchema(_TEXT_OR_LIST, mode="validation"),
]


class TypeRule(Section):
    """One entry of ``types``."""

    columns: Columns = ()
    """Pattern or list of patterns <schema>.<table>.<column>, the source's names: * and ? are wildcards. Without it all
    columns of the type that `from` names."""

    source_type: str | None = Field(default=None, alias="from")
    """The columns' type at the source: bigint unsigned, or numeric(20,0). Without it whatever type they have."""

    to: Annotated[str, BeforeValidator(_target_type), WithJsonSchema({"type": "string"}, mode="validation")]
    """Their type in the target; a value that it does not take blocks the table. docs/type-map.md has the choices."""

    zone: Literal["UTC"] | None = None
    """UTC: timestamps without a zone are in UTC; needed between timestamps with and without one."""

    @model_validator(mode="after")
    def _check_any(self) -> Self:
        if not self.columns and self.source_type is None:
            raise fault("names no column", "give columns: or from:, or both")
        if self.zone is not None and not type_rules.has_zone_choice(canonical(self.to)):
            raise fault(f"{self.to} has nothing to do with a zone", "remove zone:")
        return self

    @property
    def wanted(self) -> Wanted:
        """What the columns become."""
        return Wanted(canonical(self.to), utc=self.zone is not None)

    def matches(self, table: TableSchema, column: Column) -> bool:
        """Whether a column is meant."""
        if self.source_type is not None and not type_rules.is_of(column, self._source_name):
            return False
        return not self.columns or any(p.matches(table.namespace, table.name, column.name) for p in self.columns)

    @property
    def _source_name(self) -> TypeName:
        assert self.source_type is not None
        return type_rules.source_name(self.source_type)


class TypeRules(RootModel[tuple[TypeRule, ...]]):
    """Which columns get another type in the target: of the entries that match a column the first one counts."""

    model_config = ConfigDict(frozen=True)

    def wanted(self, table: TableSchema, column: Column) -> Wanted | None:
        """Return what a column of the source becomes; None when no rule says so."""
        return next((rule.wanted for rule in self.root if rule.matches(table, column)), None)

    def foreign_to_mysql(self) -> Sequence[tuple[int, str]]:
        """Return which rules name no type of MySQL, and why."""
        named = [(i, rule.source_type) for i, rule in enumerate(self.root) if rule.source_type is not None]
        return [(i, why) for i, text in named if (why := type_rules.no_type_of_mysql(text)) is not None]


NO_RULES: Final = TypeRules(())
