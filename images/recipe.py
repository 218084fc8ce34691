# SPDX-License-Identifier: Apache-2.0
"""What an image is made of: one folder below `recipes/`, read into typed records."""

import hashlib
import tomllib
import uuid
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from tradewind.errors import NotFoundError
from tradewind.model.record import Record

HERE: Final = Path(__file__).parent
RECIPES: Final = HERE / "recipes"
HOSTS: Final = HERE / "hosts"
BUILDER: Final = ("apt.py", "disk.py", "keys.py", "recipe.py", "rootfs.py", "tree.py")
"""The modules that shape an image; a change in one of them makes every image anew."""

_NAMESPACE: Final = uuid.UUID("9d1f0a53-6c0f-4f7e-9a3f-3f5f6f0f8f11")


class SampleFiles(Record):
    """Files with random but known content, listed in a SHA256SUMS file beside them."""

    folder: str
    count: int
    size_mib: int


class DiskRecipe(Record):
    """One disk: an MBR and one ext4 partition that fills it."""

    name: str
    size_gib: int
    label: str
    mount: str
    options: str = "defaults"
    check: int = Field(default=0, description="the sixth field of fstab: the order of fsck")
    features: str = Field(default="", description="mke2fs -O, on top of Debian's defaults")
    compressed: bool = False
    samples: SampleFiles | None = None


class TrialHardware(Record):
    """What `python -m images boot` gives the image to run on."""

    bus: Literal["virtio", "sata"]
    nic: Literal["virtio-net-pci", "e1000e"]
    memory_mib: int
    cpu: str = "max"
    seed: bool = Field(description="log in with a key from a NoCloud seed, else with the guest key")
    address: str = Field(default="", description="the guest's own static address; empty: DHCP")


class TreeRecipe(Record):
    """A file tree of Debian's packages; files and a `customize.sh` may be beside it."""

    name: str
    summary: str
    suite: str
    variant: Literal["minbase", "important"]
    packages: tuple[str, ...]
    excluded_paths: tuple[str, ...] = Field(default=(), description="dpkg's path-exclude globs")
    kept_paths: tuple[str, ...] = Field(default=(), description="dpkg's path-include globs")

    @property
    def folder(self) -> Path:
        """Where the recipe's files are."""
        raise NotImplementedError


class HostRecipe(TreeRecipe):
    """The system of a whole host of the lab: no kernel and no disk, since this machine's run it."""

    @property
    def folder(self) -> Path:
        """Where the recipe's files are."""
        return HOSTS / self.name


class Recipe(TreeRecipe):
    """Everything about one image except its files and its `customize.sh`."""

    hostname: str
    kernel_arguments: str
    guest_key: bool = Field(default=False, description="bake in the login key and stable host keys")
    disks: tuple[DiskRecipe, ...]
    hardware: TrialHardware

    @property
    def folder(self) -> Path:
        """Where the recipe's files are."""
        return RECIPES / self.name


def names() -> tuple[str, ...]:
    """List the recipes there are."""
    return tuple(sorted(path.parent.name for path in RECIPES.glob("*/recipe.toml")))


def load(name: str) -> Recipe:
    """Read one recipe. Raises NotFoundError when there is none of this name."""
    if name not in names():
        raise NotFoundError(f"image {name}: no such recipe", f"one of: {', '.join(names())}")
    text = (RECIPES / name / "recipe.toml").read_text()
    return Recipe.model_validate({"name": name} | tomllib.loads(text))


def host_names() -> tuple[str, ...]:
    """List the hosts there are recipes for."""
    return tuple(sorted(path.parent.name for path in HOSTS.glob("*/recipe.toml")))


def load_host(name: str) -> HostRecipe:
    """Read the recipe of a host. Raises NotFoundError when there is none of this name."""
    if name not in host_names():
        raise NotFoundError(f"host {name}: no such recipe", f"one of: {', '.join(host_names())}")
    text = (HOSTS / name / "recipe.toml").read_text()
    return HostRecipe.model_validate({"name": name} | tomllib.loads(text))


def filesystem_uuid(recipe: Recipe, disk: DiskRecipe) -> uuid.UUID:
    """Name a file system the same way in every build, so that fstab and GRUB can be written."""
    return uuid.uuid5(_NAMESPACE, f"{recipe.name}/{disk.name}")


def digest(recipe: TreeRecipe, *baked_in: str) -> str:
    """Sum up everything that shapes the image: its folder, the builder, and `baked_in` texts.

    Twelve hexadecimal digits of SHA-256: enough to tell the versions of one recipe apart.
    """
    sums = hashlib.sha256()
    for path in _inputs(recipe):
        content = _content(path)
        sums.update(f"{path.relative_to(HERE)} {_mode(path)} {len(content)}\n".encode())
        sums.update(content)
    for text in baked_in:
        sums.update(text.encode())
    return sums.hexdigest()[:12]


def _inputs(recipe: TreeRecipe) -> list[Path]:
    own = [path for path in recipe.folder.rglob("*") if path.is_symlink() or path.is_file()]
    return sorted(own) + [HERE / name for name in BUILDER]


def _mode(path: Path) -> str:
    """Only what git keeps: a checkout's umask must not change the digest."""
    if path.is_symlink():
        return "link"
    return "executable" if path.stat().st_mode & 0o100 else "plain"


def _content(path: Path) -> bytes:
    return str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
