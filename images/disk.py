# SPDX-License-Identifier: Apache-2.0
"""Make disk images out of file trees, without loop devices.

Layout of every disk (BIOS, MBR):

    sector 0      boot code (440 bytes), disk signature, partition table, 55 AA
    sector 1...   GRUB's core.img, on the disk that starts the machine
    sector 2048   one ext4 partition, to the end of the disk

GRUB's own boot.img looks for its second stage at sector 1, and core.img's first sector
(diskboot.img) for the rest at sector 2: exactly where they are put here, so neither needs the
patching that grub-install does through device nodes.
"""

import struct
from pathlib import Path
from typing import Final
from uuid import UUID

from images.commands import run
from images.recipe import DiskRecipe
from tradewind.errors import TradewindError
from tradewind.units import GiB

SECTOR: Final = 512
FIRST_SECTOR: Final = 2048
_BOOT_CODE: Final = 440
_ACTIVE: Final = 0x80
_LINUX: Final = 0x83
# Cylinder, head and sector that say "beyond what CHS can tell": everybody reads the LBA fields.
_NO_CHS: Final = b"\xfe\xff\xff"
_GRUB_MODULES: Final = (
    *("biosdisk", "part_msdos", "ext2", "normal", "linux", "search", "configfile"),
    *("test", "echo", "serial", "terminal"),
)


def make_image(image: Path, disk: DiskRecipe, uuid: UUID, tree: Path) -> None:
    """Make a raw, sparse image with the content of `tree`; the tables of ext4 are written now.

    Without lazy_*_init=0 the guest's kernel would write them in the background after its first
    mount, hundreds of MiB of zeroes that would have to be moved as dirty blocks.
    """
    size = disk.size_gib * GiB
    sectors = size // SECTOR - FIRST_SECTOR
    with image.open("wb") as file:
        file.write(mbr(uuid.fields[0] or 1, sectors))
        file.truncate(size)
    features = ["-O", disk.features] if disk.features else []
    offset = f"offset={FIRST_SECTOR * SECTOR}"
    # fmt: off
    run(["mke2fs", "-q", "-F", "-t", "ext4", "-L", disk.label, "-U", str(uuid), *features,
         "-E", f"{offset},lazy_itable_init=0,lazy_journal_init=0", "-d", tree,
         image, f"{sectors * SECTOR // 1024}k"])
    # fmt: on


def make_bootable(image: Path, tree: Path, work: Path) -> None:
    """Put GRUB for a BIOS in front of the partition.

    The tree's own GRUB is used where it has one, so that core.img and the modules that its
    grub.cfg loads are of one version.
    """
    modules = tree / "usr/lib/grub/i386-pc"
    if not modules.is_dir():
        modules = Path("/usr/lib/grub/i386-pc")
    core = work / "core.img"
    # fmt: off
    run(["grub-mkimage", "--directory", modules, "--format", "i386-pc", "--output", core,
         "--prefix", "(,msdos1)/boot/grub", *_GRUB_MODULES])
    # fmt: on
    if core.stat().st_size > (FIRST_SECTOR - 1) * SECTOR:
        raise TradewindError(f"{image.name}: GRUB does not fit in front of the first partition")
    with image.open("r+b") as file:
        file.write((modules / "boot.img").read_bytes()[:_BOOT_CODE])
        file.seek(SECTOR)
        file.write(core.read_bytes())


def convert(raw: Path, qcow2: Path, *, compressed: bool) -> None:
    """Write the raw image as qcow2; clusters that hold only zeroes take no room."""
    options = "compat=1.1,cluster_size=65536,lazy_refcounts=off"
    squeeze = ["-c", "-o", "compression_type=zstd"] if compressed else []
    # fmt: off
    run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", options, *squeeze, raw, qcow2])
    # fmt: on


def mbr(signature: int, sectors: int) -> bytes:
    """Lay out sector 0, without boot code: one active Linux partition from FIRST_SECTOR on."""
    entry = struct.pack("<B3sB3sII", _ACTIVE, _NO_CHS, _LINUX, _NO_CHS, FIRST_SECTOR, sectors)
    head = bytes(_BOOT_CODE) + struct.pack("<IH", signature, 0)
    return head + entry.ljust(64, b"\0") + b"\x55\xaa"
