# SPDX-License-Identifier: Apache-2.0
"""The machine to be created on the destination, decided before its domain is written."""

from enum import StrEnum

from pydantic import Field

from tradewind.model.label import Label
from tradewind.model.machine import Nic
from tradewind.model.record import Record


class CpuMode(StrEnum):
    """Libvirt's CPU modes that need no model name; LIBVIRT_DEFAULT leaves it to libvirt."""

    HOST_PASSTHROUGH = "host-passthrough"
    HOST_MODEL = "host-model"
    MAXIMUM = "maximum"
    LIBVIRT_DEFAULT = ""


class CpuChoice(Record):
    """The CPU a created domain gets; `shortfalls` says what of the options it does not."""

    mode: CpuMode
    migratable: bool
    features: tuple[str, ...] = ()
    shortfalls: tuple[str, ...] = ()


class DiskBus(StrEnum):
    """What the disks of the machine are plugged into."""

    VIRTIO = "virtio"
    SCSI = "scsi"
    SATA = "sata"


class FinalDisk(Record):
    """A volume of the machine: where the host keeps it; `disk_id` is the source disk's."""

    disk_id: str
    path: str
    format: str


class Vnc(Record):
    """A VNC console whose port libvirt chooses."""

    listen: str


class FinalDomain(Record):
    """What the destination adds to the source's own description.

    `disks` are in source order, `nics` carry the destination's network names. `uuid` is set only
    when the machine shall keep its own. `console_log` and `config_drive` are paths on the host.
    """

    name: str
    kvm: bool
    machine_type: str
    cpu: CpuChoice
    disks: tuple[FinalDisk, ...] = Field(min_length=1)
    nics: tuple[Nic, ...] = ()
    uuid: str | None = None
    bus: DiskBus = DiskBus.VIRTIO
    tpm: bool = False
    vnc: Vnc | None = None
    console_log: str | None = None
    config_drive: str | None = None
    label: Label
