# SPDX-License-Identifier: Apache-2.0
"""The operating system found on the migrated disks, and what was done to it."""

from enum import StrEnum

from tradewind.model.machine import FirmwareKind
from tradewind.model.record import Record


class Family(StrEnum):
    """Distributions that are adapted in the same way."""

    DEBIAN = "debian"
    RED_HAT = "red hat"
    SUSE = "suse"
    UNKNOWN = "unknown"


class Mount(Record):
    """A file system of the guest: `device` inside the worker, `path` inside the guest.

    With `check` it was in use and has no journal: it is checked before it is mounted.
    """

    device: str
    path: str
    fstype: str
    options: str = ""
    check: bool = False


class LayerKind(StrEnum):
    """What can lie between a file system and the machine's disks."""

    LVM = "logical volume"
    LUKS = "LUKS container"
    MD = "md array"


class Layer(Record):
    """One block layer below a file system, as the guest's own tools call it.

    `name` is VG/LV, the array's name (without its host), or a container's name in the guest's
    crypttab. `uuid` is the logical volume's, the container's, or the array's in mdadm's notation
    with colons. `group` is the volume group's UUID, and empty for the other kinds. `device` is
    the layer's name inside the worker while it is open.
    """

    kind: LayerKind
    name: str
    uuid: str
    device: str = ""
    group: str = ""


class FileSystem(Record):
    """A file system (or swap space) on the guest's disks.

    `device` is its name inside the worker; `disk` counts the machine's disks from 0, `partition`
    is 0 when it fills the whole disk. `layers` are what it stands on, uppermost first; with any,
    `disk` and `partition` are where the first part of the lowest one lies. `names` are those
    device names below /dev that the guest gives it and that stay, like /dev/mapper/vg-root.
    `disk_names` are what kernels at the source may call its disk, like /dev/sda; None when nobody
    says how it was plugged in there, and only its place among the disks is known. `member` tells
    the devices of one btrfs apart (its UUID_SUB).
    """

    device: str
    disk: int
    partition: int
    fstype: str
    uuid: str = ""
    label: str = ""
    partuuid: str = ""
    partlabel: str = ""
    layers: tuple[Layer, ...] = ()
    names: tuple[str, ...] = ()
    disk_names: tuple[str, ...] | None = None
    member: str = ""


class PartitionTable(StrEnum):
    """How a disk is divided; NONE for one that is a file system or a layer's part as a whole."""

    GPT = "gpt"
    MBR = "dos"
    NONE = ""


class GuestDisk(Record):
    """One disk of the machine. `device` is its name inside the worker.

    `bios_boot` is the number of the partition that holds GRUB's core image on a GPT disk, 0 when
    there is none.
    """

    device: str
    table: PartitionTable = PartitionTable.NONE
    bios_boot: int = 0


class Kernel(Record):
    """A kernel that can be booted: where its image is in the guest, and its modules."""

    version: str
    image: str
    modules: str


class GuestOS(Record):
    """What inspection found. `kernels` are the versions that can be booted, newest first.

    `mounts` are the file systems that belong to the system, "/" first, in the guest's own order;
    `macs` are the addresses of the machine's NICs, in its order; `notes` are sentences for the
    report. `images` tells more of each of `kernels`. `firmware` is what the machine starts with;
    `esp` is the device of its EFI system partition inside the worker, mounted or not.
    `members` are what layers are made of: containers, physical volumes, parts of arrays.
    `partitions` are all of the disks' own, whatever is in them.
    `id_like`, `codename` and `variant` are the words of os-release(5).
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
    id_like: tuple[str, ...] = ()
    codename: str = ""
    variant: str = ""
    images: tuple[Kernel, ...] = ()
    members: tuple[FileSystem, ...] = ()
    partitions: tuple[FileSystem, ...] = ()
    disks: tuple[GuestDisk, ...] = ()
    firmware: FirmwareKind = FirmwareKind.BIOS
    esp: str = ""

    @property
    def swaps(self) -> tuple[FileSystem, ...]:
        """All swap devices, in the order of the disks."""
        return tuple(f for f in self.filesystems if f.fstype == "swap")

    def file_system(self, path: str) -> FileSystem:
        """Find the file system on which a path of the guest lies; KeyError: of no known device."""
        below = [
            m for m in self.mounts if path == m.path or path.startswith(m.path.rstrip("/") + "/")
        ]
        device = max(below, key=lambda mount: len(mount.path)).device
        return {f.device: f for f in self.filesystems}[device]

    def layers(self, path: str) -> tuple[Layer, ...]:
        """Return what lies between a path of the guest and the disks, uppermost first."""
        return self.file_system(path).layers


class ChrootAccess(StrEnum):
    """What a command inside the guest's root is lent beside the guest's files.

    `DISKS` are the guest's own as device nodes, for what builds boot images or reads boot sectors;
    `NETWORK` is the worker's, with the disks, for what installs packages and for the operator's
    scripts; `LABELS` is the right to set security labels, for code of ours alone.
    """

    FILES = "files"
    DISKS = "disks"
    NETWORK = "network"
    LABELS = "labels"


class Outcome(Record):
    """What a morphing step did, in one sentence; `remedy` when it could not do it all.

    `done` is false when what the step is for did not happen, and the machine boots without it.
    """

    changed: bool
    summary: str
    remedy: str = ""
    done: bool = True


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
    """The options and choices that concern the guest.

    `packages_folder` is a folder of the controller, empty when there is none.
    """

    set_dhcp: bool = True
    retain_user_credentials: bool = True
    use_config_drive: bool = False
    packages_folder: str = ""
    allow_unknown_os: bool = False
