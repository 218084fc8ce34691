# SPDX-License-Identifier: Apache-2.0
"""Machines of a libvirt host, running or shut off."""

import contextlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import partial

import libvirt

from tradewind.domainxml import machine as machine_xml
from tradewind.errors import NotFoundError
from tradewind.host import checkpoints, domains, leftovers, power, storage, uefi
from tradewind.host.connection import connect
from tradewind.model.foresight import Foresight
from tradewind.model.host import HostAccess
from tradewind.model.machine import Disk, MachineSummary, VirtualMachine
from tradewind.model.migrate import ShutDown
from tradewind.model.overview import MachineOverview
from tradewind.model.run import Run
from tradewind.model.storage import Checkpoint
from tradewind.ports import Snapshot
from tradewind.remote import shell
from tradewind.sources import foresight, libvirt_snapshot
from tradewind.sources.tracking import no_bitmaps


@dataclass(frozen=True, slots=True)
class LibvirtSource:
    """The machines of one libvirt host."""

    access: HostAccess

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
            variables, reason = uefi.read_variables(connection, domain, machine)
            return machine.model_copy(
                update={
                    "autostart": domains.starts_with_host(domain),
                    "variables": variables,
                    "dropped": (*machine.dropped, *reason),
                }
            )

    def foresee(self, machine: VirtualMachine) -> Foresight:
        """Look at the domain, and ask its guest agent."""
        with connect(self.access) as connection:
            domain = domains.require_domain(connection, machine.id)
            return foresight.foresee(connection, domain, machine)

    def snapshot(
        self,
        machine: VirtualMachine,
        run: Run,
        since: Checkpoint | None = None,
        *,
        track: bool = True,
    ) -> contextlib.AbstractContextManager[Snapshot]:
        """Freeze one point in time and forward its NBD socket to this machine."""
        return libvirt_snapshot.snapshot(
            libvirt_snapshot.Wanted(
                access=self.access, machine=machine, run=run, since=since, track=track
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
        return libvirt_snapshot.forget(
            libvirt_snapshot.Wanted(self.access, now, run, since=last, track=False)
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

    def stay_off(self, machine: VirtualMachine) -> bool:
        """Keep the machine from starting with its host; say whether it would have."""
        with connect(self.access) as connection:
            return power.stay_off(domains.require_domain(connection, machine.id))


def _movable(connection: libvirt.virConnect) -> list[libvirt.virDomain]:
    return [each for each in connection.listAllDomains() if domains.read_label(each) is None]


def _summary(domain: libvirt.virDomain) -> MachineSummary:
    return MachineSummary(
        id=domain.UUIDString(),
        name=domain.name(),
        power=domains.power(domain),
        tags=domains.read_tags(domain),
    )


def _describe(connection: libvirt.virConnect, domain: libvirt.virDomain) -> VirtualMachine:
    """Read a domain's definition, and measure and find its disks."""
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


def _located(connection: libvirt.virConnect, disk: Disk) -> Disk:
    """Say where a disk lies on the host, when its definition names a pool and a volume."""
    if disk.encrypted:
        raise NotFoundError(
            f"disk {disk.id} ({disk.location}) is encrypted by its host, and cannot be read yet",
            "decrypt it on the source (qemu-img convert), or encrypt it inside the guest instead",
        )
    if disk.location.startswith("/"):
        return disk
    pool, _, volume = disk.location.partition("/")
    if not disk.backend or disk.backend != pool:
        raise NotFoundError(
            f"disk {disk.id} is kept at {disk.location or 'no place'}, which cannot be read yet",
            "files, block devices and volumes of pools can; move the disk to one of them",
        )
    path = str(storage.require_volume(connection, pool, volume).path())
    return disk.model_copy(update={"location": path})
