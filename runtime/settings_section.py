"""What all sections of a pipeline file have in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Some settings; frozen, without room for unknown ones."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True, validate_default=False
    )
