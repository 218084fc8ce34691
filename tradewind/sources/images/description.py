# SPDX-License-Identifier: Apache-2.0
"""The TOML file that describes a machine of disk images.

`web.toml` describes machine "web"; only vcpus, memory and one disk have to be there::

    name = "web"                 # default: the file's name
    vcpus = 2
    memory = 2048                # MiB
    firmware = "uefi"            # default: "bios"
    secure_boot = false
    tpm = false
    clock = "localtime"          # default: "utc"
    os_hint = "debian"
    tags = ["nightly"]           # to choose machines by; default: none

    [[disks]]
    file = "web-root.qcow2"      # inside the folder
    format = "raw"               # raw has to be said; qcow2 is recognised
    id = "root"                  # default: the file's name without its suffix
    bus = "sata"                 # where the guest had it; needed if it names /dev/sda1

    [[nics]]
    mac = "52:54:00:00:00:01"
    network = "lan"
    model = "e1000e"             # default: "virtio"
"""

import tomllib
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, StringConstraints, ValidationError

from tradewind.errors import OptionError
from tradewind.model.machine import Clock, FirmwareKind, Nic
from tradewind.model.record import Record, faults
from tradewind.sources.images import opening
from tradewind.units import MiB

_LONGEST: Final = 1 * MiB


class DescribedDisk(Record):
    """One [[disks]] entry."""

    file: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f]+$", max_length=4096)]
    format: str | None = None
    id: str | None = None
    bus: str | None = None

    @property
    def name(self) -> str:
        """What the disk is called within the machine."""
        return self.id or Path(self.file).stem


class Description(Record):
    """One machine's TOML file; `memory` is MiB."""

    name: str | None = None
    vcpus: int = Field(gt=0)
    memory: int = Field(gt=0)
    firmware: FirmwareKind = FirmwareKind.BIOS
    secure_boot: bool = False
    tpm: bool = False
    clock: Clock = Clock.UTC
    os_hint: str | None = None
    tags: tuple[str, ...] = ()
    disks: tuple[DescribedDisk, ...] = Field(min_length=1)
    nics: tuple[Nic, ...] = ()


def read_description(path: Path) -> Description:
    """Read one; OptionError names the file and the field."""
    try:
        description = Description.model_validate(tomllib.loads(opening.read_text(path, _LONGEST)))
    except ValidationError as error:
        raise OptionError(f"{path}: {faults(error)}", "correct the description") from None
    except (ValueError, RecursionError) as error:  # a number, or brackets, without an end
        raise OptionError(f"{path} is not TOML: {error}", "correct the description") from None
    names = [disk.name for disk in description.disks]
    if len(set(names)) < len(names):
        raise OptionError(f"{path}: two disks have the same name", 'give each an "id" of its own')
    return description
