# SPDX-License-Identifier: Apache-2.0
"""What a person may choose of the created machine's hardware; the rest is as on the source."""

from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from tradewind.model.machine import Firmware, FirmwareKind
from tradewind.model.option_types import none_when_empty, split_list
from tradewind.model.record import Record

NETWORK: Final = "network"


class FirmwareChoice(StrEnum):
    """How the created machine starts."""

    AS_SOURCE = "as on the source"
    BIOS = "bios"
    UEFI = "uefi"
    SECURE_BOOT = "uefi with secure boot"


class DiskBus(StrEnum):
    """What a disk is plugged into; IDE is for guests that know neither VirtIO nor AHCI."""

    VIRTIO = "virtio"
    SCSI = "scsi"
    SATA = "sata"
    IDE = "ide"


class DiskCache(StrEnum):
    """QEMU's cache modes (qemu-system(1), -drive cache=)."""

    NONE = "none"
    WRITEBACK = "writeback"
    WRITETHROUGH = "writethrough"
    DIRECTSYNC = "directsync"
    UNSAFE = "unsafe"


class DiskIo(StrEnum):
    """Who does a disk's I/O; AUTOMATIC is native on block devices and threads on files."""

    AUTOMATIC = "automatic"
    NATIVE = "native"
    THREADS = "threads"
    IO_URING = "io_uring"


class Discard(StrEnum):
    """What becomes of blocks that the guest gives up."""

    UNMAP = "unmap"
    IGNORE = "ignore"


class DetectZeroes(StrEnum):
    """What becomes of zeroes that the guest writes."""

    OFF = "off"
    ON = "on"
    UNMAP = "unmap"


class NicModel(StrEnum):
    """What NICs the guest sees."""

    VIRTIO = "virtio"
    E1000E = "e1000e"
    E1000 = "e1000"
    RTL8139 = "rtl8139"
    VMXNET3 = "vmxnet3"


class ClockChoice(StrEnum):
    """What the created machine's hardware clock counts."""

    AS_SOURCE = "as on the source"
    UTC = "utc"
    LOCAL = "localtime"


class Autostart(StrEnum):
    """Whether the machine starts with its host."""

    AS_SOURCE = "as on the source"
    ON = "on"
    OFF = "off"


class CpuTopology(Record, title="sockets, cores, threads"):
    """How the guest sees its vCPUs; as text "2,4,1" for 2 sockets of 4 cores of 1 thread."""

    sockets: int = Field(1, ge=1, le=512, title="Sockets")
    cores: int = Field(1, ge=1, le=512, title="Cores of each socket")
    threads: int = Field(1, ge=1, le=8, title="Threads of each core")

    @property
    def vcpus(self) -> int:
        """How many vCPUs that makes."""
        return self.sockets * self.cores * self.threads

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        numbers = split_list(value)
        if len(numbers) > len(cls.model_fields):
            raise PydanticCustomError("topology", "write sockets,cores,threads, such as 2,4,1")
        return dict(zip(cls.model_fields, numbers, strict=False))


def _read_buses(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    pairs = [entry.partition(":") for entry in split_list(value)]
    return {disk.strip(): bus.strip() for disk, _, bus in pairs}


MachineType = Annotated[
    Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] | None,
    BeforeValidator(none_when_empty),
]
OsId = Annotated[
    Annotated[str, StringConstraints(pattern=r"^https?://\S+$")] | None,
    BeforeValidator(none_when_empty),
]
Line = Annotated[
    Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f]+$", max_length=256)] | None,
    BeforeValidator(none_when_empty),
]
DiskBuses = Annotated[dict[str, DiskBus], BeforeValidator(_read_buses)]
Names = Annotated[tuple[str, ...], BeforeValidator(split_list)]

_FIRMWARE: Final = {
    FirmwareChoice.BIOS: Firmware(),
    FirmwareChoice.UEFI: Firmware(kind=FirmwareKind.UEFI),
    FirmwareChoice.SECURE_BOOT: Firmware(kind=FirmwareKind.UEFI, secure_boot=True),
}


