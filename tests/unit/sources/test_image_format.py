# SPDX-License-Identifier: Apache-2.0
import subprocess
from pathlib import Path

import pytest

from tradewind.errors import ImageFormatError
from tradewind.sources.image_format import check_format, check_references, detect

FORMATS = ["vmdk", "vhdx", "vpc", "vdi", "qed", "qcow", "parallels"]


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
        check_format(path, None)
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
        check_format(path, None)
    assert caught.value.hint == "unpack it first"


def test_qcow2_is_recognised(tmp_path: Path) -> None:
    for compat in ("0.10", "1.1"):
        path = create(tmp_path / compat, "qcow2", "-o", f"compat={compat}")
        assert check_format(path, None) == check_format(path, "qcow2") == "qcow2"


@pytest.mark.parametrize("content", [b"", b"\x01", bytes(100), bytes(1 << 20)])
def test_raw_has_to_be_declared(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(content)
    with pytest.raises(ImageFormatError, match=r"disk\.img: the format is unknown") as caught:
        check_format(path, None)
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
        "link.qcow2",
        'json:{"driver":"raw","file":{"driver":"file","filename":"/etc/passwd"}}',
    ],
)
def test_a_backing_file_elsewhere_is_refused(tmp_path: Path, backing: str) -> None:
    create(tmp_path / "outside.qcow2", "qcow2")
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "link.qcow2").symlink_to(tmp_path / "outside.qcow2")
    path = overlay(folder / "disk.qcow2", backing, "-F", "qcow2")
    with pytest.raises(ImageFormatError, match="backing file outside its folder"):
        check_references(path, folder)


def test_the_whole_chain_is_looked_at(tmp_path: Path) -> None:
    overlay(tmp_path / "base.qcow2", "/etc/passwd", "-F", "raw")
    overlay(tmp_path / "middle.qcow2", "base.qcow2", "-F", "qcow2")
    path = overlay(tmp_path / "top.qcow2", "middle.qcow2", "-F", "qcow2")
    with pytest.raises(ImageFormatError, match=r"base\.qcow2 has a backing file outside"):
        check_references(path, tmp_path)


def test_a_chain_in_the_folder_is_fine(tmp_path: Path) -> None:
    (tmp_path / "base.img").write_bytes(bytes(1 << 20))
    overlay(tmp_path / "middle.qcow2", "base.img", "-F", "raw")
    path = overlay(tmp_path / "top.qcow2", "middle.qcow2", "-F", "qcow2")
    check_references(path, tmp_path)


def test_a_chain_that_bites_its_tail_is_refused(tmp_path: Path) -> None:
    path = overlay(tmp_path / "a.qcow2", "b.qcow2", "-F", "qcow2")
    overlay(tmp_path / "b.qcow2", "a.qcow2", "-F", "qcow2")
    with pytest.raises(ImageFormatError, match="more than 32 backing files"):
        check_references(path, tmp_path)


def test_a_missing_backing_file_is_named(tmp_path: Path) -> None:
    path = overlay(tmp_path / "a.qcow2", "gone.qcow2", "-F", "qcow2")
    with pytest.raises(ImageFormatError, match=r"gone\.qcow2 is missing"):
        check_references(path, tmp_path)


def test_an_external_data_file_is_refused(tmp_path: Path) -> None:
    path = create(tmp_path / "a.qcow2", "qcow2", "-o", f"data_file={tmp_path / 'data'}")
    with pytest.raises(ImageFormatError, match="keeps its data in another file"):
        check_references(path, tmp_path)


def test_a_damaged_header_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.qcow2"
    path.write_bytes(b"QFI\xfb" + (3).to_bytes(4, "big") + b"\xff" * 20)
    with pytest.raises(ImageFormatError, match="header is damaged"):
        check_references(path, tmp_path)
