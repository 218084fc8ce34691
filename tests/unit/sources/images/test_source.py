# SPDX-License-Identifier: Apache-2.0
import contextlib
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.contract.data_source import RUN
from tests.fakes.images import make_qcow2, make_raw
from tradewind.errors import BusyError, ImageFormatError, NotFoundError, OptionError
from tradewind.model.machine import Clock, Firmware, FirmwareKind, Nic, PowerState
from tradewind.sources.images import confinement
from tradewind.sources.images.source import DiskImageSource
from tradewind.waiting import wait_for

MiB = 1 << 20

SMALL = 'vcpus = 1\nmemory = 512\n[[disks]]\nfile = "root.qcow2"\n'

FULL = """
name = "Web server"
vcpus = 4
memory = 2048
firmware = "uefi"
secure_boot = true
tpm = true
clock = "localtime"
os_hint = "debian"
tags = ["nightly"]

[[disks]]
file = "root.qcow2"
bus = "sata"

[[disks]]
file = "data.img"
format = "raw"
id = "data"

[[nics]]
mac = "52:54:00:00:00:01"
network = "lan"
model = "e1000e"
"""


def descendants() -> list[int]:
    """Find the processes below this one."""
    found, left = [], [os.getpid()]
    while left:
        tasks = Path(f"/proc/{left.pop()}/task").glob("*/children")
        children = [int(pid) for each in tasks for pid in each.read_text().split()]
        found += children
        left += children
    return found


