# SPDX-License-Identifier: Apache-2.0
"""The one base of every record that crosses a step, is a flow parameter, or is stored."""

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from tradewind.model.form import made_fillable


class Record(BaseModel):
    """Frozen, closed, and silent about rejected input (which may be a secret)."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> JsonSchemaValue:
        """Make it a form that a person can fill."""
        schema = handler(core_schema)
        said = handler.resolve_ref_schema(schema)
        if "properties" in said:
            said["properties"] = made_fillable(said["properties"], cls.model_fields)
        return schema


def faults(error: ValidationError) -> str:
    """Say in a line which fields were refused and why, and never what was put into them."""
    return "; ".join(
        ": ".join(part for part in (".".join(map(str, fault["loc"])), fault["msg"]) if part)
        for fault in error.errors(include_input=False)
    )
