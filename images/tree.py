# SPDX-License-Identifier: Apache-2.0
"""What the builder itself writes into a finished file tree: names, mounts, GRUB's menu, keys."""

import hashlib
import random
from pathlib import Path
from typing import Final

from images import keys
from images.recipe import DiskRecipe, Recipe, SampleFiles, filesystem_uuid

MENU: Final = """\
# Written when the image was built; `update-grub` may rewrite it.
set default=0
set timeout=0
menuentry "Debian GNU/Linux" {{
    linux /vmlinuz root=UUID={uuid} ro {arguments}
    initrd /initrd.img
}}
"""


def finish(recipe: Recipe, root: Path) -> None:
    """Write into the tree what depends on the recipe's disks and on the cache's keys."""
    (root / "etc/hostname").write_text(f"{recipe.hostname}\n")
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {recipe.hostname}\n")
    # mmdebstrap leaves the one of the machine that builds.
    _write(root / "etc/resolv.conf", "", 0o644)
    # Empty, not absent: systemd makes a new one on the first boot without calling it that.
    (root / "etc/machine-id").write_text("")
    (root / "etc/fstab").write_text(fstab(recipe))
    (root / "boot/grub").mkdir(parents=True, exist_ok=True)
    (root / "boot/grub/grub.cfg").write_text(menu(recipe))
    if recipe.guest_key:
        bake_in_keys(root)


def fstab(recipe: Recipe) -> str:
    """List the recipe's file systems by UUID, in the form that mount wants."""
    return "".join(
        f"UUID={filesystem_uuid(recipe, disk)} {disk.mount} ext4 {disk.options} 0 {disk.check}\n"
        for disk in recipe.disks
    )


def menu(recipe: Recipe) -> str:
    """Write GRUB's menu: one entry that starts at once."""
    uuid = filesystem_uuid(recipe, recipe.disks[0])
    return MENU.format(uuid=uuid, arguments=recipe.kernel_arguments)


def bake_in_keys(root: Path) -> None:
    """Let the cache's guest key in as root, and show the cache's host key."""
    host_key = keys.guest_host_key()
    for old in (root / "etc/ssh").glob("ssh_host_*"):
        old.unlink()
    _write(root / "root/.ssh/authorized_keys", keys.public_line(keys.guest_key()) + "\n", 0o600)
    _write(root / "etc/ssh/ssh_host_ed25519_key", host_key.read_text(), 0o600)
    _write(root / "etc/ssh/ssh_host_ed25519_key.pub", keys.public_line(host_key) + "\n", 0o644)


def fill(disk: DiskRecipe, folder: Path) -> None:
    """Fill the tree of a disk that holds no system: its sample files, if it has any."""
    folder.chmod(0o755)
    if disk.samples:
        write_samples(disk.samples, folder / disk.samples.folder)


def write_samples(samples: SampleFiles, folder: Path) -> None:
    """Write random files and SHA256SUMS; the same bytes each time, since the seed is the name."""
    folder.mkdir(parents=True)
    sums = []
    for number in range(samples.count):
        name = f"sample-{number:03d}.bin"
        content = random.Random(name).randbytes(samples.size_mib << 20)  # noqa: S311 - no secret
        (folder / name).write_bytes(content)
        sums.append(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
    (folder / "SHA256SUMS").write_text("".join(sums))


def _write(path: Path, text: str, mode: int) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
