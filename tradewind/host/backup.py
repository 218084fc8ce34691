# SPDX-License-Identifier: Apache-2.0
"""Pull-mode backup of a running domain: QEMU serves one point in time over NBD.

Protocol: https://libvirt.org/formatbackup.html and
https://libvirt.org/kbase/internals/incremental-backup.html.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import libvirt

from tradewind.domainxml import backup as backup_xml
from tradewind.domainxml import checkpoint as checkpoint_xml
from tradewind.domainxml.backup import BackupDisk
from tradewind.errors import BusyError

FROZEN = "guest file systems frozen by the guest agent"
CRASH_CONSISTENT = "one point in time of all disks (as after a power cut: no guest agent answered)"

# Every path we hand to a backup job carries this, so that a job of ours is known as ours.
MARK = "tradewind-"

# Why a disk is read in full.
BROKEN = "its dirty bitmap is missing or inconsistent, as after a crash of QEMU"
NO_BITMAPS = "images of its format keep no dirty bitmaps"
OLD_IMAGE = (
    "its image is qcow2 version 2, which keeps no dirty bitmaps (qemu-img amend -o compat=1.1)"
)

_BROKEN: Final = re.compile(r"missing or broken bitmap '[^']*' for disk '([^']+)'")
_NO_BITMAPS: Final = re.compile(r"checkpoint for disk (\S+) unsupported for storage type")
_OLD_IMAGE: Final = re.compile(r"in 'libvirt-(\d+)-format': Cannot store dirty bitmaps")


@dataclass(frozen=True, slots=True)
class Job:
    """A backup to begin; `checkpoint` is the name of one to make at the same moment."""

    socket: str
    disks: Sequence[BackupDisk]
    checkpoint: str | None = None

    @property
    def tracked(self) -> tuple[str, ...]:
        """Name the disks that the new checkpoint covers."""
        return tuple(disk.target for disk in self.disks if disk.tracked and self.checkpoint)


@dataclass(frozen=True, slots=True)
class Begun:
    """A backup under way: how consistent, of which moment, and each disk as it really is read."""

    consistency: str
    moment: datetime
    disks: tuple[BackupDisk, ...]


def begin(domain: libvirt.virDomain, job: Job) -> Begun:
    """Start a pull-mode backup; a disk whose bitmap is of no use is read in full, and says why.

    A job that a killed run of ours left over is aborted first; anybody else's is a BusyError.
    """
    abort_leftover(domain)
    with frozen(domain) as consistency:
        begun = _begin(domain, job)
        moment = datetime.now(UTC)
    return Begun(consistency, moment, tuple(begun.disks))


def _begin(domain: libvirt.virDomain, job: Job) -> Job:
    """Begin, and give up one disk's tracking each time that libvirt refuses it."""
    while True:
        try:
            domain.backupBegin(backup_xml.backup_xml(job.socket, job.disks), _checkpoint(job), 0)
        except libvirt.libvirtError as error:
            less = _with_less(domain, job, error)
            if less == job:
                raise
            job = less
        else:
            return job


def _checkpoint(job: Job) -> str | None:
    if not job.checkpoint or not job.tracked:
        return None
    others = [disk.target for disk in job.disks if disk.target not in job.tracked]
    return checkpoint_xml.checkpoint_xml(job.checkpoint, job.tracked, others)


def _with_less(domain: libvirt.virDomain, job: Job, error: libvirt.libvirtError) -> Job:
    """Leave out what libvirt (seen with 9.0) or QEMU (7.2) refuses; the same job if that is not it.

    Their errors have no field for the disk: it has to be taken from the sentence.
    """
    said = str(error)
    if found := _BROKEN.search(said):
        return _changed(job, found.group(1), since=None, why=BROKEN)
    if found := _NO_BITMAPS.search(said):
        return _changed(job, found.group(1), since=None, tracked=False, why=NO_BITMAPS)
    if found := _OLD_IMAGE.search(said):
        target = checkpoint_xml.target_of_node(domain.XMLDesc(), int(found.group(1)))
        return _changed(job, target, since=None, tracked=False, why=OLD_IMAGE)
    return job


def _changed(job: Job, target: str | None, **fields: Any) -> Job:
    return replace(
        job,
        disks=[replace(disk, **fields) if disk.target == target else disk for disk in job.disks],
    )


@contextlib.contextmanager
def frozen(domain: libvirt.virDomain) -> Iterator[str]:
    """Freeze the guest's file systems where its agent can, and thaw them whatever happens."""
    try:
        domain.fsFreeze()
    except libvirt.libvirtError:
        yield CRASH_CONSISTENT
        return
    try:
        yield FROZEN
    finally:
        domain.fsThaw()


def current_socket(domain: libvirt.virDomain) -> str | None:
    """Name the NBD socket of a domain's backup job; None when no job runs."""
    try:
        return backup_xml.socket_of(domain.backupGetXMLDesc())
    except libvirt.libvirtError as error:
        if error.get_error_code() in {
            libvirt.VIR_ERR_NO_DOMAIN_BACKUP,
            libvirt.VIR_ERR_OPERATION_INVALID,
            libvirt.VIR_ERR_NO_SUPPORT,  # a driver without backups has no job either
        }:
            return None
        raise


def abort_leftover(domain: libvirt.virDomain) -> None:
    """Abort a backup job that a killed run left over."""
    socket = current_socket(domain)
    if socket is None:
        return
    if MARK not in socket:
        raise BusyError(
            f"machine {domain.name()} has a backup job of another program ({socket})",
            "wait until it has ended, or end it: virsh domjobabort",
        )
    domain.abortJob()


def end(domain: libvirt.virDomain) -> None:
    """End our backup job; nothing happens when there is none."""
    if current_socket(domain) is not None:
        domain.abortJob()
