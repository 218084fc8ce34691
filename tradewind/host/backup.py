# SPDX-License-Identifier: Apache-2.0
"""Pull-mode backup of a running domain: QEMU serves one point in time over NBD.

Protocol: https://libvirt.org/formatbackup.html and
https://libvirt.org/kbase/internals/incremental-backup.html.
"""

import contextlib
from collections.abc import Iterator, Sequence

import libvirt

from tradewind.domainxml import backup as backup_xml
from tradewind.errors import BusyError

FROZEN = "guest file systems frozen by the guest agent"
CRASH_CONSISTENT = "one point in time of all disks (as after a power cut: no guest agent answered)"

# Every path we hand to a backup job carries this, so that a job of ours is known as ours.
MARK = "tradewind-"


def begin(domain: libvirt.virDomain, socket: str, disks: Sequence[backup_xml.BackupDisk]) -> str:
    """Start a pull-mode backup of these disks; return how consistent it is, in words.

    A job that a killed run of ours left over is aborted first; anybody else's is a BusyError.
    """
    abort_leftover(domain)
    with frozen(domain) as consistency:
        domain.backupBegin(backup_xml.backup_xml(socket, disks), None, 0)
    return consistency


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
