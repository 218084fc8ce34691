# SPDX-License-Identifier: Apache-2.0
"""The one base of every record that crosses a step, is a flow parameter, or is stored."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Frozen, closed, and silent about rejected input (which may be a secret)."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
