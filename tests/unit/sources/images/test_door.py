# SPDX-License-Identifier: Apache-2.0

import subprocess
from pathlib import Path

import pytest

from tests.fakes.images import forge_qcow2
from tradewind.errors import ImageFormatError
from tradewind.sources.images import formats
from tradewind.sources.images.door import CHAIN_LIMIT, open_image
from tradewind.sources.images.opening import opened

FORMATS = ["vmdk", "vhdx", "vpc", "vdi", "qed", "qcow", "parallels"]


def check_format(path: Path, declared: str = "") -> str:
    with opened(path.parent, path) as file:
        return formats.format_of(file, declared)


def detect(path: Path) -> str:
    with opened(path.parent, path) as file:
        return formats.detect(file)


def chain(path: Path, folder: Path, declared: str = "") -> list[tuple[str, str]]:
    with open_image(folder, path, declared) as image:
        return [(layer.file.path.name, layer.format) for layer in image.layers]


def create(path: Path, image_format: str, *options: str) -> Path:
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", image_format, *options, path, "1M"], check=True
    )
    return path


@pytest.mark.parametrize("image_format", FORMATS)
def test_formats_that_cannot_be_read_are_named_with_the_remedy(
    tmp_path: Path, image_format: str
) -> None:
    path = create(tmp_path / "disk.img", image_format)
    with pytest.raises(ImageFormatError) as caught:
        check_format(path)
    assert str(path) in caught.value.message
    assert image_format in caught.value.message.lower()
    assert "qemu-img convert" in caught.value.hint


def test_a_vmdk_of_several_files_and_a_fixed_vhd_are_recognised(tmp_path: Path) -> None:
    split = create(tmp_path / "a.vmdk", "vmdk", "-o", "subformat=monolithicFlat")
    fixed = create(tmp_path / "a.vhd", "vpc", "-o", "subformat=fixed")
    assert detect(split) == "VMDK"
    assert detect(fixed) == "VPC (VHD)"


@pytest.mark.parametrize(
    ("head", "name"),
    [(b"PK\x03\x04", "ZIP"), (b"\x1f\x8b", "gzip"), (bytes(257) + b"ustar", "OVA")],
)
def test_packed_images_have_to_be_unpacked(tmp_path: Path, head: bytes, name: str) -> None:
    path = tmp_path / "packed"
    path.write_bytes(head + bytes(1000))
    with pytest.raises(ImageFormatError, match=name) as caught:
        check_format(path)
    assert caught.value.hint == "unpack it first"


def test_qcow2_is_recognised(tmp_path: Path) -> None:
    for compat in ("0.10", "1.1"):
        path = create(tmp_path / compat, "qcow2", "-o", f"compat={compat}")
        assert check_format(path) == check_format(path, "qcow2") == "qcow2"


