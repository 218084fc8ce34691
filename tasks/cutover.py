# SPDX-License-Identifier: Apache-2.0
"""Steps of a move: few changes left, the source shut down, and the way back."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tasks.approval import refuse_when_closed, wait_for_go
from tasks.move_reports import publish_given_up
from tasks.site import Ground, Site
from tasks.step import step
from tradewind.errors import BootFailedError, TradewindError
from tradewind.host import design
from tradewind.host.connection import connect
from tradewind.model.landing import OnBootFailure
from tradewind.model.machine import PowerState, VirtualMachine
from tradewind.model.migrate import GivenUp, MigrateReport, MigrateRequest, Phase, ShutDown
from tradewind.model.report import DeployReport, TransferReport
from tradewind.model.requests import TransferRequest
from tradewind.morphing.packages import folder
from tradewind.ports import DataSource
from tradewind.units import MiB

Replicate = Callable[[TransferRequest], TransferReport]


@step("check-landing-of-{machine.name}")
def check_landing(
    site: Site, request: MigrateRequest, machine: VirtualMachine, ground: Ground
) -> None:
    """Refuse what could not be defined at the end, before anything begins."""
    folder.require(request.landing.packages_folder)
    with connect(site.destination) as connection:
        design.check(connection, machine, request.deployment(), site.options, ground.facts)


@dataclass(slots=True)
class Approach:
    """The rounds so far, and why the machine may be shut down."""

    rounds: list[TransferReport] = field(default_factory=list)
    go: str = ""


def approach(request: MigrateRequest, replicate: Replicate) -> Approach:
    """Replicate until little is left and the shutdown may begin.

    Waiting makes the replica old: then it is brought near again before the shutdown.
    """
    done = Approach()
    done.rounds += _come_near(request, replicate)
    begun = time.monotonic()
    done.go = wait_for_go(request)
    if time.monotonic() - begun > 1:
        done.rounds += _come_near(request, replicate)
    refuse_when_closed(request)
    return done


def _come_near(request: MigrateRequest, replicate: Replicate) -> Iterator[TransferReport]:
    for _ in range(request.rounds):
        report = replicate(request.transfer)
        yield report
        if report.sent <= request.small_enough * MiB:
            return


@dataclass(slots=True)
class Outage:
    """The time since the shutdown began, in parts."""

    shut_down: ShutDown | None = None
    phases: list[Phase] = field(default_factory=list)
    _since: float = 0.0

    @property
    def has_begun(self) -> bool:
        """Whether the machine was asked to shut down."""
        return self._since > 0

    def begin(self) -> None:
        """Start the clock."""
        self._since = time.monotonic()

    def passed(self, name: str) -> None:
        """Close a part."""
        now = time.monotonic()
        self.phases.append(Phase(name=name, seconds=now - self._since))
        self._since = now

    def deployed(self, report: DeployReport) -> None:
        """Close the last two parts: the deployment, and in it the boot.

        What the deployment watched after the proof is no outage: the machine answered.
        """
        self.passed("adapting and defining the machine")
        boot = report.proof.seconds if report.proof else 0.0
        watched = report.proof.watched_seconds if report.proof else 0.0
        last = self.phases.pop()
        seconds = max(0.0, last.seconds - boot - watched)
        self.phases.append(last.model_copy(update={"seconds": seconds}))
        self.phases.append(Phase(name="boot, until it was proven", seconds=boot))


@step("shut-down-{machine.name}", retries=0)
def _shut_down(source: DataSource, machine: VirtualMachine, request: MigrateRequest) -> ShutDown:
    """Shut the machine down on its source, gently first."""
    return source.shut_down(machine, timeout=request.shutdown_timeout, force=request.force_off)


def shut_down(
    outage: Outage, source: DataSource, machine: VirtualMachine, request: MigrateRequest
) -> VirtualMachine:
    """Begin the outage; a second attempt finds the machine off and the clock running."""
    if outage.shut_down is None:
        outage.begin()
        outage.shut_down = _shut_down(source, machine, request)
        outage.passed("shutdown")
    return machine.model_copy(update={"power": PowerState.SHUT_OFF})


@step("start-again-{machine.name}")
def _start_again(source: DataSource, machine: VirtualMachine) -> None:
    """Start the machine where it was."""
    source.start(machine)


@step("keep-off-{machine.name}")
def _keep_off(source: DataSource, machine: VirtualMachine) -> bool:
    """See that the original does not start with its host: it would be there twice."""
    return source.stay_off(machine)


def keep_off(source: DataSource, machine: VirtualMachine) -> str:
    """Say what became of the original's autostart; there is no way back any more."""
    try:
        had_autostart = _keep_off(source, machine)
    except TradewindError as error:
        return f"see that the original never starts again; its autostart is not known: {error}"
    was = "is off now, and was on" if had_autostart else "is off"
    return f"the original is shut off, its disks are untouched, its autostart {was}"


@contextmanager
def way_back(
    source: DataSource, machine: VirtualMachine, request: MigrateRequest
) -> Iterator[Outage]:
    """Lend the outage; if anything fails in it, the machine is started where it was.

    Also after a shutdown that came too late: the guest may have gone down since.
    """
    outage = Outage()
    try:
        yield outage
    except BaseException as error:
        if outage.has_begun:
            _go_back(source, machine, request, error)
        raise


def _go_back(
    source: DataSource, machine: VirtualMachine, request: MigrateRequest, error: BaseException
) -> None:
    now = f"{machine.name} runs on {request.transfer.source} again"
    if machine.power is PowerState.RUNNING:
        try:
            _start_again(source, machine)
        except Exception as failure:  # noqa: BLE001 - whatever it is, the first error is told
            now = f"{machine.name} could NOT be started on {request.transfer.source}: {failure}"
    else:
        now = f"{machine.name} is shut off on {request.transfer.source}, as it was before"
    error.add_note(now)
    publish_given_up(
        GivenUp(
            machine=machine.name,
            source=request.transfer.source,
            destination=request.transfer.destination,
            why=str(error) or type(error).__name__,
            source_now=now,
            kept=_is_kept(request, error),
        )
    )


def _is_kept(request: MigrateRequest, error: BaseException) -> bool:
    wanted = request.landing.on_boot_failure is not OnBootFailure.REMOVE
    return wanted and isinstance(error, BootFailedError)


def migrate_report(
    request: MigrateRequest,
    near: Approach,
    outage: Outage,
    last: TransferReport,
    deployment: DeployReport,
    notes: tuple[str, ...],
) -> MigrateReport:
    """Put together what the move came to."""
    return MigrateReport(
        machine=last.machine,
        source=last.source,
        destination=last.destination,
        go=near.go,
        rounds=tuple(near.rounds),
        shut_down=outage.shut_down or ShutDown(how="", seconds=0),
        last=last,
        deployment=deployment,
        outage=tuple(outage.phases),
        notes=notes,
    )
