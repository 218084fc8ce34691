# SPDX-License-Identifier: Apache-2.0
"""Whatever a hostile guest puts in place of a file: it is bounded, named, and never waited for."""

import os
import socket
from pathlib import Path

import pytest

from tests.fakes import small_root
from tests.fakes.local_remote import LocalRemote
from tests.unit.morphing.linux.test_inspect import disk, folder, found, part, system
from tests.unit.morphing.loop import loop_device
from tests.unit.morphing.test_mount import contents, described, names
from tradewind.errors import InspectionError, LateError, MorphingError
from tradewind.model.guest import FileSystem
from tradewind.morphing import files, guest_files
from tradewind.morphing.linux import facts
from tradewind.morphing.mount import mounted
from tradewind.morphing.tree import MAX_TEXT, RemoteGuestTree
from tradewind.ports import Completed
from tradewind.units import GiB, MiB


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return small_root.build(tmp_path / "guest")


@pytest.fixture
def guest(root: Path) -> RemoteGuestTree:
    return RemoteGuestTree(LocalRemote(), str(root))


def test_what_is_no_file_is_not_opened(guest: RemoteGuestTree, root: Path) -> None:
    os.mkfifo(root / "etc/fifo")
    (root / "etc/link-to-it").symlink_to("fifo")
    (root / "etc/zeroes").symlink_to("/dev/zero")
    (root / "etc/folder").mkdir()
    os.mknod(root / "etc/node", 0o20666, os.makedev(1, 5))
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(root / "etc/socket"))
    for name in ("fifo", "link-to-it", "zeroes", "folder", "node", "socket"):
        with pytest.raises(MorphingError, match=f"the guest's /etc/{name} is no regular file"):
            guest.read_text(f"/etc/{name}")
    (root / "etc/fine").write_text("a text")
    assert files.read(guest, "/etc/*", "/proc/kmsg") == {"/etc/fine": "a text"}


def test_what_is_no_file_is_replaced_by_one(guest: RemoteGuestTree, root: Path) -> None:
    os.mkfifo(root / "etc/fifo")
    (root / "etc/circle").symlink_to("circle")
    for name in ("fifo", "circle"):
        guest.write_text(f"/etc/{name}", "a text")
        assert guest.read_text(f"/etc/{name}") == "a text"
    with pytest.raises(MorphingError, match="/etc"):
        guest.write_text("/etc", "a text")


def test_large_files_are_named_and_not_read(guest: RemoteGuestTree, root: Path) -> None:
    with (root / "etc/fstab").open("wb") as file:
        file.truncate(200 * MiB)
    with (root / "etc/sparse").open("wb") as file:
        file.truncate(4000 * GiB)
    for name in ("fstab", "sparse"):
        with pytest.raises(MorphingError, match=f"/etc/{name} is larger than 1 MiB"):
            guest.read_text(f"/etc/{name}")
        with pytest.raises(MorphingError, match=f"/etc/{name} is larger than 1 MiB"):
            files.read(guest, f"/etc/{name}*")


def test_files_that_do_not_know_their_size_are_bounded(guest: RemoteGuestTree, root: Path) -> None:
    (root / "etc/maps").symlink_to("/proc/self/status")
    assert len(guest.read_text("/etc/maps")) < MAX_TEXT


def test_a_crowded_folder_is_named(guest: RemoteGuestTree, root: Path) -> None:
    crowd = root / "etc/network/interfaces.d"
    crowd.mkdir(parents=True)
    for number in range(guest_files.MOST_ENTRIES + 1):
        (crowd / str(number)).touch()
    said = "the guest's /etc/network/interfaces.d has more than 10,000 entries"
    with pytest.raises(MorphingError, match=said):
        guest.list("/etc/network/interfaces.d")
    with pytest.raises(MorphingError, match=said):
        files.read(guest, "/etc/network/interfaces.d/*")


def test_links_in_circles_and_long_chains_end(guest: RemoteGuestTree, root: Path) -> None:
    (root / "etc/circle").symlink_to("other")
    (root / "etc/other").symlink_to("circle")
    (root / "etc/deep0").write_text("at the end")
    for number in range(100):
        (root / f"etc/deep{number + 1}").symlink_to(f"deep{number}")
    (root / "etc/itself").symlink_to(".")
    for name in ("circle", "deep100"):
        with pytest.raises(MorphingError, match=f"no file /etc/{name}"):
            guest.read_text(f"/etc/{name}")
        assert not guest.exists(f"/etc/{name}")
    assert guest.read_text("/etc/itself/itself/itself/deep0") == "at the end"
    assert files.read(guest, "/etc/*/deep0") == {"/etc/itself/deep0": "at the end"}


