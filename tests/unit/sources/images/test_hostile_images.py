# SPDX-License-Identifier: Apache-2.0
"""Folders of images that somebody else filled, through the doors that a transfer uses."""

import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.contract.data_source import RUN
from tests.fakes.images import (
    BACKING_FORMAT,
    DATA_FILE,
    extension,
    forge_qcow2,
    make_qcow2,
    patch,
)
from tradewind.errors import ImageFormatError, NotFoundError, OptionError, TradewindError
from tradewind.model.machine import VirtualMachine
from tradewind.sources.images import confinement, door, qemu
from tradewind.sources.images.confinement import Bubblewrap, Confinement, Namespaces, Unconfined
from tradewind.sources.images.door import open_image
from tradewind.sources.images.source import DiskImageSource

MiB = 1 << 20
SECRET = b"PRIVATE KEY OF THE CONTROLLER ".ljust(65536, b"#")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret-of-the-controller"
    path.write_bytes(SECRET)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "web.toml").write_text(
        'vcpus = 1\nmemory = 256\n[[disks]]\nfile = "web.qcow2"\nid = "root"\n'
    )
    return folder


def over(backing: Path, path: Path) -> None:
    """Make an image over a raw file."""
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(backing), "-F", "raw"]
    subprocess.run([*argv, path, "65536"], check=True)


def read_all(folder: Path, machine: VirtualMachine) -> bytes:
    """Read a machine's disk as a transfer does."""
    buffer = bytearray(machine.disks[0].capacity)
    with (
        DiskImageSource(folder).snapshot(machine, RUN) as snapshot,
        snapshot.open(machine.disks[0]) as reader,
    ):
        reader.readinto(memoryview(buffer), 0)
    return bytes(buffer)


def refusal(folder: Path) -> TradewindError:
    """Have the machine refused, by an error that names its image and says what to do."""
    with pytest.raises(TradewindError) as caught:
        read_all(folder, DiskImageSource(folder).inspect("web"))
    assert "web.qcow2" in caught.value.message or "b.img" in caught.value.message
    assert caught.value.hint
    return caught.value


def test_two_backing_formats_read_no_file_of_the_controller(folder: Path, secret: Path) -> None:
    """Seen: we took the first, raw, and QEMU the last, qcow2, with a backing file of its own."""
    over(secret, folder / "b.img")
    both = extension(BACKING_FORMAT, b"raw") + extension(BACKING_FORMAT, b"qcow2")
    forge_qcow2(folder / "web.qcow2", both, b"b.img", 65536)
    assert "two header extensions" in refusal(folder).message


def test_a_backing_file_that_is_said_to_be_raw_stays_raw(folder: Path, secret: Path) -> None:
    over(secret, folder / "b.img")
    forge_qcow2(folder / "web.qcow2", extension(BACKING_FORMAT, b"raw"), b"b.img", 65536)
    seen = read_all(folder, DiskImageSource(folder).inspect("web"))
    assert seen == (folder / "b.img").read_bytes()[:65536]
    assert b"PRIVATE KEY" not in seen


@pytest.mark.parametrize(
    "name",
    [
        "{secret}",
        "../secret-of-the-controller",
        "./../images/../secret-of-the-controller",
        "file:{secret}",
        "file:../secret-of-the-controller",
        "fat:..",
        "fat:rw:/etc",
        "vvfat:/etc",
        "nbd://198.18.0.1/x",
        "nbd:unix:/run/x",
        "ssh://198.18.0.1/etc/passwd",
        "http://198.18.0.1/x",
        "rbd:pool/image",
        "blkdebug::{secret}",
        'json:{{"driver":"raw","file":{{"driver":"file","filename":"{secret}"}}}}',
        "/dev/fd/0",
        "/proc/self/environ",
        "/",
        ".",
        "..",
    ],
)
@pytest.mark.parametrize("backing_format", [b"raw", b""])
def test_a_backing_name_leads_nowhere_else(
    folder: Path, secret: Path, name: str, backing_format: bytes
) -> None:
    said = extension(BACKING_FORMAT, backing_format) if backing_format else b""
    forge_qcow2(folder / "web.qcow2", said, name.format(secret=secret).encode(), 65536)
    assert "backing file outside its folder" in refusal(folder).message


