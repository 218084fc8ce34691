# SPDX-License-Identifier: Apache-2.0
"""A run of a flow, and the label on all that it makes, so that a sweep knows whose it is."""

import platform
import secrets
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from tradewind.model.record import Record

# What each name begins with that is a label itself.
MARK: Final = "tradewind-"


def labelled_name(run_id: str, rest: str) -> str:
    """Name something that a run makes, where its name is all that can bear a label."""
    return f"{MARK}{run_id}-{rest}"


class Purpose(StrEnum):
    """What a labelled domain is for.

    A worker of either kind; the reader of a machine that is shut off; the twin that libvirt judges
    before a machine is moved; the migrated machine itself.
    """

    TRANSFER = "transfer"
    MORPHING = "morphing"
    READER = "reader"
    TWIN = "twin"
    MACHINE = "machine"


class LabelState(StrEnum):
    """Whether the domain belongs to its run, or outlives it."""

    TEMPORARY = "temporary"
    FINISHED = "finished"


class Label(Record):
    """Who made a domain, when and what for.

    A temporary domain whose run no longer lives may be removed. A finished one may be removed by
    nobody but its own run, as long as the ledger has neither completed that nor kept its machine.
    `controller` is the host name of the machine that drives the run.
    """

    transfer: str
    run: str
    purpose: Purpose
    created: datetime
    controller: str
    state: LabelState = LabelState.TEMPORARY


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
