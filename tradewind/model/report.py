# SPDX-License-Identifier: Apache-2.0
"""What a run came to, for people and for programs."""

from enum import StrEnum

from tradewind.model.guest import StepReport
from tradewind.model.leftover import Leftover
from tradewind.model.progress import DiskResult
from tradewind.model.record import Record
from tradewind.model.storage import VolumePlan


class Streamed(Record):
    """What moving all disks came to; `consistency` says of which point in time they are."""

    consistency: str
    disks: tuple[DiskResult, ...]
    seconds: float


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


class Morphed(Record):
    """What was found and changed in the guest."""

    guest: str = "not looked at"
    steps: tuple[StepReport, ...] = ()
    notes: tuple[str, ...] = ()
    worker_seconds_to_ssh: float | None = None

    @property
    def agent_installed(self) -> bool:
        """Whether a step of ours saw to the guest agent."""
        return any(step.step == "qemu-guest-agent" for step in self.steps)


class DeployReport(Record):
    """One deployment; durations are seconds."""

    deployment: str
    machine: str
    domain: str
    destination: str
    cloned: bool
    # Reports from before this field were of machines that had been started.
    started: bool = True
    guest: str
    steps: tuple[StepReport, ...]
    proof: BootProof | None
    worker_seconds_to_ssh: float | None
    seconds: float
    shortfalls: tuple[str, ...] = ()


class SweepReport(Record):
    """What bears our label on one host: whose run is dead, alive, finished, or not known here."""

    endpoint: str
    dead: tuple[Leftover, ...]
    alive: tuple[Leftover, ...]
    finished: tuple[Leftover, ...]
    unknown: tuple[Leftover, ...]