@pytest.mark.parametrize("backing_format", [b"vmdk", b"vvfat", b"nbd", b"luks", b"host_device"])
def test_a_backing_format_is_one_that_we_read(
    folder: Path, secret: Path, backing_format: bytes
) -> None:
    (folder / "b.img").write_bytes(bytes(65536))
    forge_qcow2(folder / "web.qcow2", extension(BACKING_FORMAT, backing_format), b"b.img")
    assert f"format '{backing_format.decode()}' cannot be read" in refusal(folder).message


@pytest.mark.parametrize("bits", [4, 0])
def test_an_external_data_file_is_refused(folder: Path, secret: Path, bits: int) -> None:
    named = extension(DATA_FILE, str(secret).encode())
    path = forge_qcow2(folder / "web.qcow2", named, b"", 65536)
    patch(path, 72, struct.pack(">Q", bits))
    assert "keeps its data in another file" in refusal(folder).message


@contextmanager
def place(path: Path, kind: str) -> Iterator[None]:
    """Put something there that is no file."""
    with socket.socket(socket.AF_UNIX) as sock:
        match kind:
            case "FIFO":
                os.mkfifo(path)
            case "socket":
                sock.bind(str(path))
            case "character device":
                os.mknod(path, 0o20600, os.makedev(5, 0))  # /dev/tty
            case "block device":
                os.mknod(path, 0o60600, os.makedev(7, 0))
            case "folder":
                path.mkdir()
        yield


