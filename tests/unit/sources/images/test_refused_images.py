# SPDX-License-Identifier: Apache-2.0
"""Images that cannot be moved as they are: what is said, and that the remedy works."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.fakes.images import forge_qcow2, make_raw
from tradewind.errors import ImageFormatError, OptionError
from tradewind.sources.images.source import DiskImageSource

MiB = 1 << 20
TOML = 'vcpus = 1\nmemory = 256\n[[disks]]\nfile = "{}"\n'
KEY = "a passphrase"


def refusal(folder: Path, name: str, more: str = "") -> ImageFormatError:
    (folder / "web.toml").write_text(TOML.format(name) + more)
    with pytest.raises(ImageFormatError) as caught:
        DiskImageSource(folder).inspect("web")
    return caught.value


def accepted(folder: Path, name: str) -> int:
    (folder / "web.toml").write_text(TOML.format(name))
    (disk,) = DiskImageSource(folder).inspect("web").disks
    return disk.capacity


def obey(hint: str, folder: Path) -> None:
    """Run the command of a remedy as a person does, in the folder of the images."""
    found = re.search(r"qemu-img [^;]*", hint)
    assert found, hint
    subprocess.run(shlex.split(found[0]), cwd=folder, check=True, capture_output=True, timeout=60)


def qemu_img(folder: Path, *argv: str) -> None:
    subprocess.run(["qemu-img", *argv], cwd=folder, check=True, capture_output=True, timeout=60)


def encrypted(folder: Path, name: str, form: str, options: str) -> None:
    """Make one; QEMU cannot always measure how fast this machine derives a key from a word."""
    (folder / "KEY").write_text(KEY)
    argv = ["qemu-img", "create", "-f", form, "--object", "secret,id=s,file=KEY", "-o", options]
    for _ in range(20):
        made = subprocess.run([*argv, name, "4M"], cwd=folder, capture_output=True, check=False)
        if b"CPU usage" not in made.stderr:
            break
    assert made.returncode == 0, made.stderr


@pytest.mark.parametrize(
    ("name", "form", "options", "said"),
    [
        ("web.qcow2", "qcow2", "encrypt.format=aes,encrypt.key-secret=s", "is encrypted (aes)"),
        (
            "my web,1.qcow2",
            "qcow2",
            "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10",
            "is encrypted (luks)",
        ),
        ("web.luks", "luks", "key-secret=s,iter-time=10", "is encrypted (LUKS)"),
    ],
)
def test_an_encrypted_image_is_decrypted_by_the_remedy(
    tmp_path: Path, name: str, form: str, options: str, said: str
) -> None:
    encrypted(tmp_path, name, form, options)
    error = refusal(tmp_path, name)
    assert error.message == f"{tmp_path / name} {said}"
    obey(error.hint, tmp_path)
    assert accepted(tmp_path, f"{Path(name).stem}-plain.qcow2") == 4 * MiB


@pytest.mark.parametrize("more", ["", 'format = "raw"\n', 'format = "qcow2"\n'])
def test_an_empty_file_is_no_disk(tmp_path: Path, more: str) -> None:
    (tmp_path / "web.img").touch()
    error = refusal(tmp_path, "web.img", more)
    assert error.message == f"{tmp_path / 'web.img'} is empty: not one byte"
    assert "copy the image here again" in error.hint


def test_a_format_that_is_said_wrongly_is_named(tmp_path: Path) -> None:
    (tmp_path / "web.luks").write_bytes(b"LUKS\xba\xbe".ljust(4096, b"\0"))
    error = refusal(tmp_path, "web.luks", 'format = "luks"\n')
    assert error.message.endswith("web.luks is encrypted (LUKS)")
    qemu_img(tmp_path, "create", "-f", "qcow2", "web.qcow2", "1M")
    error = refusal(tmp_path, "web.qcow2", 'format = "vmdk"\n')
    assert error.message.endswith("web.qcow2 is declared as vmdk and is qcow2")
    assert error.hint == "correct the format in the description"


def test_a_disk_without_a_byte_is_none(tmp_path: Path) -> None:
    qemu_img(tmp_path, "create", "-f", "qcow2", "web.qcow2", "0")
    error = refusal(tmp_path, "web.qcow2")
    assert error.message == f"{tmp_path / 'web.qcow2'} holds a disk of 0 bytes"


@pytest.mark.parametrize(("folder", "base"), [("", "b.img"), ("", "my base.img"), ("sub", "b.img")])
def test_a_raw_base_without_a_format_gets_one_by_the_remedy(
    tmp_path: Path, folder: str, base: str
) -> None:
    """QEMU's own tools wrote no format before version 6.1 unless they were told one."""
    below = os.path.normpath(f"./{folder}/{base}")
    (tmp_path / folder).mkdir(exist_ok=True)
    make_raw(tmp_path / below, MiB, {})
    forge_qcow2(tmp_path / "web.qcow2", b"", below.encode(), MiB)
    error = refusal(tmp_path, "web.qcow2")
    assert error.message == f"{tmp_path / below}: the format is unknown"
    obey(error.hint, tmp_path)
    assert accepted(tmp_path, "web.qcow2") == MiB


