# SPDX-License-Identifier: Apache-2.0
"""Prove on a host that machines can be read from it, by reading one that is made for it.

A disk of 1 MiB, held by a paused machine that never runs, is read in the way of any that is shut
off: the run's folder, QEMU's socket or port, libvirt's backup job, the tunnel. What a security
module, a missing group or sshd's configuration forbids shows here, in seconds.
"""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Final

from tradewind.cleanup import cleanup_on_exit
from tradewind.errors import StreamError, TradewindError
from tradewind.host import validate
from tradewind.host.connection import connect
from tradewind.host.domain import run_folders
from tradewind.model.finding import Finding
from tradewind.model.host import HostAccess
from tradewind.model.machine import Disk, VirtualMachine
from tradewind.model.run import Run, new_run_id
from tradewind.model.source import SourceCare
from tradewind.remote import shell
from tradewind.sources.libvirt import snapshots
from tradewind.sources.libvirt.snapshot_job import SnapshotRequest, reader_name
from tradewind.units import MiB

_SIZE: Final = MiB
# What libvirt or QEMU refuse without saying more is mostly a file that QEMU's user cannot reach.
_REMEDY: Final = (
    "see that QEMU's user (libvirt-qemu, qemu) is a member of group kvm; then"
    " docs/howto/confined-hosts.md"
)


def findings(access: HostAccess, care: SourceCare) -> tuple[Finding, ...]:
    """Return what keeps machines from being read; nothing when one was read."""
    try:
        prove(access, care)
    except TradewindError as failure:
        failure.hint = failure.hint or _REMEDY
        looked_at = f"a paused machine of one disk of 1 MiB on {access.host}, read as any other"
        return validate.problems(failure, looked_at)
    return ()


def prove(access: HostAccess, care: SourceCare) -> None:
    """Read a machine that is made for it and is gone afterwards.

    Raises what a transfer from this host would raise.
    """
    run = Run(id=new_run_id(), transfer="", begun=datetime.now(UTC))
    with _disk(access) as disk:
        name = reader_name(run)
        machine = VirtualMachine(id=name, name=name, vcpus=1, memory=64 * MiB, disks=(disk,))
        wanted = SnapshotRequest(access, machine, run, since=None, track=False, care=care)
        with snapshots.snapshot(wanted) as shown:
            seen = sum(extent.length for extent in shown.extents(disk))
    if seen != _SIZE:
        raise StreamError(f"{access.host}: {seen} bytes of {_SIZE} were served")


@contextlib.contextmanager
def _disk(access: HostAccess) -> Iterator[Disk]:
    """Lend an image in a folder of its own: that of the run is made anew by each attempt."""
    with connect(access) as connection:
        confinement = run_folders.confined_by(connection)
    folder = run_folders.path_of(new_run_id(), confinement)
    with cleanup_on_exit(lambda: _remove(access, folder), what=f"folder {folder} on {access.host}"):
        image = folder / "disk.raw"
        with shell.connect_to_host(access) as remote:
            run_folders.make(remote, folder, confinement)
            remote.run(["truncate", "--size", str(_SIZE), str(image)])
        yield Disk(id="vda", capacity=_SIZE, location=str(image))


def _remove(access: HostAccess, folder: PurePosixPath) -> None:
    with shell.connect_to_host(access) as remote:
        run_folders.remove(remote, str(folder))
