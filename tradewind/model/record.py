# SPDX-License-Identifier: Apache-2.0
"""The one base of every record that crosses a step, is a flow parameter, or is stored."""

from pydantic import BaseModel, ConfigDict, ValidationError


class Record(BaseModel):
    """Frozen, closed, and silent about rejected input (which may be a secret)."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def faults(error: ValidationError) -> str:
    """Say in a line which fields were refused and why, and never what was put into them."""
    return "; ".join(
        f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
        for fault in error.errors(include_input=False)
    )
