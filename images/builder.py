# SPDX-License-Identifier: Apache-2.0
"""Build an image, or find that it is built already."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from images import cache, disk, keys, layout, recipe, stacked, tree
from images.cache import BuiltImage
from images.commands import reported, say
from images.recipe import DiskRecipe, Recipe
from images.rootfs import make_rootfs
from tradewind.errors import BadInputError, TradewindError
from tradewind.units import human_size

WORKER = "worker"
_TOOLS = (
    "mmdebstrap",
    "mke2fs",
    "grub-mkimage",
    "qemu-img",
    "unshare",
    "setpriv",
    "debugfs",
    "rpmbuild",
)


def build(name: str) -> BuiltImage:
    """Return the image of a recipe, built now if its recipe changed since it was built.

    Raises NotFoundError for an unknown recipe, BadInputError where a tool is missing,
    TradewindError when a step fails; nothing is left behind then.
    """
    wanted = recipe.load(name)
    digest = current_digest(wanted)
    with cache.locked(name):
        found = cache.find(name, digest)
        if found:
            say(f"image {name}: {digest} is built already")
            return found
        check_tools()
        with reported(f"image {name}: building {digest}"), cache.work_folder(name) as work:
            return cache.keep(work, make(wanted, digest, work))


def current_digest(wanted: Recipe) -> str:
    """Sum up a recipe as it is now, with the keys that would be baked in."""
    if not wanted.guest_key:
        return recipe.digest(wanted)
    pairs = (keys.guest_key(), keys.guest_host_key())
    baked_in = [keys.public_line(pair) for pair in pairs]
    if layout.load(wanted):
        baked_in += [(recipe.HERE / name).read_text() for name in layout.BUILDER]
    return recipe.digest(wanted, *baked_in)


def check_tools() -> None:
    """Refuse to start where a program is missing."""
    missing = [tool for tool in _TOOLS if not shutil.which(tool)]
    if missing:
        raise BadInputError(
            f"building images needs {', '.join(missing)}",
            "run deployments/install-system-packages --lab",
        )


def make(wanted: Recipe, digest: str, work: Path) -> BuiltImage:
    """Build every disk of a recipe in the folder `work`; its intermediate files are removed."""
    planned = layout.load(wanted)
    try:
        if planned:
            return stacked.make(wanted, planned, build(WORKER), digest, work)
        disks = tuple(make_disks(wanted, work))
    except TradewindError as error:
        raise TradewindError(f"image {wanted.name}: {error.message}", error.hint) from error
    return BuiltImage(
        name=wanted.name, disks=disks, digest=digest, checksum=cache.checksum(disks[0])
    )


def make_disks(wanted: Recipe, work: Path) -> Iterator[Path]:
    """Make the disks one after another: the first holds the system, the others data."""
    for number, each in enumerate(wanted.disks):
        root = work / "tree"
        root.mkdir(mode=0o755)
        if number == 0:
            with reported(f"image {wanted.name}: installing packages"):
                make_rootfs(wanted, root, work)
            tree.finish(wanted, root)
        else:
            tree.fill(each, root)
        with reported(f"image {wanted.name}: writing disk {each.name}"):
            yield write_disk(wanted, each, root, work)
        shutil.rmtree(root)


def write_disk(wanted: Recipe, each: DiskRecipe, root: Path, work: Path) -> Path:
    """Turn one file tree into a qcow2 file."""
    raw, qcow2 = work / f"{each.name}.raw", work / f"{each.name}.qcow2"
    disk.make_image(raw, each, recipe.filesystem_uuid(wanted, each), root)
    if each is wanted.disks[0]:
        disk.make_bootable(raw, root, work)
    disk.convert(raw, qcow2, compressed=each.compressed)
    raw.unlink()
    say(f"image {wanted.name}: {qcow2.name} takes {human_size(qcow2.stat().st_size)}")
    return qcow2
