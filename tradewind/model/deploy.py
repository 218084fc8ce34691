# SPDX-License-Identifier: Apache-2.0
"""The machine to be created on the destination, decided before its domain is written."""

from enum import StrEnum
from ipaddress import ip_address
from typing import Final, Literal

from pydantic import Field, SecretStr

from tradewind.model.hardware import Hardware
from tradewind.model.mac import Mac
from tradewind.model.network import Plug
from tradewind.model.record import Record
from tradewind.model.run import Label

CLOSE_CONSOLE: Final = (
    "let it listen on 127.0.0.1 and use an SSH tunnel (vnc_listen_address), or set a VNC password"
    " in the machine's Guest Secrets"
)


class CpuMode(StrEnum):
    """Libvirt's CPU modes that need no model name; LIBVIRT_DEFAULT leaves it to libvirt."""

    HOST_PASSTHROUGH = "host-passthrough"
    HOST_MODEL = "host-model"
    MAXIMUM = "maximum"
    LIBVIRT_DEFAULT = "libvirt-default"

    @classmethod
    def _missing_(cls, value: object) -> "CpuMode | None":
        """Take an empty option for libvirt's default; in a form it would be a choice of nothing."""
        return cls.LIBVIRT_DEFAULT if value == "" else None


class CpuChoice(Record):
    """The CPU a created domain gets; `shortfalls` says what of the options it does not."""

    mode: CpuMode
    migratable: bool
    features: tuple[str, ...] = ()
    shortfalls: tuple[str, ...] = ()


class Omission(Record):
    """A piece of the source's description that the destination's libvirt refuses.

    `path` is its place in the new domain; `what` names it for a person, "" where it says the same
    as its absence.
    """

    path: str
    what: str = ""


class Suitability(Record):
    """What the destination can make of a machine, decided once in a run."""

    cpu: CpuChoice
    left_out: tuple[Omission, ...] = ()


class FinalDisk(Record):
    """A volume of the machine: where the host keeps it; `disk_id` is the source disk's.

    `block` says whether it is a block device; where that is not said, what is below /dev is one.
    """

    disk_id: str
    path: str
    format: str
    block: bool | None = None


class FinalNic(Record):
    """A NIC of the machine: its address, and what it is plugged into on the destination."""

    mac: Mac
    plug: Plug


class Vnc(Record):
    """A VNC console whose port libvirt chooses."""

    listen: str
    password: SecretStr | None = None

    @property
    def exposure(self) -> str:
        """Return who reaches the console without a password; "" when nobody does from elsewhere."""
        if self.password is not None or ip_address(self.listen).is_loopback:
            return ""
        where = "every address" if self.is_everywhere else f"address {self.listen}"
        return (
            f"The VNC console listens on {where} of the host without a password: whoever reaches"
            " it sees and steers the machine."
        )

    @property
    def is_everywhere(self) -> bool:
        """Whether every network of the host reaches it."""
        return ip_address(self.listen).is_unspecified


class FinalDomain(Record):
    """What the destination adds to the source's own description.

    `disks` and `nics` are in source order. Without a `uuid` libvirt makes one. `console_log`,
    `config_drive` and `nvram` are paths on the host. `os_id` is what libosinfo calls the system
    that was found on the disks, `origin` a sentence on where the machine came from. `left_out`
    is what the host's libvirt refuses, `notes` are sentences for the report.
    """

    name: str
    kvm: bool
    machine_type: str
    cpu: CpuChoice
    disks: tuple[FinalDisk, ...] = Field(min_length=1)
    nics: tuple[FinalNic, ...] = ()
    uuid: str | None = None
    hardware: Hardware = Hardware()
    tpm: bool = False
    vnc: Vnc | None = None
    console_log: str | None = None
    config_drive: str | None = None
    nvram: str | None = None
    nvram_format: Literal["raw", "qcow2"] = "raw"
    os_id: str | None = None
    origin: str = ""
    autostart: bool = False
    left_out: tuple[Omission, ...] = ()
    notes: tuple[str, ...] = ()
    label: Label