@pytest.mark.parametrize("kind", ["FIFO", "socket", "character device", "block device", "folder"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "i"  # short: a socket has no path of more than 107 bytes
    folder.mkdir()
    text = 'vcpus = 1\nmemory = 256\n[[disks]]\nfile = "web.qcow2"\n'
    (folder / "web.toml").write_text(text)
    with place(folder / "web.qcow2", kind):
        assert f"is a {kind}, not a regular file" in refusal(folder).message
    with place(folder / "b.img", kind):
        (folder / "web.toml").write_text(text.replace("web.qcow2", "top-of-web.qcow2"))
        forge_qcow2(folder / "top-of-web.qcow2", extension(BACKING_FORMAT, b"raw"), b"b.img")
        assert f"its backing file: {folder}/b.img is a {kind}" in refusal(folder).message


@pytest.mark.parametrize("name", ["web.qcow2", "web.qcow2/x", "x" * 3000 + "-web.qcow2"])
def test_a_name_that_cannot_be_followed_is_refused(folder: Path, name: str) -> None:
    (folder / "web.qcow2").symlink_to("web.qcow2")
    text = (folder / "web.toml").read_text()
    (folder / "web.toml").write_text(text.replace("web.qcow2", name))
    assert refusal(folder).message


def test_a_name_with_zeroes_is_refused(folder: Path) -> None:
    text = (folder / "web.toml").read_text()
    (folder / "web.toml").write_text(text.replace("web.qcow2", "web\\u0000.qcow2"))
    with pytest.raises(OptionError, match=r"web\.toml: disks\.0\.file"):
        DiskImageSource(folder).inspect("web")


def test_a_description_that_is_no_file_or_endless_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.toml")
    with (folder / "huge.toml").open("wb") as file:
        file.truncate(1 << 40)
    huge, pipe, web = DiskImageSource(folder).machines()
    assert huge.problem == f"{folder / 'huge.toml'} has more than 1048576 bytes"
    assert pipe.problem == f"{folder / 'pipe.toml'} is a FIFO, not a regular file"
    assert web.problem == ""
    with pytest.raises(ImageFormatError, match=r"pipe\.toml is a FIFO"):
        DiskImageSource(folder).inspect("pipe")


@pytest.mark.parametrize("size", [1 << 50, (1 << 63) - 4096])
def test_a_raw_disk_that_nobody_has_is_refused(folder: Path, size: int) -> None:
    path = Path("/dev/shm") / f"tradewind-test-{os.getpid()}" / "web.qcow2"
    path.parent.mkdir()
    try:
        with path.open("wb") as file:
            file.truncate(size)
        with (
            pytest.raises(ImageFormatError, match=r"claims a disk of .*; 256\.0 TiB is the most"),
            open_image(path.parent, path, "raw"),
        ):
            pass
    finally:
        path.unlink()
        path.parent.rmdir()


def test_a_file_that_is_huge_and_empty_takes_no_memory(folder: Path) -> None:
    """A check counts all clusters of a file: with 512 bytes each, they would be 32 billion."""
    path = folder / "web.qcow2"
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=512"]
    subprocess.run([*argv, path, "1M"], check=True)
    os.truncate(path, 15 << 40)
    assert "web.qcow2 is damaged, says qemu-img check" in refusal(folder).message


ALL: list[Confinement] = [Bubblewrap(), Namespaces(), Unconfined("a test")]


@pytest.mark.parametrize("room", ALL)
def test_an_image_that_is_swapped_after_the_check_is_not_used(
    room: Confinement, folder: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between our check and QEMU's start the names come to lead to the secret."""
    monkeypatch.setattr(confinement, "find", lambda: room)
    held = make_qcow2(folder / "base.qcow2", MiB, {0: b"of the machine"})
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2"]
    subprocess.run([*argv, folder / "web.qcow2"], check=True)
    machine = DiskImageSource(folder).inspect("web")
    described = door.node

    def swapping(*arguments: object) -> object:
        for name in ("base.qcow2", "web.qcow2"):
            if not (folder / name).is_symlink():
                (folder / name).rename(folder / f"aside-{name}")
                (folder / name).symlink_to(secret)
        return described(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(qemu, "node", swapping)
    assert read_all(folder, machine) == held
    assert (folder / "web.qcow2").is_symlink()
    with pytest.raises((ImageFormatError, NotFoundError)):
        read_all(folder, machine)


@pytest.mark.parametrize("room", [Bubblewrap(), Namespaces()])
def test_a_header_that_is_changed_after_the_check_opens_nothing(
    room: Confinement, folder: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write to the very file can do that at any moment: QEMU sees no other file."""
    monkeypatch.setattr(confinement, "find", lambda: room)
    path = folder / "web.qcow2"
    make_qcow2(path, MiB, {0: b"of the machine"})
    machine = DiskImageSource(folder).inspect("web")
    described = door.node
    name = str(secret).encode()

    def changing(*arguments: object) -> object:
        header = struct.unpack(">I", path.read_bytes()[100:104])[0]
        patch(path, 72, struct.pack(">Q", 4))
        patch(path, header, extension(DATA_FILE, name) + bytes(16))
        return described(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(qemu, "node", changing)
    with pytest.raises(ImageFormatError, match="cannot be opened"):
        read_all(folder, machine)


@pytest.mark.parametrize("room", ALL)
def test_a_backing_file_that_is_written_in_after_the_check_is_not_followed(
    room: Confinement, folder: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confinement, "find", lambda: room)
    path = folder / "web.qcow2"
    make_qcow2(path, 65536, {})
    machine = DiskImageSource(folder).inspect("web")
    described = door.node

    def changing(*arguments: object) -> object:
        header = struct.unpack(">I", path.read_bytes()[100:104])[0]
        said = extension(BACKING_FORMAT, b"raw") + bytes(8)
        name = str(secret).encode()
        patch(path, header, said + name)
        patch(path, 8, struct.pack(">QI", header + len(said), len(name)))
        return described(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(qemu, "node", changing)
    assert read_all(folder, machine) == bytes(65536)