@pytest.mark.parametrize("content", [b"\x01", bytes(100), bytes(1 << 20)])
def test_raw_has_to_be_declared(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(content)
    with pytest.raises(ImageFormatError, match=r"disk\.img: the format is unknown") as caught:
        check_format(path)
    assert 'format = "raw"' in caught.value.hint
    assert check_format(path, "raw") == "raw"


def test_a_raw_disk_whose_guest_wrote_a_qcow2_header_stays_raw(tmp_path: Path) -> None:
    path = create(tmp_path / "trap.img", "qcow2", "-b", "/etc/passwd", "-F", "raw", "-u")
    assert check_format(path, "raw") == "raw"


def test_a_declaration_that_is_not_true_is_refused(tmp_path: Path) -> None:
    path = create(tmp_path / "a", "vdi")
    with pytest.raises(ImageFormatError, match="declared as qcow2 and is VDI"):
        check_format(path, "qcow2")
    with pytest.raises(ImageFormatError, match="'vdi' cannot be read"):
        check_format(path, "vdi")


def overlay(path: Path, backing: str, *options: str) -> Path:
    return create(path, "qcow2", "-u", "-b", backing, *options)


@pytest.mark.parametrize(
    "backing",
    [
        "/etc/passwd",
        "../outside.qcow2",
        "inner/../../outside.qcow2",
        "nbd://198.18.0.1/x",
        'json:{"driver":"raw","file":{"driver":"file","filename":"/etc/passwd"}}',
    ],
)
def test_a_backing_file_elsewhere_is_refused(tmp_path: Path, backing: str) -> None:
    create(tmp_path / "outside.qcow2", "qcow2")
    folder = tmp_path / "images"
    folder.mkdir()
    path = overlay(folder / "disk.qcow2", backing, "-F", "qcow2")
    with pytest.raises(ImageFormatError, match="backing file outside its folder"):
        chain(path, folder)


def test_the_whole_chain_is_looked_at(tmp_path: Path) -> None:
    overlay(tmp_path / "base.qcow2", "/etc/passwd", "-F", "raw")
    overlay(tmp_path / "middle.qcow2", "base.qcow2", "-F", "qcow2")
    path = overlay(tmp_path / "top.qcow2", "middle.qcow2", "-F", "qcow2")
    with pytest.raises(ImageFormatError, match=r"base\.qcow2 has a backing file outside"):
        chain(path, tmp_path)


def test_a_chain_in_the_folder_is_fine(tmp_path: Path) -> None:
    (tmp_path / "base.img").write_bytes(bytes(1 << 20))
    overlay(tmp_path / "middle.qcow2", "base.img", "-F", "raw")
    path = overlay(tmp_path / "top.qcow2", "middle.qcow2", "-F", "qcow2")
    assert chain(path, tmp_path) == [
        ("top.qcow2", "qcow2"),
        ("middle.qcow2", "qcow2"),
        ("base.img", "raw"),
    ]


def test_a_backing_file_in_a_folder_below_and_by_its_full_name_is_fine(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    create(tmp_path / "below" / "base.qcow2", "qcow2")
    overlay(tmp_path / "below" / "middle.qcow2", "base.qcow2", "-F", "qcow2")
    overlay(tmp_path / "top.qcow2", "below/../below/middle.qcow2", "-F", "qcow2")
    path = overlay(tmp_path / "full.qcow2", str(tmp_path / "top.qcow2"), "-F", "qcow2")
    names = [name for name, _ in chain(path, tmp_path)]
    assert names == ["full.qcow2", "top.qcow2", "middle.qcow2", "base.qcow2"]


def test_the_format_of_a_raw_backing_file_has_to_be_said(tmp_path: Path) -> None:
    (tmp_path / "base.img").write_bytes(bytes(1 << 20))
    path = forge_qcow2(tmp_path / "top.qcow2", b"", b"base.img")
    with pytest.raises(ImageFormatError, match="the format is unknown") as caught:
        chain(path, tmp_path)
    assert "qemu-img rebase -f qcow2 -u -b base.img -F raw top.qcow2" in caught.value.hint


@pytest.mark.parametrize("backing", ["link.qcow2", "linked/outside.qcow2"])
def test_a_backing_file_behind_a_link_is_refused(tmp_path: Path, backing: str) -> None:
    create(tmp_path / "outside.qcow2", "qcow2")
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "link.qcow2").symlink_to(tmp_path / "outside.qcow2")
    (folder / "linked").symlink_to(tmp_path)
    path = overlay(folder / "disk.qcow2", backing, "-F", "qcow2")
    with pytest.raises(ImageFormatError, match=r"disk\.qcow2: its backing file: .*symbolic link"):
        chain(path, folder)


def test_a_chain_that_bites_its_tail_is_refused(tmp_path: Path) -> None:
    path = overlay(tmp_path / "a.qcow2", "b.qcow2", "-F", "qcow2")
    overlay(tmp_path / "b.qcow2", "a.qcow2", "-F", "qcow2")
    with pytest.raises(ImageFormatError, match=r"b\.qcow2: its backing file .*a\.qcow2 has been"):
        chain(path, tmp_path)
    path = overlay(tmp_path / "own.qcow2", "own.qcow2", "-F", "qcow2")
    with pytest.raises(ImageFormatError, match="has been in the chain already"):
        chain(path, tmp_path)


def test_a_chain_has_a_limit(tmp_path: Path) -> None:
    create(tmp_path / "0.qcow2", "qcow2")
    for number in range(1, CHAIN_LIMIT + 2):
        overlay(tmp_path / f"{number}.qcow2", f"{number - 1}.qcow2", "-F", "qcow2")
    assert len(chain(tmp_path / f"{CHAIN_LIMIT}.qcow2", tmp_path)) == CHAIN_LIMIT + 1
    with pytest.raises(ImageFormatError, match="more than 32 backing files"):
        chain(tmp_path / f"{CHAIN_LIMIT + 1}.qcow2", tmp_path)


def test_nothing_stays_open(tmp_path: Path) -> None:
    create(tmp_path / "base.qcow2", "qcow2")
    path = overlay(tmp_path / "top.qcow2", "base.qcow2", "-F", "qcow2")
    bad = overlay(tmp_path / "bad.qcow2", "top.qcow2", "-F", "raw")
    before = sorted(Path("/proc/self/fd").iterdir())
    chain(path, tmp_path)
    with pytest.raises(ImageFormatError):
        chain(overlay(tmp_path / "worse.qcow2", "/etc/passwd", "-F", "raw"), tmp_path)
    assert chain(bad, tmp_path)[1] == ("top.qcow2", "raw")
    assert sorted(Path("/proc/self/fd").iterdir()) == before


def test_a_missing_backing_file_is_named(tmp_path: Path) -> None:
    path = overlay(tmp_path / "a.qcow2", "gone.qcow2", "-F", "qcow2")
    with pytest.raises(ImageFormatError, match=r"gone\.qcow2 is missing"):
        chain(path, tmp_path)


def test_an_external_data_file_is_refused(tmp_path: Path) -> None:
    path = create(tmp_path / "a.qcow2", "qcow2", "-o", f"data_file={tmp_path / 'data'}")
    with pytest.raises(ImageFormatError, match="keeps its data in another file"):
        chain(path, tmp_path)


def test_a_damaged_header_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.qcow2"
    path.write_bytes(b"QFI\xfb" + (3).to_bytes(4, "big") + b"\xff" * 20)
    with pytest.raises(ImageFormatError, match="header is damaged"):
        chain(path, tmp_path)
