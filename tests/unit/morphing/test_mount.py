# SPDX-License-Identifier: Apache-2.0
"""Real file systems on loop devices, mounted, used, and taken back."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes import small_root
from tests.fakes.local_remote import WORKER, LocalRemote
from tests.unit.morphing.loop import loop_device
from tradewind.errors import MorphingError
from tradewind.model.guest import Family, GuestOS, Mount
from tradewind.morphing.confinement import inside, program
from tradewind.morphing.mount import ROOT, mounted, unmount
from tradewind.morphing.tree import RemoteGuestTree

RESOLV = "etc/resolv.conf"


def below_root() -> list[str]:
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    return [line.split()[1] for line in mounts if line.split()[1].startswith(ROOT)]


@pytest.fixture
def content(tmp_path: Path) -> Path:
    return small_root.build(tmp_path / "content")


@pytest.fixture(autouse=True)
def nothing_left(only_mount: None) -> Iterator[None]:
    assert below_root() == []
    yield
    assert below_root() == []
    assert not Path(ROOT).exists()


def described(device: str, *others: Mount) -> GuestOS:
    return GuestOS(
        family=Family.DEBIAN,
        id="debian",
        version="12",
        pretty_name="Debian",
        mounts=(Mount(device=device, path="/", fstype="ext4"), *others),
        kernels=(),
    )


def contents(device: str, path: str) -> str:
    read = subprocess.run(
        ["debugfs", "-R", f"cat /{path}", device], capture_output=True, text=True, check=True
    )
    return read.stdout


def names(device: str, folder: str) -> set[str]:
    listed = subprocess.run(
        ["debugfs", "-R", f"ls -p /{folder}", device], capture_output=True, text=True, check=True
    )
    # /inode/mode/uid/gid/name/size/
    return {line.split("/")[5] for line in listed.stdout.split() if line} - {".", ".."}


def link_target(device: str, path: str) -> str:
    told = subprocess.run(
        ["debugfs", "-R", f"stat /{path}", device], capture_output=True, text=True, check=True
    )
    return told.stdout


def test_the_guest_sees_a_system_and_gets_everything_back(content: Path, tmp_path: Path) -> None:
    (content / RESOLV).write_text("nameserver 203.0.113.1\n")
    with loop_device(tmp_path / "root", content) as device:
        with mounted(LocalRemote(), described(device)) as guest:
            tree = RemoteGuestTree(LocalRemote(), guest.root)
            assert tree.exists("/proc/self/mounts")
            assert tree.exists("/dev/null")
            assert tree.list("/run") == ("lock",)
            assert "203.0.113.1" not in tree.read_text("/etc/resolv.conf")
            assert tree.run(["sh", "/usr/sbin/policy-rc.d"], check=False).status == 101
            tree.write_text("/etc/changed", "by a step")
        assert contents(device, RESOLV) == "nameserver 203.0.113.1\n"
        assert contents(device, "etc/changed") == "by a step"
        assert names(device, "usr/sbin") == set()


def test_a_dangling_link_comes_back_as_one(content: Path, tmp_path: Path) -> None:
    (content / RESOLV).symlink_to("../run/systemd/resolve/stub-resolv.conf")
    (content / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 0\n")
    with loop_device(tmp_path / "root", content) as device:
        with mounted(LocalRemote(), described(device)):
            pass
        assert "stub-resolv.conf" in link_target(device, RESOLV)
        assert contents(device, "usr/sbin/policy-rc.d") == "#!/bin/sh\nexit 0\n"


def test_no_file_means_no_file_afterwards(content: Path, tmp_path: Path) -> None:
    with loop_device(tmp_path / "root", content) as device:
        with mounted(LocalRemote(), described(device)) as guest:
            assert RemoteGuestTree(LocalRemote(), guest.root).exists("/etc/resolv.conf")
        with mounted(LocalRemote(), described(device)) as guest:
            pass
        assert names(device, "etc") == set()


def test_a_failure_inside_unmounts_and_is_not_hidden(content: Path, tmp_path: Path) -> None:
    with (
        loop_device(tmp_path / "root", content) as device,
        pytest.raises(ZeroDivisionError),
        mounted(LocalRemote(), described(device)),
    ):
        _ = 1 / 0


def test_programs_left_running_are_ended(content: Path, tmp_path: Path) -> None:
    with loop_device(tmp_path / "root", content) as device:
        with mounted(LocalRemote(), described(device)) as guest:
            left = subprocess.Popen(["chroot", guest.root, "sleep", "600"])
            while Path("/proc", str(left.pid), "root").readlink() != Path(guest.root):
                time.sleep(0.02)
        assert left.wait(60) == -9


def test_walled_programs_left_running_are_ended(content: Path, tmp_path: Path) -> None:
    """Whose connection broke: they have a name space of their own, and hold the disks in it."""
    with loop_device(tmp_path / "root", content) as device:
        with mounted(LocalRemote(), described(device)) as guest:
            argv = inside(guest.root, program("sh", "-c", "echo begun; sleep 600"))
            left = subprocess.Popen(argv, stdout=subprocess.PIPE, env=WORKER)
            assert left.stdout is not None
            assert left.stdout.readline() == b"begun\n"
        with left:
            assert left.wait(60) != 0
        subprocess.run(["e2fsck", "-fn", device], check=True, capture_output=True)


def test_other_file_systems_are_mounted_in_their_places(content: Path, tmp_path: Path) -> None:
    boot = tmp_path / "boot-content"
    boot.mkdir()
    (boot / "vmlinuz").write_text("a kernel")
    with (
        loop_device(tmp_path / "root", content) as device,
        loop_device(tmp_path / "boot", boot) as second,
        mounted(
            LocalRemote(),
            described(device, Mount(device=second, path="/boot", fstype="ext4")),
            trim=True,
        ) as guest,
    ):
        tree = RemoteGuestTree(LocalRemote(), guest.root)
        assert tree.read_text("/boot/vmlinuz") == "a kernel"


def test_a_mount_point_that_leads_out_is_refused(content: Path, tmp_path: Path) -> None:
    (content / "boot").rmdir()
    (content / "boot").symlink_to(tmp_path)
    with loop_device(tmp_path / "root", content) as device:
        os = described(device, Mount(device=device, path="/boot", fstype="ext4"))
        with pytest.raises(MorphingError, match="/boot leads out of the guest"):
            mounted(LocalRemote(), os).__enter__()


def test_what_cannot_be_mounted_is_said(tmp_path: Path) -> None:
    with pytest.raises(MorphingError, match="Debian cannot be mounted"):
        mounted(LocalRemote(), described(str(tmp_path / "nothing"))).__enter__()


def test_unmounting_nothing_is_no_mistake() -> None:
    unmount(LocalRemote())
