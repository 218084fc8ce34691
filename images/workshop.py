# SPDX-License-Identifier: Apache-2.0
"""A virtual machine with the tools to stack up disks: the worker image, with blank disks attached.

Its kernel is started directly, by a BIOS or by UEFI firmware, whichever the guest is for: only so
can the guest's own boot loader be installed as on real hardware, with a boot entry in the
firmware's variables.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from images import boot, qemu, recipe
from images.boot import BootedImage
from images.cache import BuiltImage
from images.commands import run
from images.disk import FIRST_SECTOR, SECTOR
from tradewind.errors import TradewindError

_START_SECONDS: Final = 300


@contextmanager
def opened(
    worker: BuiltImage, disks: Mapping[str, Path], variables: Path | None, work: Path
) -> Iterator[BootedImage]:
    """Lend a running workshop; at the end it is powered off in order, so that all is written.

    `disks` are files by the serial they get: qcow2 to be written, raw to be read. `variables` are
    those of the UEFI firmware, changed in place; None starts from a BIOS. `work` is for files.
    """
    wanted = recipe.load(worker.name)
    kernel, initramfs = _kernel(worker, work)
    more = [
        *qemu.kernel(kernel, initramfs, _arguments(worker)),
        *(word for serial, disk in disks.items() for word in qemu.named_drive(serial, disk)),
        *(qemu.firmware(variables) if variables else ()),
    ]
    with boot.started(worker, wanted.hardware, more) as guest:
        guest.wait_for_login(_START_SECONDS)
        kernel.unlink()
        initramfs.unlink()
        yield guest
        guest.power_off()


def _kernel(worker: BuiltImage, work: Path) -> tuple[Path, Path]:
    """Take the kernel and its initramfs out of the image, without mounting it."""
    raw = work / "worker.raw"
    run(["qemu-img", "convert", "-O", "raw", worker.disks[0], raw])
    filesystem = f"{raw}?offset={FIRST_SECTOR * SECTOR}"
    listing = run(["debugfs", "-R", "ls -p /boot", filesystem])
    found = [_dumped(filesystem, listing, name, work) for name in ("vmlinuz", "initrd.img")]
    raw.unlink()
    return found[0], found[1]


def _dumped(filesystem: str, listing: str, name: str, work: Path) -> Path:
    match = re.search(rf"/({re.escape(name)}-[^/]+)/", listing)
    if not match:
        raise TradewindError(f"the worker image has no {name} in its /boot")
    run(["debugfs", "-R", f"dump /boot/{match[1]} {work / name}", filesystem])
    return work / name


def _arguments(worker: BuiltImage) -> str:
    wanted = recipe.load(worker.name)
    root = recipe.filesystem_uuid(wanted, wanted.disks[0])
    return f"root=UUID={root} ro {wanted.kernel_arguments}"
