# SPDX-License-Identifier: Apache-2.0
"""The first sector, and a whole small disk made by the real tools where they are installed."""

import shutil
import struct
import subprocess
from pathlib import Path
from uuid import UUID

import pytest

from images import disk
from images.recipe import DiskRecipe
from tradewind.units import GiB, MiB

NAME = UUID("5a1e0f00-0000-4000-8000-000000000001")


def test_the_first_sector_holds_one_active_linux_partition() -> None:
    sector = disk.mbr(0x11223344, 0xABCDEF)
    assert len(sector) == 512
    assert sector[:440] == bytes(440)
    assert sector[440:446] == b"\x44\x33\x22\x11\0\0"
    status, kind, first, count = struct.unpack("<B3xB3xII", sector[446:462])
    assert (status, kind, first, count) == (0x80, 0x83, 2048, 0xABCDEF)
    assert sector[462:510] == bytes(48)
    assert sector[510:] == b"\x55\xaa"


@pytest.mark.skipif(not shutil.which("debugfs"), reason="e2fsprogs is not installed")
def test_a_tree_becomes_a_sparse_disk(tmp_path: Path) -> None:
    tree, image = tmp_path / "tree", tmp_path / "disk.raw"
    tree.mkdir()
    (tree / "greeting").write_text("hello")
    spec = DiskRecipe(name="data", size_gib=1, label="data", mount="/srv")
    disk.make_image(image, spec, NAME, tree)
    assert image.stat().st_size == GiB
    assert image.stat().st_blocks * 512 < 64 * MiB
    partition = f"{image}?offset={MiB}"
    shown = subprocess.run(
        ["debugfs", "-R", "cat /greeting", partition], capture_output=True, check=True
    )
    assert shown.stdout == b"hello"
    header = subprocess.run(["dumpe2fs", "-h", partition], capture_output=True, check=True)
    fields = dict(line.split(":", 1) for line in header.stdout.decode().splitlines() if ":" in line)
    assert fields["Filesystem UUID"].strip() == str(NAME)
    assert fields["Filesystem volume name"].strip() == "data"
    assert int(fields["Block count"]) * int(fields["Block size"]) == GiB - MiB
