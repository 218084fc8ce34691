# SPDX-License-Identifier: Apache-2.0
"""Build an image whose disks are laid out by a `layout.toml`."""

import shlex
import shutil
from pathlib import Path
from typing import Final

from images import cache, layout, qemu, stacking, standin, tree, workshop
from images.cache import BuiltImage
from images.commands import reported, run, say
from images.layout import Layout
from images.recipe import Recipe
from images.rootfs import make_rootfs
from tradewind.units import human_size

# Mounts that udev's namespace gets to see keep volumes in use there after they are unmounted here.
_ALONE: Final = "unshare --mount --propagation private"


def make(
    wanted: Recipe, planned: Layout, worker: BuiltImage, digest: str, work: Path
) -> BuiltImage:
    """Make the guest's tree, then its disks in a virtual machine; `work` is left with the image."""
    root = work / "tree"
    root.mkdir(mode=0o755)
    with reported(f"image {wanted.name}: installing packages"):
        make_rootfs(wanted, root, work)
    if stands_in := standin.load(wanted):
        standin.register(stands_in, root, work)
    finish(wanted, planned, root)
    archive = pack(root, work)
    disks = {disk.name: _blank(work, disk) for disk in planned.disks}
    variables = _variables(planned, work)
    script = stacking.script(wanted, planned, (wanted.folder / "install.sh").read_text())
    with (
        reported(f"image {wanted.name}: stacking up its disks in a virtual machine"),
        workshop.opened(worker, {stacking.TREE: archive, **disks}, variables, work) as machine,
    ):
        machine.ssh(f"{_ALONE} sh -c {shlex.quote(script)}")
    archive.unlink()
    size = sum(disk.stat().st_size for disk in disks.values())
    say(f"image {wanted.name}: its disks take {human_size(size)}")
    return BuiltImage(
        name=wanted.name,
        disks=tuple(disks.values()),
        digest=digest,
        checksum=cache.checksum(next(iter(disks.values()))),
        variables=variables,
    )


def finish(wanted: Recipe, planned: Layout, root: Path) -> None:
    """Write into the tree what depends on the layout and on the cache's keys."""
    _name(wanted, root)
    tree.bake_in_keys(root)
    (root / "etc/fstab").write_text(layout.fstab(wanted, planned))
    if planned.encrypted:
        (root / "etc/crypttab").write_text(layout.crypttab(wanted, planned))
    if planned.arrays:
        (root / "etc/mdadm/mdadm.conf").write_text(layout.mdadm_conf(wanted, planned))
    tree.write_samples(planned.samples, root / planned.samples.folder)


def _name(wanted: Recipe, root: Path) -> None:
    (root / "etc/hostname").write_text(f"{wanted.hostname}\n")
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {wanted.hostname}\n")
    # Empty, not absent: systemd makes a new one on the first boot without calling it that.
    (root / "etc/machine-id").write_text("")
    # mmdebstrap leaves the one of the machine that builds.
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text("")


def pack(root: Path, work: Path) -> Path:
    """Put the tree into a tar archive, which can be a disk as it is: it fills whole sectors."""
    archive = work / "tree.tar"
    # fmt: off
    run(["tar", "--create", "--numeric-owner", "--xattrs", "--sort=name", "--directory", root,
         "--file", archive, "."])
    # fmt: on
    shutil.rmtree(root)
    return archive


def _blank(work: Path, disk: layout.GptDisk) -> Path:
    path = work / f"{disk.name}.qcow2"
    run(["qemu-img", "create", "-q", "-f", "qcow2", path, f"{disk.size_gib}G"])
    return path


def _variables(planned: Layout, work: Path) -> Path | None:
    """Give a guest of UEFI firmware the firmware's variables as they come from the factory."""
    if planned.firmware == "bios":
        return None
    return Path(shutil.copy(qemu.UEFI_VARIABLES, work / "variables.fd"))
