# SPDX-License-Identifier: Apache-2.0
"""Machines that are disk images in a folder, each described by a small TOML file."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from tradewind.errors import NotFoundError, OptionError, TradewindError
from tradewind.model.finding import note
from tradewind.model.machine import (
    Disk,
    Firmware,
    MachineSummary,
    PowerState,
    VirtualMachine,
)
from tradewind.model.migrate import ShutDown
from tradewind.model.overview import MachineOverview
from tradewind.model.run import Run
from tradewind.model.source import GuestSeen, SourceFindings
from tradewind.model.storage import Checkpoint, Extent, Tracking
from tradewind.nearest import listed
from tradewind.ports import DiskReader, Snapshot
from tradewind.private_folders import private_folder
from tradewind.sources import nbd
from tradewind.sources.images import confinement, qemu
from tradewind.sources.images.description import DescribedDisk, Description, read_description
from tradewind.sources.images.door import open_image
from tradewind.units import MiB

_SUFFIX: Final = ".toml"
ASSUMED_BUS: Final = "virtio"
UNTRACKED: Final = "nothing tracks what changes in an image file"


@dataclass(frozen=True, slots=True)
class DiskImageSource:
    """The machines described in a folder, or the one that a single TOML file describes."""

    path: Path

    def machines(self) -> Iterable[MachineSummary]:
        """List the descriptions; of a faulty one no more is known than its name."""
        return [_summary_of(path) for path in self._descriptions()]

    def overview(self) -> Iterable[MachineOverview]:
        """Describe all machines; images are measured, and not checked as a whole."""
        return [
            MachineOverview.of(_summary_of(path), partial(_machine, path), lambda _disk: UNTRACKED)
            for path in self._descriptions()
        ]

    def inspect(self, machine_id: str) -> VirtualMachine:
        """Describe one machine; its images are checked, qcow2 as a whole."""
        return _machine(self._find(machine_id), whole=True)

    def preflight_source(self, machine: VirtualMachine) -> SourceFindings:
        """Return what every image has to have said; the images were checked by `inspect`."""
        return SourceFindings(
            findings=(
                *confinement.find().findings(),
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

    def start_with_host(self, machine: VirtualMachine, *, wanted: bool) -> None:
        """Do nothing: nobody starts an image."""

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
                f"no machine “{machine_id}” in {self.path}",
                f"there are: {listed(found, machine_id)}",
            )
        return found[machine_id]


@dataclass(frozen=True, slots=True)
class ImageSnapshot:
    """Image files, each at an NBD socket on this machine."""

    sockets: Mapping[str, Path]
    moment: datetime
    checkpoint: Checkpoint | None = None
    notes: tuple[str, ...] = ()

    def tracking(self, disk: Disk) -> Tracking:
        """Return why all of the disk is looked at."""
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


@contextmanager
def _serve(disk: Disk, sockets: Path, name: str) -> Iterator[Path]:
    """Open the image anew, and refuse anew: it may be another file since it was inspected."""
    with ExitStack() as stack:
        image = stack.enter_context(
            open_image(Path(disk.backend), Path(disk.location), disk.format)
        )
        yield stack.enter_context(qemu.served(image, sockets, name))


def _machine(path: Path, *, whole: bool = False) -> VirtualMachine:
    description = read_description(path)
    return VirtualMachine(
        id=path.stem,
        name=description.name or path.stem,
        vcpus=description.vcpus,
        memory=description.memory * MiB,
        firmware=Firmware(kind=description.firmware, secure_boot=description.secure_boot),
        tpm=description.tpm,
        clock=description.clock,
        os_hint=description.os_hint,
        disks=tuple(_disk(path, entry, whole=whole) for entry in description.disks),
        nics=description.nics,
    )


def _summary_of(path: Path) -> MachineSummary:
    """Read what a list says of a machine, as far as its description can be read."""
    try:
        return _summary(path, read_description(path))
    except TradewindError as error:
        return MachineSummary(
            id=path.stem, name=path.stem, power=PowerState.SHUT_OFF, problem=error.message
        )


def _summary(path: Path, description: Description) -> MachineSummary:
    return MachineSummary(
        id=path.stem,
        name=description.name or path.stem,
        power=PowerState.SHUT_OFF,
        tags=description.tags,
    )


def _disk(description: Path, entry: DescribedDisk, *, whole: bool) -> Disk:
    folder = description.parent.resolve()
    path = Path(os.path.realpath(folder / entry.file))
    if not path.is_relative_to(folder) or path == folder:
        raise OptionError(
            f"{description}: {entry.file} is outside the folder", "put the image into the folder"
        )
    with _named(description, entry, folder), open_image(folder, path, entry.format or "") as image:
        capacity = qemu.measure(image)
        if whole:
            qemu.check(image)
        return Disk(
            id=entry.name,
            capacity=capacity,
            allocation=image.allocation,
            format=image.format,
            location=str(path),
            backend=str(folder),
            bus=entry.bus or ASSUMED_BUS,
            bus_said=entry.bus is not None,
        )


@contextmanager
def _named(description: Path, entry: DescribedDisk, folder: Path) -> Iterator[None]:
    """Say of a file that is not there where it is named."""
    try:
        yield
    except NotFoundError as error:
        if error.message != f"{folder / entry.file} is missing":
            raise
        raise NotFoundError(
            f"{description}: there is no file {entry.file}", f"put it in {folder}"
        ) from None
