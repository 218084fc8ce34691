# SPDX-License-Identifier: Apache-2.0
"""A whole move: what is asked for, what was decided on the way, and what it came to."""

from enum import StrEnum
from typing import Self

from pydantic import AwareDatetime, Field, model_validator

from tradewind.errors import OptionError
from tradewind.model.deploy_options import (
    DeployOptions,
    FoldedDeployOptions,
    OnBootFailure,
    with_old_names,
)
from tradewind.model.record import Record
from tradewind.model.report import DeployReport, TransferReport
from tradewind.model.requests import DeployRequest, TransferRequest, deployment_of


class Answer(StrEnum):
    """What a person can say to a move that waits for approval."""

    APPROVE = "approve"
    POSTPONE = "postpone"
    CANCEL = "cancel"


class Go(StrEnum):
    """What the shutdown waits for."""

    APPROVAL = "a person approves"
    TIME = "a time window opens"
    AT_ONCE = "nothing"


class MigrateRequest(Record):
    """Move one machine: replicate it while it runs, shut it down, send the rest, start it there."""

    transfer: TransferRequest = Field(
        title="Transfer", description="The machine, its source, and its destination."
    )
    deploy_options: FoldedDeployOptions = Field(
        default_factory=DeployOptions,
        title="New machine",
        description="Its name, networks and hardware, and how its guest is adapted.",
    )
    rounds: int = Field(
        5,
        ge=1,
        le=100,
        title="Rounds",
        description="Maximum number of replication rounds before the shutdown."
        " It comes earlier when little changed in between.",
    )
    small_enough: int = Field(
        64,
        ge=0,
        title="Small enough (MiB)",
        description="The last round before the shutdown sends no more than this, if the rounds "
        "suffice.",
    )
    go: Go = Field(Go.APPROVAL, title="Shut down when", description="What the shutdown waits for.")
    window_opens: AwareDatetime | None = Field(
        None,
        title="Window opens",
        description="With a time window: not before this moment, time zone included.",
    )
    window_closes: AwareDatetime | None = Field(
        None,
        title="Window closes",
        description="With a time window: not after this moment; the machine then stays where "
        "it is.",
    )
    approval_timeout: int = Field(
        7 * 24,
        ge=1,
        title="Approval time limit (hours)",
        description="How long a person may take to decide; then the machine stays where it is.",
    )
    shutdown_timeout: int = Field(
        300,
        ge=1,
        title="Shutdown time limit",
        description="Seconds that the guest may take to shut down when it is asked to.",
    )
    force_off: bool = Field(
        False,
        title="Switch off by force",
        description="Switch the machine off, as a power cut does, when it does not shut down by "
        "itself in time. Otherwise it keeps running and the move is given up.",
    )

    _old_names = model_validator(mode="before")(with_old_names)

    @model_validator(mode="after")
    def _window_is_one(self) -> Self:
        if self.go is Go.TIME and self.window_opens is None:
            raise OptionError(
                "window_opens is missing", "say when the window opens, with its time zone"
            )
        if self.window_opens and self.window_closes and self.window_closes <= self.window_opens:
            raise OptionError(
                "window_closes is not after window_opens", "let the window close later"
            )
        return self

    @property
    def machine(self) -> str:
        """Name the machine."""
        return self.transfer.machine

    def deployment(self) -> DeployRequest:
        """Ask for the deployment that ends the move.

        A machine that does not boot is not kept running: its original is started again, and two
        of them would share MAC addresses.
        """
        deploy_options = self.deploy_options
        if deploy_options.on_boot_failure is OnBootFailure.KEEP:
            deploy_options = deploy_options.model_copy(
                update={"on_boot_failure": OnBootFailure.STOP}
            )
        return deployment_of(self.transfer, deploy_options)


class ShutDown(Record):
    """How a machine was shut down; `seconds` it took."""

    how: str
    seconds: float


class Phase(Record):
    """A part of the outage, in seconds."""

    name: str
    seconds: float


class MigrateReport(Record):
    """One move; `outage` is what the machine's users noticed, from the shutdown to the proof."""

    machine: str
    source: str
    destination: str
    go: str
    rounds: tuple[TransferReport, ...]
    shut_down: ShutDown
    last: TransferReport
    deployment: DeployReport
    outage: tuple[Phase, ...]
    notes: tuple[str, ...] = ()

    @property
    def outage_seconds(self) -> float:
        """Add the parts up."""
        return sum(phase.seconds for phase in self.outage)


class GivenUp(Record):
    """A move that failed after the shutdown began: why, and where the machine is now."""

    machine: str
    source: str
    destination: str
    why: str
    source_now: str
    # Whether the new machine is still there, shut off; otherwise it was removed.
    kept: bool = False
