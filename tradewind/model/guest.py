# SPDX-License-Identifier: Apache-2.0
"""The operating system found on the migrated disks, and what was done to it."""

from enum import StrEnum

from tradewind.model.record import Record


class Family(StrEnum):
    """Distributions that are adapted in the same way."""

    DEBIAN = "debian"
    RED_HAT = "red hat"
    SUSE = "suse"
    UNKNOWN = "unknown"


class Mount(Record):
    """A file system of the guest: `device` inside the worker, `path` inside the guest."""

    device: str
    path: str
    fstype: str
    options: str = ""


class FileSystem(Record):
    """A file system (or swap space) on the guest's disks.

    `device` is its name inside the worker; `disk` counts the machine's disks from 0, `partition`
    is 0 when it fills the whole disk.
    """

    device: str
    disk: int
    partition: int
    fstype: str
    uuid: str = ""
    label: str = ""
    partuuid: str = ""
    partlabel: str = ""


class GuestOS(Record):
    """What inspection found. `kernels` are the versions that can be booted, newest first.

    `mounts` are the file systems that belong to the system, "/" first, in the guest's own order;
    `macs` are the addresses of the machine's NICs, in its order; `notes` are sentences for the
    report.
    """

    family: Family
    id: str
    version: str
    pretty_name: str
    mounts: tuple[Mount, ...]
    kernels: tuple[str, ...]
    macs: tuple[str, ...] = ()
    filesystems: tuple[FileSystem, ...] = ()
    notes: tuple[str, ...] = ()


class Outcome(Record):
    """What a morphing step did, in one sentence; `remedy` when it could not do it all."""

    changed: bool
    summary: str
    remedy: str = ""


class MountedGuest(Record):
    """Where in the worker the guest's root is mounted."""

    root: str


class StepReport(Record):
    """One morphing step's line of the report."""

    step: str
    purpose: str
    outcome: Outcome
    seconds: float


class MorphOptions(Record):
    """The provider options that concern the guest."""

    set_dhcp: bool = True
    retain_user_credentials: bool = True
