# SPDX-License-Identifier: Apache-2.0
"""What a run came to, for people and for programs."""

from enum import StrEnum

from tradewind.model.guest import StepReport
from tradewind.model.progress import DiskResult
from tradewind.model.record import Record
from tradewind.model.storage import VolumePlan


class TransferReport(Record):
    """One transfer execution; durations are seconds."""

    transfer: str
    run: str
    machine: str
    source: str
    destination: str
    full: bool
    consistency: str
    plan: VolumePlan
    disks: tuple[DiskResult, ...]
    worker_seconds_to_ssh: float
    stream_seconds: float
    seconds: float
    peak_memory: int
    notes: tuple[str, ...] = ()

    @property
    def sent(self) -> int:
        """Bytes of disk contents that crossed the wire."""
        return sum(disk.sent for disk in self.disks)


class BootEvidence(StrEnum):
    """Who says that the machine booted, the best witness first."""

    AGENT = "guest agent"
    ADDRESS = "address and TCP port"
    CONSOLE = "console"


class BootProof(Record):
    """How a machine proved that it booted."""

    evidence: BootEvidence
    lines: tuple[str, ...]
    addresses: tuple[str, ...]
    seconds: float


class DeployReport(Record):
    """One deployment; durations are seconds."""

    deployment: str
    machine: str
    domain: str
    destination: str
    cloned: bool
    guest: str
    steps: tuple[StepReport, ...]
    proof: BootProof | None
    worker_seconds_to_ssh: float | None
    seconds: float
    shortfalls: tuple[str, ...] = ()
