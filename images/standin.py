# SPDX-License-Identifier: Apache-2.0
"""What rpm's database of a stand-in knows: Debian's packages under another family's names.

The kernel's package owns its files. The others are entries without files, with Debian's version,
under the names by which packages of the family require each other.
"""

import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from images import rpm
from images.commands import run
from images.recipe import Recipe
from images.rpm import RpmPackage
from tradewind.model.record import Record

FILE: Final = "standin.toml"


class Standin(Record):
    """The names: `release` and `kernel` are packages, `names` maps others to Debian's.

    `distro` is what cloud-init calls a system of this family.
    """

    version: str
    release: str
    kernel: str
    distro: str
    names: dict[str, str]


def load(recipe: Recipe) -> Standin | None:
    """Read what a recipe says about it; None for a guest that is what it says it is."""
    path = recipe.folder / FILE
    return Standin.model_validate(tomllib.loads(path.read_text())) if path.exists() else None


def register(standin: Standin, root: Path, work: Path) -> None:
    """Fill the database of the tree `root`."""
    packages = (_release(standin), _kernel(standin, root), *_others(standin, root))
    rpm.register(rpm.build(packages, root, work / "rpm"), root)
    shutil.rmtree(work / "rpm")


def _release(standin: Standin) -> RpmPackage:
    return RpmPackage(
        name=standin.release,
        version=standin.version,
        summary="Says what this system stands in for",
        # By the second one dnf finds its $releasever.
        provides=(
            f"system-release = {standin.version}",
            f"system-release(releasever) = {standin.version}",
        ),
        files=("/usr/lib/os-release",),
    )


def _kernel(standin: Standin, root: Path) -> RpmPackage:
    (modules,) = (root / "usr/lib/modules").iterdir()
    version, release = modules.name.split("-", 1)
    return RpmPackage(
        name=standin.kernel,
        version=version,
        release=release.replace("-", "."),
        summary="The Linux kernel, Debian's",
        provides=(f"kernel = {version}", f"kernel-uname-r = {version}-{release.replace('-', '.')}"),
        files=(
            *(f"/boot/{name}-{modules.name}" for name in ("vmlinuz", "config", "System.map")),
            f"/usr/lib/modules/{modules.name}",
        ),
    )


def _others(standin: Standin, root: Path) -> Iterator[RpmPackage]:
    show = ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "--show", "--showformat"]
    for name, package in standin.names.items():
        version = run([*show, "${source:Upstream-Version}", package])
        yield RpmPackage(
            name=name,
            version=re.sub(r"[^A-Za-z0-9.]+", ".", version),
            summary=f"Stands for Debian's package {package}",
            provides=("/bin/sh",) if name == "bash" else (),
        )
