# SPDX-License-Identifier: Apache-2.0
"""The machine being moved, as its source describes it."""

from enum import StrEnum

from pydantic import Field

from tradewind.model.mac import Mac
from tradewind.model.record import Record
from tradewind.model.source import SourceState
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
    is the smallest block that the guest can read, in bytes. `bus_said` is false where `bus` is our
    assumption: nobody says how the guest sees the disk. `encrypted` says that the source's
    host encrypts it, `read_only` that the guest cannot write to it. `block` says whether `location`
    is a block device or a file, as its source does; None where it does not. `version` is that of a
    qcow2 image, where the source knows it.
    """

    id: str
    capacity: int = Field(gt=0)
    allocation: int | None = None
    format: str = "raw"
    location: str = ""
    backend: str = ""
    bus: str = "virtio"
    bus_said: bool = True
    sector: int = 512
    encrypted: bool = False
    read_only: bool = False
    block: bool | None = None
    version: int | None = None

    @property
    def is_block(self) -> bool:
        """Whether it is a block device of its host; those are below /dev unless it is said."""
        return self.location.startswith("/dev/") if self.block is None else self.block


class Nic(Record):
    """One network interface; `network` is the source's name for what it is plugged into.

    `port_group` is the part of that network which chose its VLAN, where it named one.
    """

    mac: Mac
    network: str = ""
    port_group: str = ""
    model: str = "virtio"


class VirtualMachine(Record):
    """Everything a step needs to know of a machine; `memory` is bytes.

    `description` is the source's own domain XML, where the source has one; `dropped` lists in
    sentences what of it a moved machine does not get. `autostart` says whether it starts with its
    host there, `variables` are what its UEFI firmware stored, where the source gives it away.
    `states` is what it was in when it was looked at, beside its disks.
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
    states: tuple[SourceState, ...] = ()

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
    # Why no more is known of it, its tags neither: what describes it cannot be read.
    problem: str = ""
