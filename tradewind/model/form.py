# SPDX-License-Identifier: Apache-2.0
"""What Prefect's UI makes a form of: the JSON schema of a record, so that a person can fill it.

Tried with Prefect 3.8.8. Its form shows a field that may be null as a choice of "str" and "None"
with another control below; a field without a default that is left empty is simply not sent. When
a run is asked for, Prefect takes null for such a text or number all the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


@dataclass(frozen=True, slots=True)
class Folded:
    """Show a record as a choice of two: `closed` (all its defaults), and its class's title."""

    closed: str

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        fields = handler(schema)
        # Any object fits the first choice, so that it is allOf which refuses: it names the field,
        # where anyOf says no more than that nothing fits. The form looks at anyOf alone
        # (the old UI at allOf: there it stands unfolded).
        return {"anyOf": [_nothing(self.closed), fields], "allOf": [fields]}


def _nothing(title: str) -> JsonSchemaValue:
    """Describe the choice that a form begins with, that has no fields and sends nothing."""
    return {"title": title, "type": "object", "properties": {}}


def made_fillable(
    properties: Mapping[str, JsonSchemaValue], fields: Mapping[str, FieldInfo]
) -> dict[str, JsonSchemaValue]:
    """Give fields their places, and a single control to each that may be left empty."""
    # PostgreSQL keeps a schema without the order of its fields (jsonb).
    return {
        name: {**_plain(said, fields.get(name)), "position": position}
        for position, (name, said) in enumerate(properties.items())
    }


def _plain(said: JsonSchemaValue, field: FieldInfo | None) -> JsonSchemaValue:
    match said.get("anyOf"):
        case [{"type": "boolean"}, {"type": "null"}]:
            # A switch is on or off. In a list of choices, Prefect shows false as none of them.
            shown = {"title": "set", "type": "boolean", "default": False}
            return {**_beside(said), "anyOf": [_nothing("unchanged"), shown]}
        case [choice, {"type": "null"}] if _is_record(field):
            # Its defaults would be sent, where nothing is meant.
            return {**_beside(said), "anyOf": [{"title": "left empty", "type": "null"}, choice]}
        case [choice, {"type": "null"}]:
            return {**choice, **_beside(said)}
        case _:
            return said


def _is_record(field: FieldInfo | None) -> bool:
    kinds = get_args(field.annotation) if field else ()
    return any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in kinds)


def _beside(said: JsonSchemaValue) -> dict[str, Any]:
    """Take what stands beside the choices; a default of null would be sent."""
    return {name: value for name, value in said.items() if name not in {"anyOf", "default"}}
