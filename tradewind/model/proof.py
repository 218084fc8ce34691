# SPDX-License-Identifier: Apache-2.0
"""How a machine proved that it booted, and what of it was kept."""

from enum import StrEnum
from typing import Final

from tradewind.model.record import Record
from tradewind.model.scripts import ScriptReport


class BootEvidence(StrEnum):
    """Who says that the machine booted, the best witness first."""

    AGENT = "guest agent"
    ADDRESS = "address and TCP port"
    CONSOLE = "console"


class SystemdState(Record):
    """What `systemctl is-system-running` said; `note` why nothing else is known.

    `failed` are units that failed, `waiting` are those that were still being started.
    """

    state: str = ""
    failed: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    note: str = ""


# An emergency shell is no system that came up, whatever else answers.
BROKEN: Final = frozenset({"maintenance", "stopping"})


class KeptEvidence(Record):
    """What was kept of a boot: paths on the machine that ran the flow, empty where there is none.

    `console` is the end of what the console printed, without its control sequences; `note` says
    what could not be kept, and why.
    """

    folder: str = ""
    screenshot: str = ""
    console: str = ""
    note: str = ""


class BootProof(Record):
    """How a machine proved that it booted, after `seconds` from its start.

    It was watched for `watched_seconds` more: until its services had settled, its scripts of the
    first boot had ended and its evidence was kept.
    """

    evidence: BootEvidence
    lines: tuple[str, ...]
    addresses: tuple[str, ...]
    seconds: float
    watched_seconds: float = 0.0
    # Reports from before these fields were of boots that nothing else was asked about.
    systemd: SystemdState = SystemdState()
    kept: KeptEvidence = KeptEvidence()
    first_boot: tuple[ScriptReport, ...] = ()
