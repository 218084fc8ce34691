# SPDX-License-Identifier: Apache-2.0
"""Drivers chosen from an ISO, which genisoimage makes from a tree."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes import virtio_win
from tradewind.errors import BadInputError, ImageFormatError, NotFoundError
from tradewind.model.windows import Architecture, Product
from tradewind.morphing.windows.drivers.folders import ChosenDriver, choose, machine_of, systems
from tradewind.morphing.windows.drivers.target import Target

AMD64, X86 = Architecture.AMD64, Architecture.X86
CLIENT, SERVER = Product.CLIENT, Product.SERVER
WIN10 = Target(AMD64, (10, 0), 19045, CLIENT)


def chosen(root: Path, target: Target = WIN10, names: str = "-r") -> list[ChosenDriver]:
    iso = root.with_suffix(".iso")
    subprocess.run(
        ["genisoimage", "-quiet", "-V", "virtio-win", names, "-o", iso, root], check=True
    )
    return choose(iso, target)


@pytest.mark.parametrize(
    ("target", "folders"),
    [
        (Target(AMD64, (6, 1), 7601, CLIENT), "w7"),
        (Target(AMD64, (6, 2), 9200, CLIENT), "w8 w7"),
        (Target(AMD64, (6, 3), 9600, CLIENT), "w8.1 w8 w7"),
        (WIN10, "w10 w8.1 w8 w7"),
        (Target(AMD64, (10, 0), 21999, CLIENT), "w10 w8.1 w8 w7"),
        (Target(AMD64, (10, 0), 26100, CLIENT), "w11 w10 w8.1 w8 w7"),
        (Target(AMD64, (6, 1), 7601, SERVER), "2k8r2"),
        (Target(AMD64, (6, 3), 9600, SERVER), "2k12r2 2k12 2k8r2"),
        (Target(AMD64, (10, 0), 14393, Product.DOMAIN_CONTROLLER), "2k16 w10 2k12r2 2k12 2k8r2"),
        (Target(AMD64, (10, 0), 20348, SERVER), "2k22 2k19 2k16 w10 2k12r2 2k12 2k8r2"),
        (Target(AMD64, (10, 0), 30000, SERVER), "2k25 2k22 2k19 2k16 w10 2k12r2 2k12 2k8r2"),
    ],
    ids=str,
)
def test_folder_of_the_version_comes_before_lower_ones(target: Target, folders: str) -> None:
    assert systems(target) == tuple(folders.split())


def test_windows_that_no_driver_is_for_is_refused_with_what_would_be_needed() -> None:
    with pytest.raises(NotFoundError, match=r"Windows 6.0.6003 \(server, x86\) is older than") as e:
        systems(Target(X86, (6, 0), 6003, SERVER))
    assert "skip_os_morphing" in e.value.hint


@pytest.mark.parametrize("names", ["-r", "-J"])
@pytest.mark.parametrize(
    ("target", "folder"),
    [
        (WIN10, "w10/amd64"),
        (Target(X86, (6, 1), 7601, CLIENT), "w7/x86"),
        (Target(AMD64, (10, 0), 22631, CLIENT), "w11/amd64"),
        (Target(AMD64, (10, 0), 17763, SERVER), "2k19/amd64"),
    ],
    ids=str,
)
def test_both_storage_drivers_are_chosen(
    tmp_path: Path, target: Target, folder: str, names: str
) -> None:
    found = chosen(virtio_win.make(tmp_path / "iso"), target, names)
    assert [driver.folder for driver in found] == [f"viostor/{folder}", f"vioscsi/{folder}"]
    assert [driver.package.service.name for driver in found] == ["viostor", "vioscsi"]
    assert {name for driver in found for name in driver.contents} == {
        f"{driver}.{ending}"
        for driver in ("viostor", "vioscsi")
        for ending in ("inf", "cat", "sys")
    }
    assert machine_of(found[0].contents["viostor.sys"]) == (0x14C if target.architecture == X86
                                                            else 0x8664)  # fmt: skip


def test_next_lower_folder_that_exists_is_taken(tmp_path: Path) -> None:
    root = virtio_win.make(tmp_path / "iso", systems=("2k8R2", "2k16", "2k25"))
    found = chosen(root, Target(AMD64, (10, 0), 20348, SERVER))
    assert found[0].folder == "viostor/2k16/amd64"


@pytest.mark.parametrize(
    "target", [Target(AMD64, (10, 0), 14393, CLIENT), Target(X86, (10, 0), 20348, SERVER)], ids=str
)
def test_missing_folder_is_refused_with_those_that_are_there(
    tmp_path: Path, target: Target
) -> None:
    root = virtio_win.make(tmp_path / "iso", systems=("2k25", "w11"))
    with pytest.raises(NotFoundError, match="the driver ISO has no viostor") as refused:
        chosen(root, target)
    assert refused.value.message.endswith("but viostor/2k25/amd64, viostor/w11/amd64")
    assert "windows_virtio_iso_url" in refused.value.hint


SYS, CAT, INF = "vioscsi.sys", "vioscsi.cat", "vioscsi.inf"


def write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / CAT).unlink(), "is unsigned: its catalog vioscsi.cat is missing"),
        (
            write(CAT, b"<html>404</html>"),
            "its catalog vioscsi/w10/amd64/vioscsi.cat has no signature",
        ),
        (write(CAT, b"0\x82\1\0" + bytes(99)), "has no signature"),
        (write(CAT, b""), "is unsigned: its catalog vioscsi.cat is missing or empty"),
        (lambda folder: (folder / SYS).unlink(), "the file vioscsi.sys is missing"),
        (lambda folder: (folder / INF).unlink(), "the file vioscsi.inf is missing"),
        (write(SYS, virtio_win.program("x86")), "is for machine 0x14c, and not for amd64"),
        (write(SYS, virtio_win.program("ARM64")), "is for machine 0xaa64, and not for amd64"),
        (write(SYS, b"MZ"), "is no program of Windows"),
        (write(SYS, b"MZ" + b"\xff" * 100), "is no program of Windows"),
        (write(INF, b"\0\0\0"), "is no text"),
        (write(INF, virtio_win.inf("vioscsi", "x86").encode()), "is not made for Windows 10"),
        (
            write(INF, virtio_win.inf("vioscsi").replace("CatalogFile", "X").encode()),
            "is unsigned: it names no catalog",
        ),
        (
            write(
                INF, virtio_win.inf("vioscsi").replace("BOOT_START = 0", "BOOT_START = 3").encode()
            ),
            "is not one that Windows boots by",
        ),
    ],
)
def test_driver_that_windows_would_not_load_is_refused(
    tmp_path: Path, spoil: Callable[[Path], object], reason: str
) -> None:
    root = virtio_win.make(tmp_path / "iso", systems=("w8", "w10"))
    spoil(root / "vioscsi" / "w10" / "amd64")
    with pytest.raises(BadInputError, match=reason) as refused:
        chosen(root)
    assert "vioscsi" in refused.value.message
    assert "windows_virtio_iso_url" in refused.value.hint


def test_file_that_is_no_iso_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "virtio.iso").write_bytes(b"<html>404</html>")
    with pytest.raises(ImageFormatError, match=r"virtio\.iso is no ISO image that can be read"):
        choose(tmp_path / "virtio.iso", WIN10)
