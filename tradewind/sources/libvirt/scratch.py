# SPDX-License-Identifier: Apache-2.0
"""The files that keep what a guest overwrites while it is read, and the room that they take.

When their file system is full, QEMU (7.2, 10.0) lets the *guest's* write fail with ENOSPC. So its
room is watched all the while, and the snapshot is given up first: its job ended, its scratch files
gone.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

import libvirt

from tradewind.domainxml.pool import parse_pool
from tradewind.errors import BadInputError, CapacityError, NotFoundError, RemoteCommandError
from tradewind.host import storage
from tradewind.model.finding import Finding, error, warning
from tradewind.model.machine import Disk, VirtualMachine
from tradewind.model.run import labelled_name
from tradewind.model.source import SourceCare
from tradewind.ports import Remote
from tradewind.units import human_size

# Scratch files of disks that are no files themselves (block devices) go here.
FALLBACK: Final = PurePosixPath("/var/lib/libvirt/images")

# Pools whose volumes are files in a folder.
_FOLDERS: Final = frozenset({"dir", "fs", "netfs"})
_ANSWER: Final = 10
# Less room than this part of the disks' size is worth a warning.
_FEW: Final = 0.1
_REMEDY: Final = (
    "make room there; or name a storage pool on a larger file system (scratch_pool of the source's"
    " endpoint); or let the transfer run faster, or when the guest writes less"
)


@dataclass(frozen=True, slots=True)
class ScratchSpace:
    """A file system that scratch files go to: its bytes, and those of them that are free."""

    folder: str
    size: int
    free: int

    def above(self, care: SourceCare) -> int:
        """Return how much scratch files may take; nothing or less: there is no room for them."""
        return self.free - care.reserve_of(self.size)


def folder_of_pool(connection: libvirt.virConnect, care: SourceCare) -> PurePosixPath | None:
    """Find the folder of the pool that is named for scratch files; None when none is.

    NotFoundError: there is no such pool, or its volumes are no files.
    """
    if care.scratch_pool is None:
        return None
    pool = parse_pool(storage.find_pool(connection, care.scratch_pool).XMLDesc())
    if pool.type not in _FOLDERS or pool.path is None:
        raise NotFoundError(
            f"scratch pool “{care.scratch_pool}” on {connection.getHostname()} holds no files",
            "name a pool of type dir, fs or netfs as scratch_pool of the source's endpoint",
            evidence=f"virsh pool-dumpxml {care.scratch_pool}: type {pool.type}",
        )
    return PurePosixPath(pool.path)


def folder_of(disk: Disk, pool: PurePosixPath | None) -> PurePosixPath:
    """Return where a disk's scratch file goes: into the pool, else beside it."""
    location = PurePosixPath(disk.location)
    # Below /dev files are in the host's memory.
    unfit = disk.is_block or location.is_relative_to("/dev")
    return pool or (FALLBACK if unfit else location.parent)


def path_of(disk: Disk, run_id: str, pool: PurePosixPath | None) -> str:
    """Name a disk's scratch file, so that the sweep knows whose it is."""
    return str(folder_of(disk, pool) / labelled_name(run_id, f"{disk.id}.scratch"))


def measure(remote: Remote, folders: Collection[str]) -> tuple[ScratchSpace, ...]:
    """Ask the host how large the folders' file systems are, and what of them is free.

    NotFoundError: the account cannot look at a folder, so that nobody could watch it.
    """
    names = sorted(folders)
    try:
        said = remote.run(["stat", "-f", "-c", "%S %b %a", "--", *names], timeout=_ANSWER).stdout
    except RemoteCommandError as failure:
        raise NotFoundError(
            f"the room for scratch files in {', '.join(names)} cannot be measured:"
            f" {failure.message}",
            "let the account enter these folders (chmod o+x), or name a storage pool that it can"
            " enter as scratch_pool of the source's endpoint",
        ) from None
    lines = [[int(word) for word in line.split()] for line in said.splitlines()]
    return tuple(
        ScratchSpace(folder=name, size=block * blocks, free=block * free)
        for name, (block, blocks, free) in zip(names, lines, strict=True)
    )


def require_room(rooms: Sequence[ScratchSpace], care: SourceCare) -> None:
    """Raise CapacityError when a guest could fill a file system with its first writes."""
    for room in rooms:
        if room.above(care) <= 0:
            raise CapacityError(
                f"{room.folder} has {human_size(room.free)} free, no more than the reserve of"
                f" {human_size(care.reserve_of(room.size))}: no room for what the guest overwrites"
                " while it is read",
                _REMEDY,
                evidence=f"df {room.folder}: {human_size(room.free)} available",
            )


def findings(
    connection: libvirt.virConnect, remote: Remote, machine: VirtualMachine, care: SourceCare
) -> Iterator[Finding]:
    """Say whether there is room for what a running machine's guest overwrites while it is read."""
    try:
        pool = folder_of_pool(connection, care)
        rooms = measure(remote, {str(folder_of(disk, pool)) for disk in machine.disks})
        require_room(rooms, care)
    except BadInputError as failure:
        yield error(failure.message, failure.hint, failure.evidence or "stat -f on the source host")
        return
    for room in rooms:
        if room.above(care) < machine.capacity * _FEW:
            yield warning(
                f"{machine.name} may overwrite {human_size(room.above(care))} while it is read:"
                f" that is kept in {room.folder}, and with more the transfer is given up",
                _REMEDY,
                f"df {room.folder}: {human_size(room.free)} available, reserve"
                f" {human_size(care.reserve_of(room.size))}",
            )


def given_up(machine: str, folder: str, free: int) -> CapacityError:
    """Say that the snapshot had to go, and that the guest is well."""
    return CapacityError(
        f"the snapshot of {machine} was given up: what the guest overwrote while it was read left"
        f" {human_size(free)} free in {folder} on its host. The guest goes on writing undisturbed",
        _REMEDY,
    )
