# SPDX-License-Identifier: Apache-2.0
"""Machines that are disk images in a folder, each described by a small TOML file.

`web.toml` describes machine "web"; only vcpus, memory and one disk have to be there::

    name = "web"                 # default: the file's name
    vcpus = 2
    memory = 2048                # MiB
    firmware = "uefi"            # default: "bios"
    secure_boot = false
    tpm = false
    clock = "localtime"          # default: "utc"
    os_hint = "debian"

    [[disks]]
    file = "web-root.qcow2"      # inside the folder
    format = "raw"               # raw has to be said; qcow2 is recognised
    id = "root"                  # default: the file's name without its suffix
    bus = "sata"                 # default: "virtio"

    [[nics]]
    mac = "52:54:00:00:00:01"
    network = "lan"
    model = "e1000e"             # default: "virtio"
"""

import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError

from tradewind.errors import CheckpointLostError, NotFoundError, OptionError
from tradewind.model.machine import (
    Clock,
    Disk,
    Firmware,
    FirmwareKind,
    MachineSummary,
    Nic,
    PowerState,
    VirtualMachine,
)
from tradewind.model.record import Record, faults
from tradewind.model.storage import Checkpoint, Extent
from tradewind.ports import DiskReader, Snapshot
from tradewind.sources import nbd, qemu_nbd
from tradewind.sources.image_format import check_format, check_references
from tradewind.units import MiB

_SUFFIX: Final = ".toml"


class DescribedDisk(Record):
    """One [[disks]] entry."""

    file: str
    format: str | None = None
    id: str | None = None
    bus: str = "virtio"

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
    disks: tuple[DescribedDisk, ...] = Field(min_length=1)
    nics: tuple[Nic, ...] = ()


@dataclass(frozen=True, slots=True)
class DiskImageSource:
    """The machines described in a folder, or the one that a single TOML file describes."""

    path: Path

    def machines(self) -> Iterable[MachineSummary]:
        """List the descriptions; a faulty one is an OptionError that names it."""
        return [
            MachineSummary(
                id=path.stem, name=_read(path).name or path.stem, power=PowerState.SHUT_OFF
            )
            for path in self._descriptions()
        ]

    def inspect(self, machine_id: str) -> VirtualMachine:
        """Describe one machine; its images are checked, qcow2 as a whole."""
        path = self._find(machine_id)
        description = _read(path)
        return VirtualMachine(
            id=machine_id,
            name=description.name or machine_id,
            vcpus=description.vcpus,
            memory=description.memory * MiB,
            firmware=Firmware(kind=description.firmware, secure_boot=description.secure_boot),
            tpm=description.tpm,
            clock=description.clock,
            os_hint=description.os_hint,
            disks=tuple(_disk(path, entry) for entry in description.disks),
            nics=description.nics,
        )

    @contextmanager
    def snapshot(
        self, machine: VirtualMachine, run_id: str, since: Checkpoint | None = None
    ) -> Iterator[Snapshot]:
        """Serve the images read-only; QEMU's locks keep writers away meanwhile."""
        if since is not None:
            raise CheckpointLostError(f"{machine.name}: disk images do not track what changed")
        with ExitStack() as stack:
            sockets = Path(stack.enter_context(_private_folder(run_id)))
            yield ImageSnapshot(
                {
                    disk.id: stack.enter_context(_serve(disk, sockets, str(number)))
                    for number, disk in enumerate(machine.disks)
                }
            )

    def _descriptions(self) -> list[Path]:
        if self.path.is_file() and self.path.suffix == _SUFFIX:
            return [self.path]
        if self.path.is_dir():
            return sorted(self.path.glob(f"*{_SUFFIX}"))
        raise NotFoundError(
            f"{self.path} is neither a folder nor a {_SUFFIX} file",
            "describe the machine in a TOML file next to its images (docs/howto)",
        )

    def _find(self, machine_id: str) -> Path:
        found = {path.stem: path for path in self._descriptions()}
        if machine_id not in found:
            raise NotFoundError(
                f"No machine {machine_id!r} in {self.path}",
                f"there are: {', '.join(found) or 'none'}",
            )
        return found[machine_id]


@dataclass(frozen=True, slots=True)
class ImageSnapshot:
    """Image files, each at an NBD socket on this machine."""

    sockets: Mapping[str, Path]

    @property
    def consistency(self) -> str:
        """How the point in time came about."""
        return "image files of a machine that does not run, locked against writers"

    def extents(self, disk: Disk) -> Iterable[Extent]:
        """All of the disk: data, or known to read as zero."""
        return nbd.extents(self.sockets[disk.id], "", disk.capacity)

    def open(self, disk: Disk) -> AbstractContextManager[DiskReader]:
        """Open one more connection to the disk."""
        return nbd.open_reader(self.sockets[disk.id])


def _private_folder(run_id: str) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix=f"tradewind-{run_id[:36]}-")


def _serve(disk: Disk, sockets: Path, name: str) -> AbstractContextManager[Path]:
    path = Path(disk.location)
    if disk.format == "qcow2":
        check_references(path, Path(disk.backend))
    return qemu_nbd.served(path, disk.format, sockets, name)


def _read(path: Path) -> Description:
    try:
        description = Description.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"{path} is not TOML: {error}") from None
    except ValidationError as error:
        raise OptionError(f"{path}: {faults(error)}", "correct the description") from None
    names = [disk.name for disk in description.disks]
    if len(set(names)) < len(names):
        raise OptionError(f"{path}: two disks have the same name", 'give each an "id" of its own')
    return description


def _disk(description: Path, entry: DescribedDisk) -> Disk:
    folder = description.parent.resolve()
    path = (folder / entry.file).resolve()
    if not path.is_relative_to(folder):
        raise OptionError(
            f"{description}: {entry.file} is outside the folder", "put the image into the folder"
        )
    if not path.is_file():
        raise NotFoundError(f"{description}: there is no file {entry.file}", f"put it in {folder}")
    image_format = check_format(path, entry.format)
    references = check_references(path, folder) if image_format == "qcow2" else []
    capacity = qemu_nbd.virtual_size(path, image_format)
    for each in references:
        qemu_nbd.check_qcow2(each)
    return Disk(
        id=entry.name,
        capacity=capacity,
        allocation=path.stat().st_blocks * 512,
        format=image_format,
        location=str(path),
        backend=str(folder),
        bus=entry.bus,
    )
