# SPDX-License-Identifier: Apache-2.0
"""The file tree of a whole host, of another release of Debian than this machine's, for the lab."""

import shutil
from pathlib import Path

from images import cache, recipe
from images.builder import check_tools
from images.commands import reported, say
from images.recipe import HostRecipe
from images.rootfs import make_rootfs


def build_host(name: str) -> Path:
    """Return the root folder of a host, built now if its recipe changed since it was built.

    Nobody may write to it: it is shared by all that are made from it. Raises NotFoundError for an
    unknown recipe, BadInputError where a tool is missing, TradewindError when a step fails.
    """
    wanted = recipe.load_host(name)
    final = _folder(wanted)
    with cache.locked(f"host-{name}"):
        if final.exists():
            say(f"host {name}: {final.name} is built already")
            return final
        check_tools()
        with reported(f"host {name}: installing packages"):
            _make(wanted, final)
    return final


def clean(name: str, *, everything: bool = False) -> None:
    """Delete the versions of a host that its recipe no longer describes, or all of them."""
    current = _folder(recipe.load_host(name))
    with cache.locked(f"host-{name}"):
        for found in current.parent.glob(f"{name}-*"):
            if everything or found != current:
                shutil.rmtree(found)
                say(f"host {name}: removed {found.name}")


def _folder(wanted: HostRecipe) -> Path:
    return cache.home() / "hosts" / f"{wanted.name}-{recipe.digest(wanted)}"


def _make(wanted: HostRecipe, final: Path) -> None:
    final.parent.mkdir(exist_ok=True)
    with cache.work_folder(f"host-{wanted.name}") as work:
        root = work / "tree"
        root.mkdir(mode=0o755)
        make_rootfs(wanted, root, work)
        root.rename(final)
