# SPDX-License-Identifier: Apache-2.0
"""Make the file tree of an image with mmdebstrap."""

from collections.abc import Iterator
from pathlib import Path

from images import apt
from images.commands import CONFINED, run
from images.recipe import TreeRecipe


def make_rootfs(recipe: TreeRecipe, root: Path, work: Path) -> None:
    """Install the recipe's packages into the empty folder `root`, then run its `customize.sh`.

    The recipe's files are laid down before its packages are unpacked, so that the packages'
    scripts obey them already (no initramfs is built twice).
    """
    sources = work / "sources.list"
    sources.write_text(apt.render(apt.debian_sources(recipe.suite)))
    settings = work / "apt.conf"
    settings.write_text(apt.settings())
    run([*CONFINED, *_mmdebstrap(recipe, root, sources, settings)])


def _mmdebstrap(recipe: TreeRecipe, root: Path, sources: Path, settings: Path) -> list[str]:
    # fmt: off
    return [
        "mmdebstrap", "--mode=root", "--format=directory",
        f"--variant={recipe.variant}", f"--include={','.join(recipe.packages)}",
        f"--keyring={apt.KEYRING}", f"--aptopt={settings}",
        "--dpkgopt=force-unsafe-io", "--dpkgopt=force-confold", *_path_options(recipe),
        *_own_hooks(recipe),
        '--customize-hook=rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap',
        '--customize-hook=rm -f "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap',
        recipe.suite, str(root), str(sources),
    ]
    # fmt: on


def _own_hooks(recipe: TreeRecipe) -> Iterator[str]:
    """Bring in the recipe's own files and script, where it has any."""
    files, script = recipe.folder / "files", recipe.folder / "customize.sh"
    if files.exists():
        yield f'--essential-hook=cp -R --no-target-directory "{files}" "$1"'
    if script.exists():
        yield f'--customize-hook=chroot "$1" sh -eu <"{script}"'


def _path_options(recipe: TreeRecipe) -> Iterator[str]:
    """Tell dpkg what not to unpack; what comes later wins, so exceptions follow."""
    for glob in recipe.excluded_paths:
        yield f"--dpkgopt=path-exclude={glob}"
    for glob in recipe.kept_paths:
        yield f"--dpkgopt=path-include={glob}"
