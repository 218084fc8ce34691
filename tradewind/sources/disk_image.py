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
    tags = ["nightly"]           # to choose machines by; default: none

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

import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError

from tradewind.errors import NotFoundError, OptionError, TradewindError
from tradewind.model.finding import note
from tradewind.model.foresight import Foresight, GuestSeen
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
from tradewind.model.migrate import ShutDown
from tradewind.model.overview import MachineOverview
from tradewind.model.record import Record, faults
from tradewind.model.run import Run
from tradewind.model.storage import Checkpoint, Extent, Tracking
from tradewind.ports import DiskReader, Snapshot
from tradewind.private_folders import private_folder
from tradewind.sources import nbd, qemu_nbd
from tradewind.sources.image_format import check_format, check_references
from tradewind.units import MiB

_SUFFIX: Final = ".toml"
UNTRACKED: Final = "nothing tracks what changes in an image file"


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
    tags: tuple[str, ...] = ()
    disks: tuple[DescribedDisk, ...] = Field(min_length=1)
    nics: tuple[Nic, ...] = ()


@dataclass(frozen=True, slots=True)
class DiskImageSource:
    """The machines described in a folder, or the one that a single TOML file describes."""

    path: Path

    def machines(self) -> Iterable[MachineSummary]:
        """List the descriptions; a faulty one is an OptionError that names it."""
        return [_summary(path, _read(path)) for path in self._descriptions()]

    def overview(self) -> Iterable[MachineOverview]:
        """Describe all machines; images are measured, and not checked as a whole."""
        return [
            MachineOverview.of(_summary_of(path), partial(_machine, path), lambda _disk: UNTRACKED)
            for path in self._descriptions()
        ]

    def inspect(self, machine_id: str) -> VirtualMachine:
        """Describe one machine; its images are checked, qcow2 as a whole."""
        machine = _machine(self._find(machine_id))
        for disk in machine.disks:
            _check(disk)
        return machine

    def foresee(self, machine: VirtualMachine) -> Foresight:
        """Say what every image has to have said; the images were checked by `inspect`."""
        return Foresight(
            findings=(
                note(
                    "each execution reads all of the images; what is equal is not sent",
                    "if that takes too long, transfer the machine from a libvirt host",
                    "nothing tells what changed in an image",
                ),
            ),
            guest=GuestSeen(os=machine.os_hint or ""),
        )

    @contextmanager
    def snapshot(
        self,
        machine: VirtualMachine,
        run: Run,
        since: Checkpoint | None = None,
        *,
        track: bool = True,
    ) -> Iterator[Snapshot]:
        """Serve the images read-only; QEMU's locks keep writers away meanwhile."""
        with ExitStack() as stack:
            sockets = stack.enter_context(private_folder())
            served = {
                disk.id: stack.enter_context(_serve(disk, sockets, str(number)))
                for number, disk in enumerate(machine.disks)
            }
            yield ImageSnapshot(served, moment=datetime.now(UTC))

    def retire_checkpoints(
        self, machine: VirtualMachine, transfer: str, keep: Checkpoint | None
    ) -> None:
        """Do nothing: there are none."""

    def forget_replica(
        self, machine: VirtualMachine, run: Run, last: Checkpoint | None
    ) -> tuple[str, ...]:
        """Do nothing: there are no checkpoints."""
        return ()

    def clean_up(self, runs: Collection[str]) -> None:
        """Do nothing: a server of images ends with the process that started it."""

    def shut_down(self, machine: VirtualMachine, *, timeout: float, force: bool) -> ShutDown:
        """Do nothing: an image does not run."""
        return ShutDown(how="it is an image and does not run", seconds=0)

    def start(self, machine: VirtualMachine) -> None:
        """Do nothing: an image does not run."""

    def stay_off(self, machine: VirtualMachine) -> bool:
        """Do nothing: nobody starts an image."""
        return False

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
    moment: datetime
    checkpoint: Checkpoint | None = None

    def tracking(self, disk: Disk) -> Tracking:
        """Say why all of the disk is looked at."""
        return Tracking(disk_id=disk.id, reason=UNTRACKED)

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


def _machine(path: Path) -> VirtualMachine:
    description = _read(path)
    return VirtualMachine(
        id=path.stem,
        name=description.name or path.stem,
        vcpus=description.vcpus,
        memory=description.memory * MiB,
        firmware=Firmware(kind=description.firmware, secure_boot=description.secure_boot),
        tpm=description.tpm,
        clock=description.clock,
        os_hint=description.os_hint,
        disks=tuple(_disk(path, entry) for entry in description.disks),
        nics=description.nics,
    )


def _summary_of(path: Path) -> MachineSummary:
    """Read what a list says of a machine, as far as its description can be read."""
    try:
        return _summary(path, _read(path))
    except TradewindError:
        return MachineSummary(id=path.stem, name=path.stem, power=PowerState.SHUT_OFF)


def _check(disk: Disk) -> None:
    if disk.format == "qcow2":
        for each in check_references(Path(disk.location), Path(disk.backend)):
            qemu_nbd.check_qcow2(each)


def _summary(path: Path, description: Description) -> MachineSummary:
    return MachineSummary(
        id=path.stem,
        name=description.name or path.stem,
        power=PowerState.SHUT_OFF,
        tags=description.tags,
    )


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
    if image_format == "qcow2":
        check_references(path, folder)
    return Disk(
        id=entry.name,
        capacity=qemu_nbd.virtual_size(path, image_format),
        allocation=path.stat().st_blocks * 512,
        format=image_format,
        location=str(path),
        backend=str(folder),
        bus=entry.bus,
    )
