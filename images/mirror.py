# SPDX-License-Identifier: Apache-2.0
"""A small package repository for guests and workers without the Internet, served by the lab.

It holds a few packages and everything they depend on, whatever a guest has of it already, so that
nothing depends on what this machine or a guest has installed.
"""

import hashlib
import shutil
from pathlib import Path
from typing import Final

from images import apt, cache
from images.commands import reported, run, say

SUITE: Final = "bookworm"
PACKAGES: Final = (
    "cloud-init", "qemu-guest-agent",
    # What a worker without our recipe installs for a guest on stacked disks.
    "lvm2", "thin-provisioning-tools", "mdadm", "cryptsetup-bin", "dmsetup",
    "btrfs-progs", "xfsprogs",
)  # fmt: skip
_STAMP: Final = ".digest"


def folder() -> Path:
    """Where the repository is; the lab serves its parent."""
    return cache.home() / "mirror" / "debian"


def build_mirror() -> Path:
    """Fill the repository unless that was done for these packages already."""
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    stamp = folder() / _STAMP
    with cache.locked("mirror"):
        if stamp.exists() and stamp.read_text() == digest:
            say("package mirror: is filled already")
            return folder()
        with reported("package mirror: filling"), cache.work_folder("mirror") as work:
            fill(work)
            (work / "repository" / _STAMP).write_text(digest)
            shutil.rmtree(folder(), ignore_errors=True)
            folder().parent.mkdir(parents=True, exist_ok=True)
            (work / "repository").rename(folder())
    return folder()


def fill(work: Path) -> None:
    """Download the packages with an apt that knows nothing of this machine; index them."""
    repository = work / "repository"
    (work / "lists/partial").mkdir(parents=True)
    (work / "archives/partial").mkdir(parents=True)
    repository.mkdir()
    (work / "status").touch()
    (work / "sources.list").write_text(apt.render(apt.debian_sources(SUITE)))
    (work / "apt.conf").write_text(apt.settings() + _own_state(work))
    config: list[str | Path] = ["-c", work / "apt.conf"]
    run(["apt-get", *config, "update"])
    run(["apt-get", *config, "install", "--yes", "--download-only", *PACKAGES])
    for package in (work / "archives").glob("*.deb"):
        package.rename(repository / package.name)
    index = run(["apt-ftparchive", "packages", "."], cwd=repository)
    (repository / "Packages").write_text(index)
    (repository / "Release").write_text(run(["apt-ftparchive", "release", "."], cwd=repository))


def _own_state(work: Path) -> str:
    return f"""\
Dir::State "{work}";
Dir::State::status "{work}/status";
Dir::Cache "{work}";
Dir::Etc::sourcelist "{work}/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::preferencesparts "-";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
"""
