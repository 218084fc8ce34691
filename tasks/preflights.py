# SPDX-License-Identifier: Apache-2.0
"""Steps that look at everything a move needs, and change nothing.

A look that fails is a finding itself: the others go on.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tasks.site import WORKER_OS, Site
from tasks.step import step
from tradewind.errors import NotFoundError, TradewindError
from tradewind.host import facts, reconcile, validate
from tradewind.host import foresight as host_foresight
from tradewind.host.connection import connect
from tradewind.ledger import open_ledger
from tradewind.model.finding import Finding
from tradewind.model.foresight import Foresight
from tradewind.model.machine import VirtualMachine
from tradewind.model.preflight import Area, AreaFindings, PreflightReport, PreflightRequest
from tradewind.model.storage import ReplicaVolume
from tradewind.morphing import foresight as guest_foresight
from tradewind.ports import DataSource
from tradewind.worker import foresight as worker_foresight

# What depends on the machine's own description.
_MACHINES_OWN = (Area.GUEST, Area.REPLICA, Area.ARRIVAL)


@dataclass(frozen=True, slots=True)
class Found:
    """The machine, if its source could describe it, and what was seen meanwhile."""

    machine: VirtualMachine | None
    seen: tuple[AreaFindings, ...]


@step("look-at-{site.destination.host}")
def _destination(site: Site) -> tuple[Finding, ...]:
    """Judge what the host offers: KVM, firmware, TPM, pools, networks, forwarding."""
    with connect(site.destination) as connection:
        surveyed = facts.survey(connection)
        return (
            *validate.findings(connection, surveyed),
            *validate.road_findings(site.destination),
        )


@step("look-at-worker-image")
def _worker(site: Site) -> tuple[Finding, ...]:
    """See that workers find their image and their network."""
    with connect(site.destination) as connection:
        return worker_foresight.findings(connection, site.options, WORKER_OS)


@step("inspect-{machine}")
def _inspect(source: DataSource, machine: str) -> VirtualMachine:
    """Describe the machine and measure its disks."""
    return source.inspect(machine)


@step("look-at-{machine.name}")
def _foresee(source: DataSource, machine: VirtualMachine) -> Foresight:
    """Ask the source what keeps the machine from being read, and what runs in it."""
    return source.foresee(machine)


@step("plan-volumes-{machine.name}")
def _replica(site: Site, request: PreflightRequest, machine: VirtualMachine) -> tuple[Finding, ...]:
    """Plan the volumes as a transfer would; refused is what it would refuse."""
    transfer, known = _known_volumes(site, request, machine)
    pools = reconcile.Placement(request.transfer.storage_map, site.options.default_storage_pool)
    with connect(site.destination) as connection:
        return host_foresight.replica(connection, transfer, machine, known, pools)


def _known_volumes(
    site: Site, request: PreflightRequest, machine: VirtualMachine
) -> tuple[str, Sequence[ReplicaVolume]]:
    """Find the replica that there is, if any."""
    asked = request.transfer
    with open_ledger(site.options.sqlite_database_file) as ledger:
        try:
            known = ledger.find_transfer(asked.source, asked.destination, machine.id)
        except NotFoundError:
            return "new", ()
        return known.id, ledger.volumes(known.id)


@step("look-at-arrival-of-{machine.name}")
def _arrival(site: Site, request: PreflightRequest, machine: VirtualMachine) -> tuple[Finding, ...]:
    """Check what a deployment would check, and say what the new machine would lack."""
    with connect(site.destination) as connection:
        return host_foresight.arrival(connection, machine, request.deployment(), site.options)


def _seen(area: Area, look: Callable[[], Iterable[Finding]], looked_at: str) -> AreaFindings:
    """Look; `looked_at` is the evidence of a failure that brings none of its own."""
    try:
        return AreaFindings(area=area, findings=tuple(look()))
    except TradewindError as failure:
        return AreaFindings(area=area, findings=validate.problems(failure, looked_at))


def _libvirt_of(site: Site) -> str:
    host = site.destination
    return f"libvirt of {host.host}, asked over SSH as {host.username}"


def look_at_destination(site: Site) -> tuple[AreaFindings, ...]:
    """Look at the host that would receive the machine."""
    return (
        _seen(Area.DESTINATION, lambda: _destination(site), _libvirt_of(site)),
        _seen(Area.WORKER, lambda: _worker(site), _libvirt_of(site)),
    )


def look_at_machine(source: DataSource, request: PreflightRequest) -> Found:
    """Look at the machine where it is."""
    try:
        machine = _inspect(source, request.transfer.machine)
        seen = _foresee(source, machine)
    except TradewindError as failure:
        asked = request.transfer
        looked_at = f"source {asked.source}, asked for {asked.machine}"
        found = AreaFindings(area=Area.MACHINE, findings=validate.problems(failure, looked_at))
        return Found(None, (found,))
    return Found(
        machine,
        (
            AreaFindings(area=Area.MACHINE, findings=seen.findings),
            AreaFindings(area=Area.GUEST, findings=tuple(guest_foresight.findings(seen.guest))),
        ),
    )


def look_at_move(
    site: Site, request: PreflightRequest, machine: VirtualMachine | None
) -> tuple[AreaFindings, ...]:
    """Look at the volumes and the new machine, as they would become."""
    if machine is None:
        return ()
    return (
        _seen(
            Area.REPLICA,
            lambda: _replica(site, request, machine),
            f"the machine's disks beside the pools of {site.destination.host}",
        ),
        _seen(Area.ARRIVAL, lambda: _arrival(site, request, machine), _libvirt_of(site)),
    )


def preflight_report(request: PreflightRequest, areas: Sequence[AreaFindings]) -> PreflightReport:
    """Put together what was seen; what could not be looked at is named."""
    seen = {each.area for each in areas}
    return PreflightReport(
        machine=request.transfer.machine,
        source=request.transfer.source,
        destination=request.transfer.destination,
        areas=tuple(areas),
        skipped=tuple(area for area in _MACHINES_OWN if area not in seen),
    )
