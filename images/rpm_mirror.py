# SPDX-License-Identifier: Apache-2.0
"""The package repositories of the stand-ins: Debian's files in rpm's format, served by the lab."""

import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from images import cache, mirror, recipe, rpm, standin
from images.commands import reported, run, say
from images.rpm import RpmPackage
from images.standin import Standin
from tradewind.errors import NotFoundError

# Debian's package, and what of its dependencies an rpm has to name; what is no package of the
# stand-in's database has to come from the repository, too.
PACKAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "cloud-init": (
        "python3", "python3-configobj", "python3-jinja2", "python3-jsonpatch",
        "python3-jsonschema", "python3-oauthlib", "python3-requests", "python3-serial",
        "python3-yaml", "util-linux",
    ),
    "python3-jsonpatch": ("python3", "python3-json-pointer"),
    "python3-json-pointer": ("python3",),
    "python3-serial": ("python3",),
    "qemu-guest-agent": ("libglib2.0-0", "liburing2", "udev"),
    "liburing2": ("libc6",),
}  # fmt: skip
# What no package of these families has, or nobody reads.
_LEFT_OUT: Final = re.compile(r"^/(etc/(init\.d|dhcp|profile\.d)|usr/share/(doc|man|lintian))(/|$)")
_POST: Final = {
    "cloud-init": "systemctl --quiet enable cloud-init-local.service cloud-init.service"
    " cloud-config.service cloud-final.service",
}
_MODULES: Final = ("mirror.py", "rpm.py", "rpm_mirror.py", "standin.py")
_STAMP: Final = ".digest"


def build_rpm_mirrors() -> tuple[Path, ...]:
    """Fill the repository of every stand-in, unless that was done; the lab serves their parent."""
    wanted = {name: standin.load(recipe.load(name)) for name in recipe.names()}
    return tuple(_build(name, each) for name, each in wanted.items() if each)


def _build(name: str, wanted: Standin) -> Path:
    debian = mirror.build_mirror()
    folder = debian.parent / name
    digest = _digest(wanted)
    with cache.locked(f"mirror-{name}"):
        if (folder / _STAMP).exists() and (folder / _STAMP).read_text() == digest:
            say(f"package mirror {name}: is filled already")
            return folder
        with (
            reported(f"package mirror {name}: filling"),
            cache.work_folder(f"mirror-{name}") as work,
        ):
            fill(wanted, debian, work)
            (work / "repository" / _STAMP).write_text(digest)
            shutil.rmtree(folder, ignore_errors=True)
            (work / "repository").rename(folder)
    return folder


def _digest(wanted: Standin) -> str:
    sums = hashlib.sha256(wanted.model_dump_json().encode())
    for module in _MODULES:
        sums.update((recipe.HERE / module).read_bytes())
    return sums.hexdigest()


def fill(wanted: Standin, debian: Path, work: Path) -> None:
    """Turn packages of the Debian mirror into rpm's, and index them, in `work`/repository."""
    packages = [_package(wanted, name, debian, work / "files") for name in PACKAGES]
    repository = work / "repository"
    repository.mkdir()
    for package in rpm.build(packages, work / "files", work / "rpm"):
        package.rename(repository / package.name)
    run(["createrepo_c", "--quiet", repository])


def _package(wanted: Standin, name: str, debian: Path, root: Path) -> RpmPackage:
    """Unpack one package of Debian's into `root`, and describe it as rpm's."""
    found = sorted(debian.glob(f"{name}_*.deb"))
    if not found:
        raise NotFoundError(f"the package mirror has no {name}", "python -m images mirror")
    own = root.with_name(name)
    run(["dpkg-deb", "--extract", found[0], own])
    if name == "cloud-init":
        config = own / "etc/cloud/cloud.cfg"
        config.write_text(config.read_text().replace("distro: debian", f"distro: {wanted.distro}"))
    _merge(own)
    files = tuple(_kept(own))
    run(["cp", "--archive", f"{own}/.", root])
    known = {package: rpm_name for rpm_name, package in wanted.names.items()}
    return RpmPackage(
        name=name,
        version=run(["dpkg-deb", "--show", "--showformat", "${source:Upstream-Version}", found[0]]),
        summary=f"Debian's package {name} in rpm's format",
        requires=tuple(known.get(each, each) for each in PACKAGES[name]),
        files=files,
        post=_POST.get(name, ""),
    )


def _merge(own: Path) -> None:
    """Move /lib to where it is on a system of today."""
    if (own / "lib").is_dir():
        run(["cp", "--archive", f"{own}/lib/.", own / "usr/lib"])
        shutil.rmtree(own / "lib")


def _kept(own: Path) -> Iterator[str]:
    for path in sorted(own.rglob("*")):
        name = f"/{path.relative_to(own)}"
        if not _LEFT_OUT.match(name) and (path.is_symlink() or path.is_file()):
            yield name
