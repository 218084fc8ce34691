# SPDX-License-Identifier: Apache-2.0
"""Machines of a libvirt host: running ones are read through a pull-mode backup.

A machine that is shut off is read in the same way, through a *reader*: a domain without network
that holds the machine's disks, is started paused and never runs. Libvirt then opens the images
with its own rights and locks, so the account on the source needs no access to any file, and
nobody can start the machine in the middle of the copy.
"""

import contextlib
import platform
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final

import libvirt

from tradewind.domainxml import machine as machine_xml
from tradewind.domainxml import reader as reader_xml
from tradewind.domainxml.backup import BackupDisk
from tradewind.errors import NotFoundError
from tradewind.host import backup, domains, storage
from tradewind.host.connection import connect
from tradewind.lending import given_back
from tradewind.model.host import HostAccess
from tradewind.model.label import Label, Purpose
from tradewind.model.machine import Disk, MachineSummary, PowerState, VirtualMachine
from tradewind.model.storage import Checkpoint, Extent
from tradewind.ports import DiskReader, Snapshot
from tradewind.remote import shell
from tradewind.remote.tunnel import forward_unix_socket
from tradewind.sources import nbd

# Where QEMU puts the NBD socket: made by the account (setgid, group kvm, nobody else), so that
# QEMU's user – a member of kvm on Debian, SUSE and Red Hat – can create the socket and the
# account can connect to it.
SOCKET_ROOT: Final = PurePosixPath("/var/tmp")  # noqa: S108 - on the source host, mode 2770
SOCKET_GROUP: Final = "kvm"

# Scratch files of disks that are no files themselves (block devices) go here.
SCRATCH_FALLBACK: Final = PurePosixPath("/var/lib/libvirt/images")


def socket_folder(run_id: str) -> PurePosixPath:
    """Where a run's NBD socket lives on the source host."""
    return SOCKET_ROOT / f"tradewind-{run_id}"


@dataclass(frozen=True, slots=True)
class LibvirtSnapshot:
    """One point in time of a machine's disks, served at a local NBD socket."""

    consistency: str
    socket: Path

    def extents(self, disk: Disk) -> Iterable[Extent]:
        """All of the disk: data, or known to read as zero."""
        return nbd.extents(self.socket, disk.id, disk.capacity)

    def open(self, disk: Disk) -> contextlib.AbstractContextManager[DiskReader]:
        """Open one more NBD connection to the disk."""
        return nbd.open_reader(self.socket, disk.id)


@dataclass(frozen=True, slots=True)
class LibvirtSource:
    """The machines of one libvirt host."""

    access: HostAccess

    def machines(self) -> Iterable[MachineSummary]:
        """List the domains that are not ours."""
        with connect(self.access) as connection:
            return [
                MachineSummary(
                    id=domain.UUIDString(), name=domain.name(), power=domains.power(domain)
                )
                for domain in connection.listAllDomains()
                if domains.read_label(domain) is None
            ]

    def inspect(self, machine_id: str) -> VirtualMachine:
        """Describe a domain and its disks, found by name or UUID."""
        with connect(self.access) as connection:
            domain = domains.require_domain(connection, machine_id)
            xml = domains.definition(domain)
            machine = machine_xml.parse_machine(
                xml,
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

    @contextlib.contextmanager
    def snapshot(
        self, machine: VirtualMachine, run_id: str, since: Checkpoint | None = None
    ) -> Iterator[Snapshot]:
        """Freeze one point in time and forward its NBD socket to this machine."""
        with contextlib.ExitStack() as lent:
            folder = lent.enter_context(self._socket_folder(run_id))
            domain = machine.name
            if machine.power is PowerState.SHUT_OFF:
                domain = lent.enter_context(self._reader(machine, run_id))
            socket = folder / "nbd.sock"
            consistency = lent.enter_context(self._backup(domain, machine, run_id, socket))
            local = lent.enter_context(tempfile.TemporaryDirectory(prefix="tradewind-"))
            forwarded = lent.enter_context(
                forward_unix_socket(self.access, str(socket), Path(local))
            )
            yield LibvirtSnapshot(consistency=consistency, socket=forwarded)

    @contextlib.contextmanager
    def _socket_folder(self, run_id: str) -> Iterator[PurePosixPath]:
        folder = str(socket_folder(run_id))
        with self._shell() as remote:
            remote.run(["mkdir", "-m", "0700", folder])
            remote.run(["chgrp", SOCKET_GROUP, folder])
            remote.run(["chmod", "2770", folder])
        with given_back(lambda: self._remove(folder)):
            yield PurePosixPath(folder)

    def _remove(self, folder: str) -> None:
        with self._shell() as remote:
            remote.run(["rm", "-rf", folder])

    def _shell(self) -> contextlib.AbstractContextManager[shell.Shell]:
        return shell.connect_to_host(self.access)

    @contextlib.contextmanager
    def _backup(
        self, domain: str, machine: VirtualMachine, run_id: str, socket: PurePosixPath
    ) -> Iterator[str]:
        disks = [
            BackupDisk(target=disk.id, scratch=str(_scratch(disk, run_id)))
            for disk in machine.disks
        ]
        with connect(self.access) as connection:
            found = domains.require_domain(connection, domain)
            consistency = backup.begin(found, str(socket), disks)
        if machine.power is PowerState.SHUT_OFF:
            consistency = "machine shut off; it cannot be started while it is read"
        with given_back(lambda: self._end_backup(domain)):
            yield consistency

    def _end_backup(self, domain: str) -> None:
        with connect(self.access) as connection, contextlib.suppress(NotFoundError):
            backup.end(domains.require_domain(connection, domain))

    @contextlib.contextmanager
    def _reader(self, machine: VirtualMachine, run_id: str) -> Iterator[str]:
        name = f"tradewind-{run_id}-{Purpose.READER}"
        label = Label(
            transfer="",
            run=run_id,
            purpose=Purpose.READER,
            created=datetime.now(UTC),
            controller=platform.node(),
        )
        xml = reader_xml.reader_domain(name, machine.disks, label)
        with given_back(lambda: self._end_reader(name)):
            with connect(self.access) as connection:
                domains.start_transient(connection, xml, paused=True)
            yield name

    def _end_reader(self, name: str) -> None:
        with connect(self.access) as connection:
            domains.destroy(connection, name)


def _located(connection: libvirt.virConnect, disk: Disk) -> Disk:
    """Say where a disk lies on the host, when its definition names a pool and a volume."""
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


def _scratch(disk: Disk, run_id: str) -> PurePosixPath:
    location = PurePosixPath(disk.location)
    folder = SCRATCH_FALLBACK if location.is_relative_to("/dev") else location.parent
    return folder / f"tradewind-{run_id}-{disk.id}.scratch"
