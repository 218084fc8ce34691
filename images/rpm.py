# SPDX-License-Identifier: Apache-2.0
"""Packages in rpm's format, made of Debian's files: for the stand-ins of rpm-based families.

Used twice: for what rpm's database of a stand-in knows, and for the repositories that the mirror
serves to it.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from pydantic import Field

from images.commands import run
from tradewind.model.record import Record

# No debug packages, no stripping, no scripts that look at what was packed, hardly any compression.
_DEFINES: Final = {
    "_build_id_links": "none",
    "debug_package": "%{nil}",
    "__os_install_post": "%{nil}",
    "_binary_payload": "w1.gzdio",
}


class RpmPackage(Record):
    """One binary package. `files` are paths in the build's root; none makes an empty package."""

    name: str
    version: str
    release: str = "1"
    summary: str
    requires: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    post: str = Field(default="", description="a shell script that runs after the installation")


def build(packages: Iterable[RpmPackage], root: Path, work: Path) -> tuple[Path, ...]:
    """Build the packages from the files below `root`; they are left below `work`.

    The files are copied first: a build root is emptied by rpmbuild.
    """
    packages = tuple(packages)
    (work / "root").mkdir(parents=True)
    files = [f".{path}" for package in packages for path in package.files]
    if files:
        run(["cp", "--archive", "--parents", *files, work / "root"], cwd=root)
    (work / "all.spec").write_text(spec(packages))
    defines = {**_DEFINES, "_topdir": str(work)}
    words = [word for name, value in defines.items() for word in ("--define", f"{name} {value}")]
    run(["rpmbuild", "-bb", "--quiet", "--buildroot", work / "root", *words, work / "all.spec"])
    return tuple(sorted((work / "RPMS").rglob("*.rpm")))


def register(packages: Iterable[Path], root: Path) -> None:
    """Tell the rpm database of a tree that the packages are installed: their files are there."""
    # fmt: off
    run(["rpm", "--root", root, "--dbpath", "/var/lib/rpm", "--install", "--justdb", "--nodeps",
         "--noscripts", "--nosignature", *packages])
    # fmt: on


def spec(packages: Iterable[RpmPackage]) -> str:
    """Write one spec file for all: the main package carries nothing and is not built."""
    lines = [
        *("Name: standin", "Version: 1", "Release: 1", "Summary: Packages made of Debian's files"),
        *("License: various", "AutoReqProv: no", "%description", "Not built.", ""),
        *(line for package in packages for line in _package(package)),
    ]
    return "\n".join(lines)


def _package(package: RpmPackage) -> Iterator[str]:
    yield f"%package -n {package.name}"
    yield f"Version: {package.version}"
    yield f"Release: {package.release}"
    yield f"Summary: {package.summary}"
    yield "AutoReqProv: no"
    yield from (f"Requires: {name}" for name in package.requires)
    yield from (f"Provides: {name}" for name in package.provides)
    yield f"%description -n {package.name}"
    yield f"{package.summary}."
    if package.post:
        yield f"%post -n {package.name}"
        yield package.post
    yield f"%files -n {package.name}"
    yield from (f'"{path}"' for path in package.files)
    yield ""
