# SPDX-License-Identifier: Apache-2.0
"""Machines of a libvirt host, running or shut off."""

import contextlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import partial

import libvirt

from tradewind.domainxml import attached
from tradewind.domainxml import machine as machine_xml
from tradewind.errors import BadInputError, NotFoundError
from tradewind.host import leftovers, storage
from tradewind.host.connection import connect
from tradewind.host.domain import checkpoints, domains, power
from tradewind.model.host import HostAccess
from tradewind.model.machine import Disk, MachineSummary, VirtualMachine
from tradewind.model.migrate import ShutDown
from tradewind.model.overview import MachineOverview
from tradewind.model.run import Run
from tradewind.model.source import DEFAULT_CARE, SourceCare, SourceFindings
from tradewind.model.storage import Checkpoint
from tradewind.ports import Snapshot
from tradewind.remote import shell
from tradewind.sources.libvirt import (
    preflight,
    snapshot_job,
    snapshots,
    state,
    trial,
    variables,
    versions,
)
from tradewind.sources.libvirt.tracking import no_bitmaps


@dataclass(frozen=True, slots=True)
class LibvirtSource:
    """The machines of one libvirt host."""

    access: HostAccess
    care: SourceCare = DEFAULT_CARE

    def machines(self) -> Iterable[MachineSummary]:
        """List the domains that are not ours."""
        with connect(self.access) as connection:
            return [_summary(domain) for domain in _movable(connection)]

    def overview(self) -> Iterable[MachineOverview]:
        """Describe the domains that are not ours, all over one connection."""
        with connect(self.access) as connection:
            return [
                MachineOverview.of(
                    _summary(domain), partial(_describe, connection, domain), no_bitmaps
                )
                for domain in _movable(connection)
            ]

    def inspect(self, machine_id: str) -> VirtualMachine:
        """Describe a domain and its disks, found by name or UUID."""
        with connect(self.access) as connection:
            domain = domains.require_domain(connection, machine_id)
            machine = _describe(connection, domain)
            store, reason = variables.read_variables(connection, domain, machine)
            return machine.model_copy(
                update={
                    "autostart": domains.starts_with_host(domain),
                    "variables": store,
                    "states": state.look(domain),
                    "dropped": (*machine.dropped, *reason),
                }
            )

    def preflight_source(self, machine: VirtualMachine) -> SourceFindings:
        """Look at the domain, ask its guest agent, and try to read a machine that is none."""
        with (
            connect(self.access) as connection,
            shell.connect_to_host(self.access) as remote,
        ):
            domain = domains.require_domain(connection, machine.id)
            seen = preflight.preflight_source(connection, remote, domain, machine, self.care)
        tried = trial.findings(self.access, self.care)
        return seen.model_copy(update={"findings": (*seen.findings, *tried)})

    def snapshot(
        self,
        machine: VirtualMachine,
        run: Run,
        since: Checkpoint | None = None,
        *,
        track: bool = True,
    ) -> contextlib.AbstractContextManager[Snapshot]:
        """Freeze one point in time and forward its NBD socket to this machine.

        BadInputError: the machine is not as it was when it was inspected.
        """
        with connect(self.access) as connection:
            _require_unchanged(connection, machine)
        return snapshots.snapshot(
            snapshot_job.SnapshotRequest(
                access=self.access,
                machine=machine,
                run=run,
                since=since,
                track=track,
                care=self.care,
            )
        )

    def retire_checkpoints(
        self, machine: VirtualMachine, transfer: str, keep: Checkpoint | None
    ) -> None:
        """Remove the checkpoints that executions of a transfer made, but for one.

        Those of a machine that is shut off stay until the next execution: libvirt could only
        forget them, and their bitmaps would stay in the images.
        """
        with connect(self.access) as connection:
            domain = domains.require_domain(connection, machine.id)
            if not domain.isActive():
                return
            for name in checkpoints.made_by(domain, transfer):
                if keep is None or name != keep.name:
                    checkpoints.discard(domain, name)

    def forget_replica(
        self, machine: VirtualMachine, run: Run, last: Checkpoint | None
    ) -> tuple[str, ...]:
        """Remove all checkpoints of a transfer, and their bitmaps from the images.

        Of a machine that is shut off as well: through a reader, since nothing comes after this.
        """
        with connect(self.access) as connection:
            domain = domains.require_domain(connection, machine.id)
            now = _describe(connection, domain)
        return snapshots.forget(
            snapshot_job.SnapshotRequest(
                self.access, now, run, since=last, track=False, care=self.care
            )
        )

    def clean_up(self, runs: Collection[str]) -> None:
        """Remove what runs that ended badly left: jobs, readers, checkpoints, socket folders."""
        with connect(self.access) as connection:
            leftovers.remove_runs(connection, runs)
        with shell.connect_to_host(self.access) as remote:
            for folder in leftovers.find_folders(remote):
                if folder.run in runs:
                    leftovers.remove_folder(remote, folder)

    def shut_down(self, machine: VirtualMachine, *, timeout: float, force: bool) -> ShutDown:
        """Shut the machine down, gently first; LateError when it still runs."""
        with connect(self.access) as connection:
            domain = domains.require_domain(connection, machine.id)
            return power.shut_down(domain, timeout=timeout, force=force)

    def start(self, machine: VirtualMachine) -> None:
        """Start the machine where it was; nothing happens when it runs."""
        with connect(self.access) as connection:
            power.start(domains.require_domain(connection, machine.id))

    def start_with_host(self, machine: VirtualMachine, *, wanted: bool) -> None:
        """See to it that the machine starts with its host, or does not."""
        with connect(self.access) as connection:
            domains.start_with_host(connection, machine.id, wanted=wanted)