class Hardware(Record, title="choices of its own"):
    """The created machine's hardware, where it shall not be as Tradewind would choose it."""

    machine_type: MachineType = Field(
        None,
        title="Machine type",
        description="q35, pc (i440FX, for old guests), or one with a version such as pc-q35-7.2. "
        "Left empty: q35.",
    )
    firmware: FirmwareChoice = Field(
        FirmwareChoice.AS_SOURCE,
        title="Firmware",
        description="A guest starts only with the firmware it was installed for; change it for "
        "machines that were prepared for that.",
    )
    keep_uefi_variables: bool = Field(
        True,
        title="Keep UEFI variables",
        description="Take boot entries and Secure Boot keys along where the source gives them "
        "away; otherwise the firmware finds the boot loader by its fallback path.",
    )
    vcpus: int | None = Field(
        None, ge=1, le=512, title="vCPUs", description="Left empty: as many as on the source."
    )
    cpu_topology: CpuTopology | None = Field(
        None,
        title="CPU topology",
        description="Sockets, cores and threads. Left empty: as on the source, if it still fits "
        "the number of vCPUs.",
    )
    memory: int | None = Field(
        None,
        ge=64,
        le=16_777_216,
        title="Memory (MiB)",
        description="Left empty: as much as on the source.",
    )
    disk_bus: DiskBus = Field(
        DiskBus.VIRTIO,
        title="Disk bus",
        description="What disks are plugged into. A guest without VirtIO drivers wants sata, or "
        "ide on machine type pc.",
    )
    disk_buses: DiskBuses = Field(
        default_factory=dict,
        title="Disk bus of single disks",
        description="By the name that the disk has on the source, such as sda.",
    )
    disk_cache: DiskCache = Field(
        DiskCache.NONE,
        title="Disk cache",
        description="How the host caches disks. none: past the host's memory; a machine on unsafe "
        "can lose its disks when the host fails.",
    )
    disk_io: DiskIo = Field(
        DiskIo.AUTOMATIC,
        title="Disk I/O",
        description="Who does the disks' I/O. native wants cache none or directsync.",
    )
    disk_discard: Discard = Field(
        Discard.UNMAP,
        title="Discard",
        description="unmap gives back to the pool what the guest trims.",
    )
    disk_detect_zeroes: DetectZeroes = Field(
        DetectZeroes.OFF,
        title="Detect zeroes",
        description="on looks for zeroes in what the guest writes, unmap also gives them back to "
        "the pool; both cost CPU time.",
    )
    boot_order: Names = Field(
        (),
        title="Boot order",
        description="Disks to boot from, by their names on the source, and “network”. Left empty: "
        "the source's order, the network last.",
    )
    nic_model: NicModel = Field(
        NicModel.VIRTIO,
        title="NIC model",
        description="A guest without VirtIO drivers wants e1000e, an old one e1000 or rtl8139.",
    )
    clock: ClockChoice = Field(
        ClockChoice.AS_SOURCE,
        title="Hardware clock",
        description="utc for nearly every guest, localtime for Windows.",
    )
    keep_uuid: bool = Field(
        True,
        title="Keep the UUID",
        description="Licences may hang on it. Where another machine of the host has it, the new "
        "one gets one of its own.",
    )
    os_id: OsId = Field(
        None,
        title="Operating system",
        description="libosinfo's identifier, such as http://debian.org/debian/12, for programs "
        "that show it. Left empty: as on the source, else as found on the disks.",
    )
    title: Line = Field(None, title="Title", description="Left empty: as on the source.")
    autostart: Autostart = Field(
        Autostart.AS_SOURCE,
        title="Start with the host",
        description="Takes effect when the deployment is complete, its boot proof included. As on "
        "the source only for a machine that was started.",
    )

    keep_memory_dumps: bool = Field(
        False,
        title="Keep memory dumps",
        description="Where the source writes a crashed or hanging guest's memory to a file of its "
        "host (on_crash coredump-…, watchdog action dump), have the new host do so too: its disk "
        "needs room for that, and the file holds whatever the guest knew.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        topology, vcpus = self.cpu_topology, self.vcpus
        if topology and vcpus and topology.vcpus != vcpus:
            raise PydanticCustomError(
                "topology",
                "cpu_topology makes {made} vCPUs, and vcpus says {asked}",
                {"made": topology.vcpus, "asked": vcpus},
            )
        if self.disk_io is DiskIo.NATIVE and self.disk_cache not in _DIRECT:
            raise PydanticCustomError(
                "io", "disk_io native wants disk_cache none or directsync: QEMU refuses others"
            )
        if self.disk_detect_zeroes is DetectZeroes.UNMAP and self.disk_discard is Discard.IGNORE:
            raise PydanticCustomError("zeroes", "disk_detect_zeroes unmap wants disk_discard unmap")
        if len(set(self.boot_order)) < len(self.boot_order):
            raise PydanticCustomError("boot", "boot_order names a device twice")
        return self

    def firmware_of(self, source: Firmware) -> Firmware:
        """Say with what firmware the machine starts."""
        return _FIRMWARE.get(self.firmware, source)

    def bus_of(self, disk_id: str) -> DiskBus:
        """Return what a disk is plugged into."""
        return self.disk_buses.get(disk_id, self.disk_bus)

    def vcpus_of(self, source: int) -> int:
        """Return how many vCPUs the machine has when it starts."""
        if self.cpu_topology and self.vcpus is None:
            return self.cpu_topology.vcpus
        return self.vcpus or source


_DIRECT: Final = frozenset({DiskCache.NONE, DiskCache.DIRECTSYNC})
