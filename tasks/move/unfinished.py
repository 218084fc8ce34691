# SPDX-License-Identifier: Apache-2.0
"""Steps that take up a move whose process died in its outage, and end it one way or the other."""

from typing import Final
from uuid import UUID

from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from tasks.deploy.handover import finish_machine
from tasks.environment import Environment
from tasks.move.cutover import Cutover
from tasks.move.outage_end import moved, return_to_source
from tasks.operate.events import emit, machine_resource
from tasks.step import step
from tasks.transfer.volumes import replica_volumes
from tradewind.cutover import fencing, original
from tradewind.errors import BadInputError, TradewindError
from tradewind.host.boot import evidence, watch
from tradewind.host.boot.console import listening
from tradewind.host.domain import domains
from tradewind.host.target import domain_plan
from tradewind.ledger import open_ledger
from tradewind.model.cutover import MoveName, NewMachine, Outage, SettledMove
from tradewind.model.ledger import RunState
from tradewind.model.options import ProviderOptions
from tradewind.model.outage import OpenOutage, OutageEnd
from tradewind.model.run import Run
from tradewind.model.storage import ReplicaVolume
from tradewind.ports import DataSource
from tradewind.remote.route import route_to_workers

EVENT: Final = "tradewind.migrate.unfinished"


@step("take-over-move-of-{request.machine}")
def take_over(options: ProviderOptions, request: MoveName) -> Outage:
    """Make this process the one that works on the outage; the other one must be proven dead."""
    with open_ledger(options.sqlite_database_file) as ledger:
        found = ledger.outages.find(request.machine, request.source, request.destination)
        return ledger.outages.take_over(found.id)


def taken_up(env: Environment, source: DataSource, outage: Outage) -> Cutover:
    """Go on with an outage as it was left: the destination may have a new machine."""
    return Cutover(env, source, outage.request, outage.machine, outage=outage, lands=True)


@step("look-at-the-original-{outage.machine.name}")
def _require_off(source: DataSource, outage: Outage, *, accept_edits: bool) -> None:
    """See that the original is off, and is what was shut down."""
    now = original.require_unchanged(
        source, outage.machine, outage.source, accept_edits=accept_edits
    )
    original.require_off(now, outage.source)


def require_off(cutover: Cutover, outage: Outage, request: MoveName) -> None:
    """Refuse to go on while the original runs, or after somebody changed it."""
    _require_off(cutover.source, outage, accept_edits=request.accept_edits)


@step("look-for-the-new-machine-of-{outage.machine.name}")
def has_landed(env: Environment, outage: Outage) -> bool:
    """Whether the destination has a new machine, adapted and defined."""
    with env.connect() as connection:
        return fencing.find_new_machine(connection, outage) is not None


@step("clear-destination-of-{outage.machine.name}")
def _clear(env: Environment, outage: Outage) -> None:
    """Remove what a deployment that died half-way made, but for a machine that was kept."""
    with (
        env.ledger() as ledger,
        env.connect() as connection,
    ):
        kept = outage.deployment is not None and ledger.is_completed(outage.deployment)
        fencing.clear(connection, outage, kept=kept)


def clear(cutover: Cutover, outage: Outage) -> Cutover:
    """Remove what the dead deployment made; the destination has no new machine then."""
    _clear(cutover.env, outage)
    cutover.lands = False
    return cutover


@step("prove-{new.name}", retries=0)
def _prove(env: Environment, new: NewMachine, how: watch.BootWatch) -> None:
    """Start the new machine unless it runs, and see it prove that it booted."""
    with env.connect() as connection:
        domains.ensure_started(connection, new.name)
        with listening(env.destination, new.name) as console:
            watch.watch(connection, new.name, console, how)


@step("complete-deployment-{run.id}")
def _complete(env: Environment, run: Run, *, gives_away: bool) -> None:
    """Write down that the deployment ended well: the point of no return."""
    with env.ledger() as ledger:
        ledger.finish(run, RunState.COMPLETED, gives_away=gives_away)


def finish_deploy(cutover: Cutover, outage: Outage) -> None:
    """Let the new machine prove that it booted, if it has not, and end the outage with it.

    When it does not prove it, nothing is changed: it may be what people work with by now.
    """
    new, env, request = outage.new, cutover.env, cutover.request.deployment()
    assert new is not None  # noqa: S101 - it is written down before a machine is defined
    run = Run(id=new.run, transfer=outage.transfer, begun=outage.begun)
    given: tuple[ReplicaVolume, ...] = ()
    if not outage.phase.is_final:
        how = watch.BootWatch(
            timeout=request.boot_timeout,
            agent_expected=True,
            scripts_may_fail=request.allow_script_failure,
            folder=evidence.folder_of(run, request.machine),
            route=route_to_workers(env.destination),
        )
        _prove(env, new, how)
        given = () if request.clone_disks else replica_volumes(env, outage.transfer)
        _complete(env, run, gives_away=not request.clone_disks)
    autostart = domain_plan.starts_with_host(request, outage.machine)
    finish_machine(env, run, new.name, given, autostart=autostart)
    moved(cutover)


def roll_back(cutover: Cutover, outage: Outage, request: MoveName) -> SettledMove:
    """Start the original once the new machine is proven gone or off, and remove that one."""
    notes = return_to_source(cutover, outage, accept_edits=request.accept_edits)
    try:
        _clear(cutover.env, outage)
    except TradewindError as failure:
        notes = (*notes, f"what was made for the new machine stays until a sweep: {failure}")
    return settled(outage, OutageEnd.WENT_BACK, notes)


def refuse_behind_the_point(outage: Outage) -> None:
    """Raise BadInputError when the new machine is proven already: it is the machine."""
    if outage.phase.is_final:
        name = outage.machine.name
        raise BadInputError(
            f"the move of {name} is behind its point of no return: the new machine on"
            f" {outage.destination} is proven, and what was written to it since is only there",
            f"tradewind move resume {name} ends the outage; to go back all the same, shut the new"
            f" machine down by hand, then start {name} on {outage.source} (virsh start {name})",
        )


def settled(outage: Outage, end: OutageEnd, notes: tuple[str, ...] = ()) -> SettledMove:
    """Put together what became of the move."""
    return SettledMove(
        machine=outage.machine.name,
        source=outage.source,
        destination=outage.destination,
        since=outage.begun,
        end=end,
        notes=notes,
    )


@step("look-for-unfinished-moves")
def _unfinished(place: str) -> list[OpenOutage]:
    """List the outages that nobody works on any more."""
    with open_ledger(place) as ledger:
        return [each for each in ledger.outages.open() if each.needs_a_decision]


def tell_of_unfinished_moves(place: str) -> tuple[OpenOutage, ...]:
    """Warn of each outage that a person has to decide about, and send its event; nothing else."""
    found = _unfinished(place)
    for each in found:
        get_run_logger().error("%s", each.sentence)
        emit(
            EVENT,
            machine_resource(each.source, each.destination, each.machine),
            {"phase": each.phase, "since": each.since.isoformat(), "message": each.sentence},
            flow_run=UUID(str(flow_run.get_id())),
            once=f"unfinished {each.machine_id} {each.since.isoformat()}",
        )
    return tuple(found)