def test_a_base_of_another_format_than_is_said_gets_it_by_the_remedy(tmp_path: Path) -> None:
    make_raw(tmp_path / "b.img", MiB, {})
    qemu_img(tmp_path, "create", "-f", "qcow2", "-b", "b.img", "-F", "raw", "web.qcow2")
    qemu_img(tmp_path, "rebase", "-f", "qcow2", "-u", "-b", "b.img", "-F", "qcow2", "web.qcow2")
    error = refusal(tmp_path, "web.qcow2")
    assert error.message.endswith("b.img is declared as qcow2 and is something without magic bytes")
    obey(error.hint, tmp_path)
    assert accepted(tmp_path, "web.qcow2") == MiB


def test_a_base_that_cannot_be_read_is_converted_with_what_is_over_it(tmp_path: Path) -> None:
    qemu_img(tmp_path, "create", "-f", "vmdk", "b.vmdk", "1M")
    qemu_img(tmp_path, "create", "-f", "qcow2", "-b", "b.vmdk", "-F", "vmdk", "web.qcow2")
    qemu_img(tmp_path, "rebase", "-f", "qcow2", "-u", "-b", "b.vmdk", "-F", "qcow2", "web.qcow2")
    error = refusal(tmp_path, "web.qcow2")
    assert error.message.endswith("b.vmdk is declared as qcow2 and is VMDK")
    assert "qemu-img convert -O qcow2 web.qcow2" in error.hint


def test_an_image_alone_says_its_format_in_the_description(tmp_path: Path) -> None:
    make_raw(tmp_path / "web.img", MiB, {})
    error = refusal(tmp_path, "web.img")
    assert error.hint == 'if it is a raw disk, say format = "raw" in the description'


FAULTY = [
    "vcpus = ",
    "",
    "vcpus = 1\nmemory = 1\n",
    TOML.format("web.qcow2").replace("1", "'many'"),
    "a = " + "[" * 5000,
    "vcpus = " + "9" * 5000,
    "\0",
]


@pytest.mark.parametrize("faulty", FAULTY)
def test_a_faulty_description_ends_no_list(tmp_path: Path, faulty: str) -> None:
    (tmp_path / "db.toml").write_text(TOML.format("db.qcow2") + 'id = "root"\n')
    (tmp_path / "web.toml").write_text(faulty)
    source = DiskImageSource(tmp_path)
    db, web = source.machines()
    assert (db.id, db.problem) == ("db", "")
    assert web.id == "web"
    assert web.problem.startswith(f"{tmp_path / 'web.toml'}")
    assert [each.problem for each in source.overview()][1] == web.problem
    with pytest.raises(OptionError, match=r"web\.toml") as caught:
        source.inspect("web")
    assert caught.value.hint == "correct the description"


def test_a_description_that_is_no_text_ends_no_list(tmp_path: Path) -> None:
    (tmp_path / "db.toml").write_text(TOML.format("db.qcow2"))
    (tmp_path / "web.toml").write_bytes(b"\xff\xfe")
    assert [each.problem != "" for each in DiskImageSource(tmp_path).machines()] == [False, True]