def commands(pid: int) -> str:
    """Read a process's command line; "" when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_qcow2(tmp_path / "root.qcow2", 4 * MiB, {0: b"boot", MiB: b"\x01" * 70000})
    return tmp_path


def test_a_description_becomes_a_machine(folder: Path) -> None:
    make_raw(folder / "data.img", 3 * MiB, {})
    (folder / "web.toml").write_text(FULL)
    machine = DiskImageSource(folder).inspect("web")
    assert (machine.id, machine.name, machine.vcpus) == ("web", "Web server", 4)
    assert machine.memory == 2048 * MiB
    assert machine.firmware == Firmware(kind=FirmwareKind.UEFI, secure_boot=True)
    assert machine.tpm
    assert machine.clock is Clock.LOCAL
    assert machine.power is PowerState.SHUT_OFF
    assert machine.os_hint == "debian"
    assert machine.nics == (Nic(mac="52:54:00:00:00:01", network="lan", model="e1000e"),)
    root, data = machine.disks
    assert (root.id, root.capacity, root.format, root.bus) == ("root", 4 * MiB, "qcow2", "sata")
    assert (data.id, data.capacity, data.format, data.bus) == ("data", 3 * MiB, "raw", "virtio")
    assert root.allocation is not None
    assert root.allocation < MiB
    assert root.location == str(folder / "root.qcow2")
    assert root.backend == str(folder)


def test_the_machines_of_a_folder_and_of_one_file(folder: Path) -> None:
    for name in ("web", "mail"):
        (folder / f"{name}.toml").write_text(SMALL)
    assert [each.id for each in DiskImageSource(folder).machines()] == ["mail", "web"]
    assert [each.id for each in DiskImageSource(folder / "web.toml").machines()] == ["web"]


def test_tags_are_those_of_the_description(folder: Path) -> None:
    (folder / "web.toml").write_text(FULL)
    (folder / "mail.toml").write_text(SMALL)
    assert [each.tags for each in DiskImageSource(folder).machines()] == [(), ("nightly",)]


def test_an_unknown_machine_is_named_with_the_ones_there_are(folder: Path) -> None:
    (folder / "web.toml").write_text(SMALL)
    with pytest.raises(NotFoundError) as caught:
        DiskImageSource(folder).inspect("wbe")
    assert "“wbe”" in caught.value.message
    assert caught.value.hint == "there are: web"


def test_an_image_alone_is_not_a_machine(folder: Path) -> None:
    with pytest.raises(NotFoundError, match=r"neither a folder nor a \.toml file"):
        list(DiskImageSource(folder / "root.qcow2").machines())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("vcpus = ", "not TOML"),
        (SMALL.replace("vcpus = 1\n", ""), "vcpus: Field required"),
        (SMALL.replace("vcpus", "cpus"), "cpus: Extra inputs"),
        (SMALL.replace("= 1", "= 0"), "vcpus: Input should be greater than 0"),
        (SMALL + 'size = "5"\n', "disks.0.size: Extra inputs"),
        ("vcpus = 1\nmemory = 1\ndisks = []\n", "disks: Tuple should have at least 1 item"),
        ('firmware = "efi"\n' + SMALL, "firmware: Input should be 'bios' or 'uefi'"),
        (SMALL + '[[disks]]\nfile = "sub/root.img"\n', "two disks have the same name"),
        (SMALL.replace("root.qcow2", "../root.qcow2"), "outside the folder"),
        (SMALL.replace("root.qcow2", "/etc/passwd"), "outside the folder"),
    ],
)
def test_a_faulty_description_names_the_file_and_the_field(
    folder: Path, text: str, said: str
) -> None:
    (folder / "web.toml").write_text(text)
    with pytest.raises(OptionError) as caught:
        DiskImageSource(folder).inspect("web")
    assert str(folder / "web.toml") in caught.value.message
    assert said in caught.value.message


def test_a_link_out_of_the_folder_is_refused(folder: Path) -> None:
    (folder / "root.qcow2").unlink()
    (folder / "root.qcow2").symlink_to("/etc/passwd")
    (folder / "web.toml").write_text(SMALL)
    with pytest.raises(OptionError, match="outside the folder"):
        DiskImageSource(folder).inspect("web")


def test_a_missing_image_is_named(folder: Path) -> None:
    (folder / "web.toml").write_text(SMALL.replace("root", "boot"))
    with pytest.raises(NotFoundError, match=r"no file boot\.qcow2"):
        DiskImageSource(folder).inspect("web")


@pytest.mark.parametrize("kept", [5000, 4 * 65536, 5 * 65536])
def test_an_image_that_was_cut_short_is_refused(folder: Path, kept: int) -> None:
    path = folder / "root.qcow2"
    assert path.stat().st_size > kept
    os.truncate(path, kept)
    (folder / "web.toml").write_text(SMALL)
    with pytest.raises(ImageFormatError, match=r"root\.qcow2 is damaged") as caught:
        DiskImageSource(folder).inspect("web")
    assert "again" in caught.value.hint


def test_a_backing_file_that_was_cut_short_is_refused(folder: Path) -> None:
    subprocess.run(
        [
            "qemu-img", "create", "-q", "-f", "qcow2", "-b", "root.qcow2", "-F", "qcow2",
            folder / "top.qcow2",
        ],
        check=True,
    )  # fmt: skip
    (folder / "web.toml").write_text(SMALL.replace("root", "top"))
    DiskImageSource(folder).inspect("web")
    os.truncate(folder / "root.qcow2", 5 * 65536)
    with pytest.raises(ImageFormatError, match=r"root\.qcow2 is damaged"):
        DiskImageSource(folder).inspect("web")


def test_an_image_somebody_writes_to_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "web.toml").write_text(SMALL)
    machine = DiskImageSource(folder).inspect("web")
    socket, pid_file = tmp_path / "w.sock", tmp_path / "w.pid"
    argv = ["qemu-nbd", "--persistent", f"--socket={socket}", f"--pid-file={pid_file}"]
    with subprocess.Popen([*argv, "--format=qcow2", str(folder / "root.qcow2")]) as writer:
        try:
            while not pid_file.exists():
                assert writer.poll() is None
            with pytest.raises(BusyError, match="is in use"):
                DiskImageSource(folder).inspect("web")
            with (
                pytest.raises(BusyError, match="is in use"),
                DiskImageSource(folder).snapshot(machine, RUN),
            ):
                pass
        finally:
            writer.terminate()


def test_a_snapshot_leaves_nothing_behind(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path_factory.mktemp("p")  # short: a socket has no path of more than 107 bytes
    monkeypatch.setattr(tempfile, "tempdir", str(private))
    (folder / "web.toml").write_text(SMALL)
    source = DiskImageSource(folder)
    machine = source.inspect("web")
    others = set(descendants())  # of tests before this one
    with contextlib.suppress(InterruptedError), source.snapshot(machine, RUN):
        [socket] = private.rglob("nbd")
        assert socket.parent.stat().st_mode & 0o077 == 0
        started = set(descendants()) - others
        assert any("qemu-nbd" in commands(pid) for pid in started)
        raise InterruptedError
    assert list(private.iterdir()) == []
    wait_for(lambda: not any(map(commands, started)), "all that was started has ended", 30)


def test_a_temporary_folder_without_room_for_a_socket_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path / ("long" * 20)
    private.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(private))
    (folder / "web.toml").write_text(SMALL)
    source = DiskImageSource(folder)
    with (
        pytest.raises(OptionError, match=r"too long for a unix socket.*\n.*TMPDIR"),
        source.snapshot(source.inspect("web"), RUN),
    ):
        pass
    assert list(private.iterdir()) == []


def test_a_backing_file_made_after_the_inspection_is_refused_too(folder: Path) -> None:
    (folder / "web.toml").write_text(SMALL)
    source = DiskImageSource(folder)
    machine = source.inspect("web")
    trap = ["qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", "/etc/passwd", "-F", "raw"]
    subprocess.run([*trap, folder / "root.qcow2", "4M"], check=True)
    with pytest.raises(ImageFormatError), source.snapshot(machine, RUN):
        pass


def test_preflight_hears_when_the_tools_are_not_confined(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "web.toml").write_text(SMALL)
    source = DiskImageSource(folder)
    machine = source.inspect("web")
    assert [each.severity for each in source.preflight_source(machine).findings] == ["note"]
    monkeypatch.setattr(confinement, "find", lambda: confinement.Unconfined("no bwrap"))
    found = source.preflight_source(machine).findings
    assert [(each.severity, each.evidence) for each in found[:1]] == [("warning", "no bwrap")]
