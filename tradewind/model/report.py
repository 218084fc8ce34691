# SPDX-License-Identifier: Apache-2.0
"""What a run came to, for people and for programs."""

from datetime import datetime

from tradewind.model.guest import StepReport
from tradewind.model.leftover import Leftover
from tradewind.model.outage import OpenOutage
from tradewind.model.progress import DiskResult
from tradewind.model.proof import BootProof, KeptEvidence
from tradewind.model.record import Record
from tradewind.model.scripts import FirstBootScript, ScriptReport
from tradewind.model.storage import Checkpoint, Tracking, VolumePlan


class Streamed(Record):
    """What moving all disks came to; `consistency` says of which point in time they are."""

    consistency: str
    moment: datetime
    checkpoint: Checkpoint | None
    tracking: tuple[Tracking, ...]
    disks: tuple[DiskResult, ...]
    seconds: float
    notes: tuple[str, ...] = ()


class TransferReport(Record):
    """One transfer execution; durations are seconds."""

    transfer: str
    run: str
    machine: str
    source: str
    destination: str
    full: bool
    consistency: str
    # Reports from before these two fields were of executions that looked at everything.
    moment: datetime | None = None
    tracking: tuple[Tracking, ...] = ()
    plan: VolumePlan
    disks: tuple[DiskResult, ...]
    worker_seconds_to_ssh: float
    stream_seconds: float
    seconds: float
    peak_memory: int
    notes: tuple[str, ...] = ()

    @property
    def sent(self) -> int:
        """Bytes of disk contents that were written on the destination."""
        return sum(disk.sent for disk in self.disks)


class Morphed(Record):
    """What was found and changed in the guest."""

    guest: str = "not looked at"
    steps: tuple[StepReport, ...] = ()
    scripts: tuple[ScriptReport, ...] = ()
    first_boot: tuple[FirstBootScript, ...] = ()
    notes: tuple[str, ...] = ()
    worker_seconds_to_ssh: float | None = None
    # What libosinfo calls the system.
    os_id: str | None = None

    @property
    def agent_installed(self) -> bool:
        """Whether a step of ours saw to the guest agent."""
        return any(step.step == "qemu-guest-agent" and step.outcome.done for step in self.steps)

    @property
    def not_done(self) -> tuple[str, ...]:
        """What did not happen in the guest although it should have, each with its remedy."""
        return tuple(
            f"{step.step} was NOT done: {step.outcome.summary} → {step.outcome.remedy}"
            for step in self.steps
            if not step.outcome.done
        )


class DeployReport(Record):
    """One deployment; durations are seconds."""

    deployment: str
    machine: str
    domain: str
    destination: str
    cloned: bool
    # What a rehearsal did with the machine afterwards; empty for a deployment that is to stay.
    rehearsal: str = ""
    # Reports from before this field were of machines that had been started.
    started: bool = True
    autostart: bool = False
    guest: str
    steps: tuple[StepReport, ...]
    # Of the operator's own; those of the first boot are in the proof.
    scripts: tuple[ScriptReport, ...] = ()
    proof: BootProof | None
    worker_seconds_to_ssh: float | None
    seconds: float
    shortfalls: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """Name what was done: a deployment, or a rehearsal of one."""
        return "rehearsal" if self.rehearsal else "deployment"


def autostart_of(report: str | None) -> bool | None:
    """Read from a deployment's stored report whether its machine starts with its host."""
    return DeployReport.model_validate_json(report).autostart if report else None


class FailedBoot(Record):
    """A machine that did not prove its boot: what was seen, and what became of it."""

    machine: str
    domain: str
    destination: str
    why: str
    fate: str
    kept: KeptEvidence
    rehearsal: bool = False


class SweepReport(Record):
    """What bears our label on one host: whose run is dead, alive, finished, or not known here.

    `held` is what a person has to decide about, together with the `outages` that it belongs to.
    `notes` say what a person should know of its machines.
    """

    endpoint: str
    dead: tuple[Leftover, ...]
    alive: tuple[Leftover, ...]
    finished: tuple[Leftover, ...]
    unknown: tuple[Leftover, ...]
    held: tuple[Leftover, ...] = ()
    outages: tuple[OpenOutage, ...] = ()
    notes: tuple[str, ...] = ()