def test_odd_names_stay_one_name_each(guest: RemoteGuestTree, root: Path) -> None:
    odd = ("line\nbreak", "\x1b]0;title\x07", "-rf", "$(id)", "caf\udce9", "a  b", "*")
    (root / "etc/odd").mkdir()
    for name in odd:
        (root / "etc/odd" / name).write_text("text of " + name.encode(errors="ignore").decode())
    assert set(guest.list("/etc/odd")) == set(odd)
    assert set(files.read(guest, "/etc/odd/*")) == {f"/etc/odd/{name}" for name in odd}
    (root / "etc/odd/\x1b[2Jlarge").write_bytes(b"x" * (MAX_TEXT + 1))
    with pytest.raises(MorphingError) as caught:
        files.read(guest, "/etc/odd/*")
    assert "\x1b" not in caught.value.message


def test_patterns_are_those_of_a_shell(guest: RemoteGuestTree, root: Path) -> None:
    for name in ("a.cfg", "b.cfg", ".hidden.cfg", "c.conf", "deep/er.cfg"):
        (root / "etc/p" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "etc/p" / name).write_text(name)
    assert set(files.read(guest, "/etc/p/*.cfg")) == {"/etc/p/a.cfg", "/etc/p/b.cfg"}
    assert set(files.read(guest, "/etc/p/?.c*")) == {
        "/etc/p/a.cfg", "/etc/p/b.cfg", "/etc/p/c.conf"
    }  # fmt: skip
    assert set(files.read(guest, "/etc/*/*/*.cfg")) == {"/etc/p/deep/er.cfg"}
    assert set(files.read(guest, "/etc/p/.*")) == {"/etc/p/.hidden.cfg"}
    assert files.read(guest, "/etc/p/[ab].cfg", "/etc/none/*", "/etc/p/a.cfg/*") == {}


@pytest.mark.usefixtures("only_mount")
def test_a_fifo_as_resolver_comes_back_as_one(tmp_path: Path) -> None:
    content = small_root.build(tmp_path / "content")
    os.mkfifo(content / "etc/resolv.conf")
    (content / "usr/sbin/policy-rc.d").symlink_to("/etc/resolv.conf")
    with loop_device(tmp_path / "root", content) as device:
        for _ in range(2):  # a second time finds what the first put back
            with mounted(LocalRemote(), described(device)) as lent:
                tree = RemoteGuestTree(LocalRemote(), lent.root)
                assert "Tradewind" in tree.read_text("/etc/resolv.conf")
        assert names(device, "etc") == {"resolv.conf"}
        assert contents(device, "etc/resolv.conf") == ""
        assert names(device, "usr/sbin") == {"policy-rc.d"}


LISTING = [disk("vdb", part(1, "ext4", uuid="r00t"))]


def test_inspection_reads_neither_fifo_nor_node_as_fstab(tmp_path: Path) -> None:
    root = system(tmp_path / "root")
    (root / "etc/fstab").unlink()
    os.mkfifo(root / "etc/fstab")
    os.mknod(root / "etc/crypttab", 0o20666, os.makedev(1, 5))
    os_ = found(LISTING, {"tw0-part1": root}, tmp_path)
    assert os_.notes == tuple(
        f"/etc/{name} on / is no regular file, and was not read" for name in ("fstab", "crypttab")
    )


def test_inspection_refuses_a_system_whose_fstab_is_endless(tmp_path: Path) -> None:
    root = system(tmp_path / "root")
    with (root / "etc/fstab").open("a") as file:
        file.truncate(200 * MiB)
    with pytest.raises(InspectionError, match="/etc/fstab of the guest is larger than 64 KiB"):
        found(LISTING, {"tw0-part1": root}, tmp_path)


def test_inspection_says_what_it_did_not_read_to_the_end(tmp_path: Path) -> None:
    root = system(tmp_path / "root")
    for number in range(4000):
        (root / f"boot/a rather long name of a file {number}").touch()
    os_ = found(LISTING, {"tw0-part1": root}, tmp_path)
    assert os_.notes == ("the list of /boot on / was not read to its end: it is too long",)


def test_names_with_line_breaks_are_no_kernels(tmp_path: Path) -> None:
    root = system(tmp_path / "root")
    (root / "boot/x\n5 vmlinuz-6.1.0-20-amd64").touch()
    (root / "usr/lib/modules/6\nvmlinuz 6.1.0-21-amd64").mkdir()
    os_ = found(LISTING, {"tw0-part1": root}, tmp_path)
    assert os_.kernels == ("6.1.0-18-amd64", "6.1.0-9-amd64")


class Hanging(LocalRemote):
    def run(self, *_: object, **__: object) -> Completed:
        raise LateError("`sh -c …` did not end within 300 s")


def test_a_file_system_that_hangs_is_named(tmp_path: Path) -> None:
    folder(tmp_path / "empty", {})
    device = "/dev/disk/by-id/virtio-tw0-part1"
    filesystem = FileSystem(device=device, disk=0, partition=1, fstype="xfs", uuid="x")
    with pytest.raises(LateError, match=r"looking at xfs on .*disk 1.* did not end within 300 s"):
        facts.read(Hanging(), [filesystem])
    with pytest.raises(LateError, match=r"in the guest, `text /etc/fstab [0-9]*` did not end"):
        RemoteGuestTree(Hanging(), "/mnt").read_text("/etc/fstab")
