# SPDX-License-Identifier: Apache-2.0
"""A guest's files through a real chroot: what a hostile guest cannot reach."""

from pathlib import Path

import pytest

from tests.fakes import small_root
from tests.fakes.local_remote import LocalRemote
from tradewind.errors import MorphingError
from tradewind.morphing import files
from tradewind.morphing.tree import MAX_TEXT, RemoteGuestTree
from tradewind.ports import GuestTree


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_root.build(tmp_path_factory.mktemp("guest"))


@pytest.fixture
def guest(root: Path) -> GuestTree:
    return RemoteGuestTree(LocalRemote(), str(root))


def test_what_is_written_is_read(guest: GuestTree, root: Path) -> None:
    guest.write_text("/etc/deep/er/file", "text with 'quotes' and ü\n", 0o640)
    assert guest.exists("/etc/deep/er/file")
    assert guest.read_text("/etc/deep/er/file") == "text with 'quotes' and ü\n"
    assert (root / "etc/deep/er/file").stat().st_mode & 0o777 == 0o640
    assert guest.list("/etc/deep/er") == ("file",)
    guest.remove("/etc/deep/er/file")
    guest.remove("/etc/deep/er/file")
    assert not guest.exists("/etc/deep/er/file")


def test_other_encodings_survive(guest: GuestTree, root: Path) -> None:
    (root / "etc/latin1").write_bytes(b"# caf\xe9\n")
    guest.write_text("/etc/latin1", guest.read_text("/etc/latin1") + "more\n")
    assert (root / "etc/latin1").read_bytes() == b"# caf\xe9\nmore\n"


def test_a_missing_file_is_named(guest: GuestTree) -> None:
    with pytest.raises(MorphingError, match="no file /etc/nothing"):
        guest.read_text("/etc/nothing")
    assert guest.list("/etc/nothing") == ()


def test_odd_names_are_listed(guest: GuestTree, root: Path) -> None:
    folder = root / "etc/odd"
    folder.mkdir(exist_ok=True)
    for name in (".hidden", "a b", "-n", "line\nbreak"):
        (folder / name).touch()
    (folder / "dangling").symlink_to("/nowhere")
    assert set(guest.list("/etc/odd")) == {".hidden", "a b", "-n", "line\nbreak", "dangling"}
    assert not guest.exists("/etc/odd/dangling")


def test_large_files_are_refused(guest: GuestTree, root: Path) -> None:
    (root / "etc/large").write_bytes(b"x" * (MAX_TEXT + 1))
    with pytest.raises(MorphingError, match="/etc/large is larger than 1 MiB"):
        guest.read_text("/etc/large")
    (root / "etc/endless").symlink_to("/dev/zero")
    with pytest.raises(MorphingError):
        guest.read_text("/etc/endless")


def test_links_are_written_through_and_stay_links(guest: GuestTree, root: Path) -> None:
    (root / "etc/real").write_text("old")
    (root / "etc/link").symlink_to("/etc/real")
    guest.write_text("/etc/link", "new")
    assert (root / "etc/link").is_symlink()
    assert (root / "etc/real").read_text() == "new"


def test_no_link_leads_out(guest: GuestTree, root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the worker's own")
    up = "../" * 20 + str(secret).lstrip("/")
    for number, target in enumerate((str(secret), up)):
        (root / f"etc/out{number}").symlink_to(target)
        (root / f"etc/folder{number}").symlink_to(Path(target).parent)
        assert not guest.exists(f"/etc/out{number}")
        with pytest.raises(MorphingError):
            guest.read_text(f"/etc/out{number}")
        assert guest.list(f"/etc/folder{number}") == ()
        guest.write_text(f"/etc/out{number}", "changed")
        guest.remove(f"/etc/folder{number}/secret")
    assert secret.read_text() == "the worker's own"


def test_commands_see_their_own_environment(guest: GuestTree) -> None:
    said = guest.run(["env"]).stdout.splitlines()
    assert "LC_ALL=C" in said
    assert all(
        line.split("=")[0] in {"PATH", "HOME", "LC_ALL", "TERM", "SYSTEMD_OFFLINE"} for line in said
    )


def test_a_failed_command_is_told(guest: GuestTree) -> None:
    with pytest.raises(MorphingError, match="in the guest, `cat /none` ended with status 1"):
        guest.run(["cat", "/none"])
    assert guest.run(["cat", "/none"], check=False).status == 1


def test_many_files_are_read_at_once(guest: GuestTree, root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the worker's own")
    folder = root / "etc/many"
    folder.mkdir()
    (folder / "a file").write_text("one\n")
    (folder / "b").write_text("two")
    (folder / "dangling").symlink_to(secret)
    (folder / "sub").mkdir()
    texts = files.read(guest, "/etc/many/*", "/etc/none/*", "/etc/many/c?", "$(reboot)")
    assert texts == {"/etc/many/a file": "one\n", "/etc/many/b": "two"}
    assert files.present(guest, "/etc/many/b", "/none", "/etc/many/sub", "/etc/many/dangling") == (
        "/etc/many/b",
        "/etc/many/sub",
    )
    (folder / "b").write_bytes(b"x" * (MAX_TEXT + 1))
    with pytest.raises(MorphingError, match="/etc/many/b is larger"):
        files.read(guest, "/etc/many/*")