def _movable(connection: libvirt.virConnect) -> list[libvirt.virDomain]:
    # One whose label cannot be read any more has ended meanwhile: a twin is there for a moment.
    return [
        each
        for each in connection.listAllDomains()
        if domains.read_label(each) is None and leftovers.run_of(each.name()) is None
    ]


def _summary(domain: libvirt.virDomain) -> MachineSummary:
    return MachineSummary(
        id=domain.UUIDString(),
        name=domain.name(),
        power=domains.power(domain),
        tags=domains.read_tags(domain),
    )


def _describe(connection: libvirt.virConnect, domain: libvirt.virDomain) -> VirtualMachine:
    """Read a domain's definition, and measure and find its disks."""
    _require_attached(domain)
    machine = machine_xml.parse_machine(
        domains.definition(domain),
        disk_facts=lambda target: domains.measure_disk(domain, target),
        power=domains.power(domain),
    )
    if not machine.disks:
        raise NotFoundError(
            f"machine “{machine.name}” has no disk that can be moved",
            "disks must be files, block devices or volumes; see the report's list",
        )
    disks = tuple(_located(connection, disk) for disk in machine.disks)
    return machine.model_copy(update={"disks": disks})


def _require_unchanged(connection: libvirt.virConnect, machine: VirtualMachine) -> None:
    """Refuse a machine that was changed while its worker booted, say: volumes fit what it was."""
    domain = domains.require_domain(connection, machine.id)
    now = _describe(connection, domain)
    state.require(now.model_copy(update={"states": state.look(domain)}))
    if _shape(now) != _shape(machine):
        raise BadInputError(
            f"machine {machine.name} was started, stopped, or got other disks since it was"
            " looked at",
            "nothing was read; run the transfer again",
            evidence=f"virsh dumpxml {machine.name}, then and now",
        )


def _shape(machine: VirtualMachine) -> tuple[object, ...]:
    disks = [(disk.id, disk.location, disk.capacity, disk.format) for disk in machine.disks]
    return (machine.power, *sorted(disks))


def _require_attached(domain: libvirt.virDomain) -> None:
    """Refuse a disk that cannot even be measured, since the running machine does not have it."""
    if domain.isActive():
        definition = domains.definition(domain)
        for disk in attached.disk_differences(domain.XMLDesc(), definition):
            if not disk.now:
                raise state.different_disk(disk, domain.name()).error()


def _located(connection: libvirt.virConnect, disk: Disk) -> Disk:
    """Return where a disk lies on the host, when its definition names a pool and a volume."""
    if disk.encrypted:
        raise NotFoundError(
            f"disk {disk.id} ({disk.location}) is encrypted by its host, and cannot be read yet",
            "decrypt it on the source (qemu-img convert), or encrypt it inside the guest instead",
        )
    if disk.location.startswith("/"):
        return versions.known(connection, disk)
    pool, _, volume = disk.location.partition("/")
    if not disk.backend or disk.backend != pool:
        raise NotFoundError(
            f"disk {disk.id} is kept at {disk.location or 'no place'}, which cannot be read yet",
            "files, block devices and volumes of pools can; move the disk to one of them",
        )
    found = storage.require_volume(connection, pool, volume)
    block = found.info()[0] == libvirt.VIR_STORAGE_VOL_BLOCK
    version = storage.describe_volume(found).version
    seen = {"location": str(found.path()), "block": block, "version": version}
    return disk.model_copy(update=seen)
