# SPDX-License-Identifier: Apache-2.0
"""One run of a flow, as its labels and the ledger know it."""

import platform
import secrets
from datetime import UTC, datetime

from tradewind.model.label import Label, LabelState, Purpose
from tradewind.model.record import Record


def new_run_id() -> str:
    """Make a run's name: 12 hexadecimal digits, which is what names of leftovers are known by."""
    return secrets.token_hex(6)


class Run(Record):
    """A run that owns what is labelled with its `id`."""

    id: str
    transfer: str
    begun: datetime

    def label(self, purpose: Purpose, state: LabelState = LabelState.TEMPORARY) -> Label:
        """Label something that this run makes."""
        return Label(
            transfer=self.transfer,
            run=self.id,
            purpose=purpose,
            created=datetime.now(UTC),
            controller=platform.node(),
            state=state,
        )
