# SPDX-License-Identifier: Apache-2.0
"""The machine being moved, as its source describes it."""

from enum import StrEnum

from pydantic import Field

from tradewind.model.record import Record
from tradewind.model.uefi import UefiVariables


class FirmwareKind(StrEnum):
    """How the machine starts."""

    BIOS = "bios"
    UEFI = "uefi"


class PowerState(StrEnum):
    """Whether the machine runs on its source."""

    RUNNING = "running"
    SHUT_OFF = "shut off"


class Clock(StrEnum):
    """What the machine's hardware clock counts."""

    UTC = "utc"
    LOCAL = "localtime"


class Firmware(Record):
    """Firmware kind, and whether it checks signatures."""

    kind: FirmwareKind = FirmwareKind.BIOS
    secure_boot: bool = False


class Disk(Record):
    """One disk, in the machine's own order.

    `id` is unique within the machine and stable between executions (the target name "sda" on a
    libvirt source). `location` says where the source keeps it, `backend` in which pool or folder.
    `capacity` and `allocation` are bytes; `allocation` is what the source really stores. `sector`
    is the smallest block that the guest can read, in bytes. `encrypted` says that the source's
    host encrypts it.
    """

    id: str
    capacity: int = Field(gt=0)
    allocation: int | None = None
    format: str = "raw"
    location: str = ""
    backend: str = ""
    bus: str = "virtio"
    sector: int = 512
    encrypted: bool = False


class Nic(Record):
    """One network interface; `network` is the source's name for what it is plugged into."""

    mac: str
    network: str = ""
    model: str = "virtio"


class VirtualMachine(Record):
    """Everything a step needs to know of a machine; `memory` is bytes.

    `description` is the source's own domain XML, where the source has one; `dropped` lists in
    sentences what of it a moved machine does not get. `autostart` says whether it starts with its
    host there, `variables` are what its UEFI firmware stored, where the source gives it away.
    """

    id: str
    name: str
    vcpus: int = Field(gt=0)
    memory: int = Field(gt=0)
    disks: tuple[Disk, ...]
    nics: tuple[Nic, ...] = ()
    firmware: Firmware = Firmware()
    tpm: bool = False
    clock: Clock = Clock.UTC
    power: PowerState = PowerState.SHUT_OFF
    os_hint: str | None = None
    autostart: bool = False
    variables: UefiVariables | None = None
    description: str | None = None
    dropped: tuple[str, ...] = ()

    @property
    def capacity(self) -> int:
        """Bytes of all disks together."""
        return sum(disk.capacity for disk in self.disks)


class MachineSummary(Record):
    """One line of a source's list of machines."""

    id: str
    name: str
    power: PowerState
    # What a person put on it, to choose machines by.
    tags: tuple[str, ...] = ()
