# SPDX-License-Identifier: Apache-2.0
"""Filling the folder: from a real repository with apt, and what is refused."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from tradewind.errors import BadInputError, NotFoundError, OptionError, PackageError
from tradewind.morphing.linux.packages.prepare import DownloadRequest, prepare

needs_apt = pytest.mark.skipif(
    shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None,
    reason="apt is not on this machine",
)


def package(folder: Path, name: str, needs: str = "") -> None:
    control = folder / name / "DEBIAN/control"
    control.parent.mkdir(parents=True)
    control.write_text(
        f"Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody\nDescription: x\n"
        + (f"Depends: {needs}\n" if needs else "")
    )
    subprocess.run(["dpkg-deb", "-b", folder / name, folder], check=True, capture_output=True)
    shutil.rmtree(folder / name)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A repository with two packages, and a file that says so."""
    repository = tmp_path / "repository"
    repository.mkdir()
    package(repository, "cloud-init", "python3-configobj")
    package(repository, "python3-configobj")
    package(repository, "unrelated")
    index = ""
    for path in sorted(repository.glob("*.deb")):
        fields = subprocess.run(
            ["dpkg-deb", "-f", path], check=True, capture_output=True, text=True
        )
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        index += f"{fields.stdout}Filename: ./{path.name}\nSize: {path.stat().st_size}\n"
        index += f"SHA256: {digest}\n\n"
    (repository / "Packages").write_text(index)
    listed = tmp_path / "guest.list"
    listed.write_text(f"deb [trusted=yes] copy:{repository} ./\n")
    return listed


@needs_apt
def test_a_package_comes_with_what_it_needs(sources: Path, tmp_path: Path) -> None:
    order = DownloadRequest("debian-12", (sources,), ("cloud-init",))
    old = tmp_path / "into/debian-12/old.deb"
    old.parent.mkdir(parents=True)
    old.touch()
    files = prepare(order, tmp_path / "into")
    assert [path.name for path in files] == [
        "cloud-init_1.0_all.deb",
        "python3-configobj_1.0_all.deb",
    ]
    assert {path.name for path in (tmp_path / "into").iterdir()} == {"debian-12"}
    assert not old.exists()


@needs_apt
def test_what_fails_leaves_the_folder_as_it_was(sources: Path, tmp_path: Path) -> None:
    old = tmp_path / "into/debian-12/old.deb"
    old.parent.mkdir(parents=True)
    old.touch()
    with pytest.raises(PackageError, match="Unable to locate package nothing"):
        prepare(DownloadRequest("debian-12", (sources,), ("nothing",)), tmp_path / "into")
    assert [path.name for path in (tmp_path / "into").rglob("*.deb")] == ["old.deb"]


def test_bad_orders_are_refused_before_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.list", "b.repo", "c.txt"):
        (tmp_path / name).touch()
    apt, repo, text = tmp_path / "a.list", tmp_path / "b.repo", tmp_path / "c.txt"
    cases: list[tuple[DownloadRequest, type[BadInputError], str]] = [
        (DownloadRequest("../etc", (apt,)), OptionError, "names no distribution"),
        (DownloadRequest("debian-12", ()), NotFoundError, "no source"),
        (
            DownloadRequest("debian-12", (tmp_path / "none.list",)),
            NotFoundError,
            r"no file .*none\.list",
        ),
        (DownloadRequest("debian-12", (apt, repo)), OptionError, r"several kinds: \.list, \.repo"),
        (DownloadRequest("debian-12", (text,)), OptionError, r"several kinds: \.txt"),
    ]
    for order, kind, words in cases:
        with pytest.raises(kind, match=words):
            prepare(order, tmp_path / "into")
    monkeypatch.setattr(shutil, "which", lambda _program: None)
    with pytest.raises(NotFoundError, match="dnf or zypper is not on this machine"):
        prepare(DownloadRequest("rocky-9", (repo,)), tmp_path / "into")
    assert not (tmp_path / "into").exists()
