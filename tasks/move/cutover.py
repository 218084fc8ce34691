# SPDX-License-Identifier: Apache-2.0
"""Steps of a move: few changes left, the source shut down, and each phase written down."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tasks.environment import DestinationContext, Environment
from tasks.folders import require_deploy_options
from tasks.move.approval import refuse_when_closed, wait_for_go
from tasks.step import step
from tradewind.host.target import domain_plan
from tradewind.ledger import open_ledger
from tradewind.model.cutover import Outage
from tradewind.model.machine import PowerState, VirtualMachine
from tradewind.model.migrate import MigrateReport, MigrateRequest, Phase, ShutDown
from tradewind.model.outage import OutagePhase
from tradewind.model.report import DeployReport, TransferReport
from tradewind.model.requests import DeployRequest, TransferRequest
from tradewind.model.run import Run
from tradewind.morphing.linux.packages import folder
from tradewind.ports import DataSource
from tradewind.units import MiB

Replicate = Callable[[TransferRequest], TransferReport]


@step("check-target-of-{machine.name}")
def check_target(
    env: Environment,
    request: MigrateRequest,
    machine: VirtualMachine,
    surveyed: DestinationContext,
) -> None:
    """Refuse what could not be defined at the end: before anything begins, and before an outage."""
    require_deploy_options(request.deploy_options)
    folder.require(request.deploy_options.packages_folder)
    with env.connect() as connection:
        domain_plan.check(connection, machine, request.deployment(), env.options, surveyed.facts)


@step("look-for-an-unfinished-move-of-{request.machine}")
def refuse_unfinished(env: Environment, request: MigrateRequest) -> None:
    """Refuse to begin while an earlier move of the machine is in its outage."""
    asked = request.transfer
    with env.ledger() as ledger:
        ledger.outages.require_none(asked.machine, asked.source, asked.destination)


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
class OutageClock:
    """The time since the shutdown began, in parts."""

    phases: list[Phase] = field(default_factory=list)
    _since: float = 0.0

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


@dataclass(slots=True)
class Cutover:
    """An outage under way, and what it takes to end it: `outage` once the ledger knows of it.

    `lands` is true from the moment at which the destination may have a new machine.
    """

    env: Environment
    source: DataSource
    request: MigrateRequest
    machine: VirtualMachine
    outage: Outage | None = None
    shut_down: ShutDown | None = None
    lands: bool = False
    clock: OutageClock = field(default_factory=OutageClock)

    @property
    def ledger_place(self) -> str:
        """Where the ledger is."""
        return self.env.options.sqlite_database_file


@step("begin-outage-of-{machine.name}")
def _begin(place: str, run: Run, machine: VirtualMachine, request: MigrateRequest) -> Outage:
    """Write down that the machine is about to be shut down, and all that the way back needs."""
    with open_ledger(place) as ledger:
        return ledger.outages.begin(run.transfer, machine, request)


@step("note-{phase.name}-of-{outage.machine.name}")
def _note(place: str, outage: Outage, phase: OutagePhase) -> None:
    """Write down how far the outage came."""
    with open_ledger(place) as ledger:
        ledger.outages.reached(outage.id, phase)


@step("keep-{machine.name}-from-starting-with-its-host")
def _keep_off(source: DataSource, machine: VirtualMachine) -> None:
    """See that the original does not start with its host: it could be there twice."""
    source.start_with_host(machine, wanted=False)


@step("shut-down-{machine.name}", retries=0)
def _shut_down(source: DataSource, machine: VirtualMachine, request: MigrateRequest) -> ShutDown:
    """Shut the machine down on its source, gently first."""
    return source.shut_down(machine, timeout=request.shutdown_timeout, force=request.force_off)


@contextmanager
def shut_off(cutover: Cutover, run: Run) -> Iterator[VirtualMachine]:
    """Lend the machine shut off; afterwards its last changes are sent."""
    yield shut_down(cutover, run)
    cutover.clock.passed("last changes")


def shut_down(cutover: Cutover, run: Run) -> VirtualMachine:
    """Begin the outage; a second attempt finds the machine off and the clock running.

    Its autostart goes first: a host that restarts from here on must not bring up a second machine.
    """
    source, machine, request = cutover.source, cutover.machine, cutover.request
    if cutover.shut_down is None:
        cutover.clock.begin()
        if cutover.outage is None:
            cutover.outage = _begin(cutover.ledger_place, run, machine, request)
        _keep_off(source, machine)
        cutover.shut_down = _shut_down(source, machine, request)
        reached(cutover, OutagePhase.OFF)
        cutover.clock.passed("shutdown")
    return machine.model_copy(update={"power": PowerState.SHUT_OFF})


def reached(cutover: Cutover, phase: OutagePhase) -> None:
    """Write down how far the outage came."""
    assert cutover.outage is not None  # noqa: S101 - it began with the shutdown; this tells mypy
    _note(cutover.ledger_place, cutover.outage, phase)


def release(cutover: Cutover) -> DeployRequest:
    """Let the new machine be made; from here on only a look at its host says where the machine is.

    The replica equals the original, which is off.
    """
    reached(cutover, OutagePhase.SENT)
    cutover.clock.passed("releasing the replica")
    cutover.lands = True
    return cutover.request.deployment()


def migrate_report(
    near: Approach, cutover: Cutover, last: TransferReport, deployment: DeployReport
) -> MigrateReport:
    """Put together what the move came to."""
    return MigrateReport(
        machine=last.machine,
        source=last.source,
        destination=last.destination,
        go=near.go,
        rounds=tuple(near.rounds),
        shut_down=cutover.shut_down or ShutDown(how="", seconds=0),
        last=last,
        deployment=deployment,
        outage=tuple(cutover.clock.phases),
        notes=(_original(cutover.machine),),
    )


def _original(machine: VirtualMachine) -> str:
    was = "is off now, and was on" if machine.autostart else "is off"
    return f"the original is shut off, its disks are untouched, its autostart {was}"
