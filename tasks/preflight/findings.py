# SPDX-License-Identifier: Apache-2.0
"""Steps that look at everything a move needs, and leave nothing changed.

A look that fails is a finding itself: the others go on.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tasks.deploy.morphing import guest_keys_of
from tasks.environment import WORKER_OS, Environment
from tasks.step import step
from tradewind.errors import NotFoundError, TradewindError, UnreachableError
from tradewind.host import facts, validate
from tradewind.host.storage import volume_sync
from tradewind.host.target import preflight as host_preflight
from tradewind.model.finding import Finding
from tradewind.model.machine import VirtualMachine
from tradewind.model.preflight import Area, AreaFindings, PreflightReport, PreflightRequest
from tradewind.model.source import SourceFindings
from tradewind.model.storage import ReplicaVolume
from tradewind.morphing import preflight as guest_preflight
from tradewind.ports import DataSource
from tradewind.worker import preflight as worker_preflight

# What depends on the machine's own description, or on a destination that answers.
_DEPENDENT = (Area.WORKER, Area.GUEST, Area.REPLICA, Area.NEW_MACHINE)


@dataclass(frozen=True, slots=True)
class InspectedMachine:
    """The machine, if its source could describe it, and what was seen meanwhile."""

    machine: VirtualMachine | None
    seen: tuple[AreaFindings, ...]


@step("look-at-{env.destination.host}")
def _destination(env: Environment) -> tuple[Finding, ...]:
    """Judge what the host offers: KVM, firmware, TPM, pools, networks, forwarding."""
    with env.connect() as connection:
        surveyed = facts.survey(connection)
        return (
            *validate.findings(connection, surveyed),
            *validate.route_findings(env.destination),
        )


@step("look-at-worker-image")
def _worker(env: Environment) -> tuple[Finding, ...]:
    """See that workers find their image and their network."""
    with env.connect() as connection:
        return worker_preflight.findings(connection, env.options, WORKER_OS)


@step("inspect-{machine}")
def _inspect_machine(source: DataSource, machine: str) -> VirtualMachine:
    """Describe the machine and measure its disks."""
    return source.inspect(machine)


@step("look-at-{machine.name}")
def _preflight_source(source: DataSource, machine: VirtualMachine) -> SourceFindings:
    """Ask the source what keeps the machine from being read, and what runs in it."""
    return source.preflight_source(machine)


@step("plan-volumes-{machine.name}")
def _replica(
    env: Environment, request: PreflightRequest, machine: VirtualMachine
) -> tuple[Finding, ...]:
    """Plan the volumes as a transfer would; refused is what it would refuse."""
    transfer, known = _known_volumes(env, request, machine)
    pools = volume_sync.Placement(request.transfer.storage_map, env.options.default_storage_pool)
    with env.connect() as connection:
        return host_preflight.replica(connection, transfer, machine, known, pools)


def _known_volumes(
    env: Environment, request: PreflightRequest, machine: VirtualMachine
) -> tuple[str, Sequence[ReplicaVolume]]:
    """Find the replica that there is, if any."""
    asked = request.transfer
    with env.ledger() as ledger:
        try:
            known = ledger.find_transfer(asked.source, asked.destination, machine.id)
        except NotFoundError:
            return "new", ()
        return known.id, ledger.volumes(known.id)


@step("look-at-target-of-{machine.name}")
def _new_machine(
    env: Environment, request: PreflightRequest, machine: VirtualMachine
) -> tuple[Finding, ...]:
    """Check what a deployment would check, and say what the new machine would lack."""
    wanted = request.deployment()
    password = guest_keys_of(wanted).vnc_password
    with env.connect() as connection:
        return host_preflight.target(connection, machine, wanted, env.options, password)


def _seen(area: Area, look: Callable[[], Iterable[Finding]], looked_at: str) -> AreaFindings:
    """Look; `looked_at` is the evidence of a failure that brings none of its own."""
    try:
        return AreaFindings(area=area, findings=tuple(look()))
    except TradewindError as failure:
        return AreaFindings(area=area, findings=validate.problems(failure, looked_at))


def _libvirt_of(env: Environment) -> str:
    host = env.destination
    return f"libvirt of {host.host}, asked over SSH as {host.username}"


def look_at_destination(env: Environment) -> tuple[AreaFindings, ...]:
    """Look at the host that would receive the machine; nothing else of one that is away."""
    looked_at = _libvirt_of(env)
    try:
        found = AreaFindings(area=Area.DESTINATION, findings=_destination(env))
    except UnreachableError as failure:
        away = validate.problems(failure, looked_at)
        return (AreaFindings(area=Area.DESTINATION, findings=away),)
    except TradewindError as failure:
        found = AreaFindings(area=Area.DESTINATION, findings=validate.problems(failure, looked_at))
    return found, _seen(Area.WORKER, lambda: _worker(env), looked_at)


def look_at_machine(source: DataSource, request: PreflightRequest) -> InspectedMachine:
    """Look at the machine where it is."""
    try:
        machine = _inspect_machine(source, request.transfer.machine)
        seen = _preflight_source(source, machine)
    except TradewindError as failure:
        asked = request.transfer
        looked_at = f"source {asked.source}, asked for {asked.machine}"
        found = AreaFindings(area=Area.MACHINE, findings=validate.problems(failure, looked_at))
        return InspectedMachine(None, (found,))
    return InspectedMachine(
        machine,
        (
            AreaFindings(area=Area.MACHINE, findings=seen.findings),
            AreaFindings(area=Area.GUEST, findings=tuple(guest_preflight.findings(seen.guest))),
        ),
    )


def look_at_move(
    env: Environment,
    request: PreflightRequest,
    machine: VirtualMachine | None,
    destination: Sequence[AreaFindings],
) -> tuple[AreaFindings, ...]:
    """Look at the volumes and the new machine, as they would become, where both ends answered."""
    if machine is None or Area.WORKER not in {each.area for each in destination}:
        return ()
    return (
        _seen(
            Area.REPLICA,
            lambda: _replica(env, request, machine),
            f"the machine's disks beside the pools of {env.destination.host}",
        ),
        _seen(Area.NEW_MACHINE, lambda: _new_machine(env, request, machine), _libvirt_of(env)),
    )


def preflight_report(request: PreflightRequest, areas: Sequence[AreaFindings]) -> PreflightReport:
    """Put together what was seen; what could not be looked at is named."""
    seen = {each.area for each in areas}
    return PreflightReport(
        machine=request.transfer.machine,
        source=request.transfer.source,
        destination=request.transfer.destination,
        areas=tuple(areas),
        skipped=tuple(area for area in _DEPENDENT if area not in seen),
    )
