# SPDX-License-Identifier: Apache-2.0
"""Packages from the operator's folder: which, how they arrive, and when they do not."""

from pathlib import Path

import pytest

from tests.fakes import small_root
from tests.fakes.local_remote import LocalRemote
from tradewind.errors import MorphingError, NotFoundError, PackageError
from tradewind.model.guest import Family, GuestOS
from tradewind.morphing.linux.packages import folder
from tradewind.morphing.tree import RemoteGuestTree
from tradewind.ports import PackageSystem


class HasOne:
    """A package system that has one package already."""

    name = "apt"
    suffix = ".deb"

    def installed(self, *packages: str) -> bool:
        return False

    def matching(self, *patterns: str) -> tuple[str, ...]:
        return ()

    def versions(self) -> frozenset[str]:
        return frozenset({"adduser_3.134_all"})

    def install(self, *packages: str) -> None: ...

    def install_from(self, folder: str, *packages: str) -> None: ...

    def leaving_with(self, *packages: str) -> frozenset[str]:
        return frozenset()

    def remove(self, *packages: str) -> None: ...


SYSTEM: PackageSystem = HasOne()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    programs = ("uname", "df", "awk", "tail", "sha256sum", "mkdir")
    return small_root.build(tmp_path_factory.mktemp("guest"), programs)


@pytest.fixture
def guest(root: Path) -> RemoteGuestTree:
    for left in (root / "run").rglob("*"):
        if left.is_file():
            left.unlink()
    (root / "var").mkdir(exist_ok=True)
    return RemoteGuestTree(LocalRemote(), str(root))


@pytest.fixture
def debian12() -> GuestOS:
    return GuestOS(
        family=Family.DEBIAN, id="debian", version="12", pretty_name="Debian 12", mounts=(),
        kernels=(),
    )  # fmt: skip


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    place = tmp_path / "packages" / "debian-12"
    place.mkdir(parents=True)
    (place / "adduser_1%3a3.134_all.deb").write_bytes(b"the guest has it")
    (place / "cloud-init_22.4_all.deb").write_bytes(bytes(range(256)) * 300)
    (place / "empty_1_all.deb").write_bytes(b"")
    (place / "qemu-guest-agent_7.2_amd64.deb").write_bytes(b"\0an agent\n")
    (place / "README").write_text("no package")
    return place


def test_what_the_guest_lacks_arrives_as_it_is(
    guest: RemoteGuestTree, root: Path, debian12: GuestOS, shelf: Path
) -> None:
    place = folder.bring(guest, debian12, SYSTEM, shelf.parent)
    arrived = {p.name: p.read_bytes() for p in (root / place.lstrip("/")).glob("*.deb")}
    sent = {p.name: p.read_bytes() for p in shelf.glob("*.deb") if "adduser" not in p.name}
    assert arrived == sent
    assert not (root / place.lstrip("/") / ".pack").exists()
    (shelf / "late_1_all.deb").write_bytes(b"x")
    assert folder.bring(guest, debian12, SYSTEM, shelf.parent) == place  # once is enough
    assert "late_1_all.deb" not in guest.list(place)


def test_many_files_go_in_several_packs(
    guest: RemoteGuestTree, debian12: GuestOS, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "_PACK", 10_000)
    place = folder.bring(guest, debian12, SYSTEM, shelf.parent)
    assert len([name for name in guest.list(place) if name.endswith(".deb")]) == 3


def test_the_most_exact_name_is_taken(tmp_path: Path, debian12: GuestOS) -> None:
    minor = debian12.model_copy(update={"id": "rocky", "version": "9.4"})
    for name in ("rocky", "rocky-9", "rocky-9-x86_64", "rocky-9.4"):
        (tmp_path / name).mkdir()
        assert folder.shelf_for(tmp_path, minor, "x86_64").name == name
    (tmp_path / "debian-12-amd64").mkdir()
    assert folder.shelf_for(tmp_path, debian12, "x86_64").name == "debian-12-amd64"


def test_a_guest_cannot_name_another_folder(tmp_path: Path, debian12: GuestOS) -> None:
    (tmp_path / "shelf").mkdir()
    for name in ("../..", "/etc", "", "..", "a/../.."):
        hostile = debian12.model_copy(update={"id": name, "version": "../../etc"})
        with pytest.raises(PackageError, match="has nothing for Debian 12"):
            folder.shelf_for(tmp_path / "shelf", hostile, "x86_64")


def test_a_distribution_nobody_prepared_is_said(tmp_path: Path, debian12: GuestOS) -> None:
    with pytest.raises(PackageError, match="debian-12-x86_64, debian-12-amd64, debian-12,") as e:
        folder.shelf_for(tmp_path, debian12, "x86_64")
    assert "--for debian-12`" in e.value.hint


def test_sizes_are_bounded(
    guest: RemoteGuestTree, debian12: GuestOS, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "MAX_FILE", 1000)
    with pytest.raises(PackageError, match=r"too large: cloud-init_22\.4_all\.deb"):
        folder.bring(guest, debian12, SYSTEM, shelf.parent)
    monkeypatch.setattr(folder, "MAX_FILE", 1 << 20)
    monkeypatch.setattr(folder, "MAX_ALL", 10_000)
    with pytest.raises(PackageError, match="too large: 75"):
        folder.bring(guest, debian12, SYSTEM, shelf.parent)
    monkeypatch.setattr(folder, "MAX_ALL", 1 << 20)
    monkeypatch.setattr(folder, "_UNPACKED", 1 << 50)
    with pytest.raises(PackageError, match="/usr of the guest has"):
        folder.bring(guest, debian12, SYSTEM, shelf.parent)


def test_what_arrives_damaged_is_noticed(
    guest: RemoteGuestTree, debian12: GuestOS, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        folder, "_UNPACK", 'cd "$1"; printf x >"$2"; printf x >"$4"; printf x >"$6"'
    )
    with pytest.raises(MorphingError, match="did not arrive"):
        folder.bring(guest, debian12, SYSTEM, shelf.parent)
    assert not folder.is_there(guest)


def test_a_folder_that_is_not_there_is_refused_before_anything(tmp_path: Path) -> None:
    folder.require("")
    with pytest.raises(NotFoundError, match="no folder for any distribution"):
        folder.require(str(tmp_path / "nowhere"))
    (tmp_path / "debian-12").mkdir()
    folder.require(str(tmp_path))
