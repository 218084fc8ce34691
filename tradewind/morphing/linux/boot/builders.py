# SPDX-License-Identifier: Apache-2.0
"""The programs that build initial RAM disks: how each is told what to put in, now and later."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from tradewind.errors import MorphingError
from tradewind.model.guest import Family, GuestOS
from tradewind.morphing import backup, files
from tradewind.morphing.linux.boot.kernels import WANTED, KernelVersion, RootStack
from tradewind.ports import GuestTree
from tradewind.shell_programs import program

MODULES_FILE: Final = "/etc/initramfs-tools/modules"
DRACUT_DROP_IN: Final = "/etc/dracut.conf.d/90-tradewind.conf"
_MKINITCPIO: Final = "/etc/mkinitcpio.conf"
_SUSE_KERNEL: Final = "/etc/sysconfig/kernel"

# The same program as before, so that the kernel can read it, but less patient: under emulation
# `zstd -19` and `xz -9` take minutes. Measured on Debian 12: -9 14.6 s, -3 12.4 s in all.
_QUICK: Final = {"zstd": "zstd -3 -q -T0", "xz": "xz -1 --check=crc32", "gzip": "gzip -3"}
_FOR_WORKER: Final = "--no-hostonly-cmdline"


@dataclass(frozen=True, slots=True)
class ImageContents:
    """What images have to have: drivers, what the root lies on, parameters that dracut keeps."""

    drivers: tuple[str, ...]
    stack: RootStack
    parameters: tuple[str, ...]


class Builder(Protocol):
    """One program that builds images."""

    @property
    def name(self) -> str:
        """Its program."""
        ...

    def prepare(self, guest: GuestTree, contents: ImageContents) -> None:
        """Tell it what later images have to have as well."""
        ...

    def command(self, kernel: KernelVersion, image: str) -> Sequence[str]:
        """Return how it builds an image in its place."""
        ...

    def image(self, version: str) -> str:
        """Return where it puts the image of a kernel that has none."""
        ...


_UPDATE: Final = program(__file__, "update_initramfs.sh")


@dataclass(frozen=True, slots=True)
class InitramfsTools:
    """Debian's and Ubuntu's own."""

    name: str = "update-initramfs"

    def prepare(self, guest: GuestTree, contents: ImageContents) -> None:
        """Add module names to the list, in our order. Format: initramfs-tools(7), one a line."""
        text = files.read(guest, MODULES_FILE).get(MODULES_FILE, "")
        listed = {line.split()[0].replace("-", "_") for line in text.splitlines() if line.split()}
        missing = [driver for driver in contents.drivers if driver not in listed]
        lines = "".join(f"{driver}\n" for driver in missing)
        if text and missing:
            backup.rewrite(guest, MODULES_FILE, text.rstrip("\n") + "\n" + lines)
        elif missing:
            guest.write_text(MODULES_FILE, lines)

    def command(self, kernel: KernelVersion, image: str) -> Sequence[str]:
        """Run the hooks of other packages, too (systemd-boot's copies the image)."""
        return ["sh", "-c", _UPDATE, "sh", kernel.version, image, kernel.compression.get(image, "")]

    def image(self, version: str) -> str:
        """Follow Debian."""
        return f"/boot/initrd.img-{version}"


@dataclass(frozen=True, slots=True)
class Dracut:
    """Red Hat's and SUSE's, and others'."""

    default: str
    switches: tuple[str, ...] = ()
    name: str = "dracut"

    def prepare(self, guest: GuestTree, contents: ImageContents) -> None:
        """Write a drop-in: images made for one host only have to have them, too.

        What it names is added to what dracut chooses. Parameters that an image kept (SUSE's say
        which volumes to activate) are carried over. Format: dracut.conf(5).
        """
        text = "# Written by Tradewind: what this machine starts from since it was moved.\n"
        text += f'add_drivers+=" {" ".join(contents.drivers)} "\n'
        if contents.stack.dracut:
            text += f'add_dracutmodules+=" {" ".join(contents.stack.dracut)} "\n'
        if contents.parameters:
            text += f'kernel_cmdline+=" {" ".join(contents.parameters)} "\n'
        files.write_changed(guest, files.read(guest, DRACUT_DROP_IN), {DRACUT_DROP_IN: text})

    def command(self, kernel: KernelVersion, image: str) -> Sequence[str]:
        """Build in place; dracut moves the new image there when it is complete.

        Where the old image kept parameters, the drop-in has them: those of the worker stay out.
        """
        quick = _QUICK.get(kernel.compression.get(image, ""))
        options = ["--compress", quick] if quick and "--compress" in self.switches else []
        if kernel.parameters and _FOR_WORKER in self.switches:
            options.append(_FOR_WORKER)
        return ["dracut", "--force", *options, image, kernel.version]

    def image(self, version: str) -> str:
        """Follow the family."""
        return self.default.format(version)


@dataclass(frozen=True, slots=True)
class Mkinitrd:
    """What built images before dracut: Red Hat 5 and SUSE 11."""

    suse: bool
    name: str = "mkinitrd"

    def prepare(self, guest: GuestTree, contents: ImageContents) -> None:
        """Extend SUSE's list; Red Hat's takes them from modprobe.conf's aliases."""
        texts = files.read(guest, _SUSE_KERNEL) if self.suse else {}
        for path, text in texts.items():
            found = re.search(r'^INITRD_MODULES="([^"\n]*)"', text, re.MULTILINE)
            listed = found[1].split() if found else []
            wanted = [*listed, *(driver for driver in contents.drivers if driver not in listed)]
            line = f'INITRD_MODULES="{" ".join(wanted)}"'
            if found and found[0] != line:
                backup.rewrite(guest, path, text.replace(found[0], line))

    def command(self, kernel: KernelVersion, image: str) -> Sequence[str]:
        """Name the drivers once more where there is no list."""
        if self.suse:
            return [
                "mkinitrd",
                "-k",
                f"vmlinuz-{kernel.version}",
                "-i",
                image.removeprefix("/boot/"),
            ]
        return ["mkinitrd", "-f", *(f"--with={driver}" for driver in WANTED), image, kernel.version]

    def image(self, version: str) -> str:
        """Follow the family."""
        return f"/boot/initrd-{version}" + ("" if self.suse else ".img")


@dataclass(frozen=True, slots=True)
class Mkinitcpio:
    """Arch's."""

    name: str = "mkinitcpio"

    def prepare(self, guest: GuestTree, contents: ImageContents) -> None:
        """Extend the list of modules. Format: mkinitcpio.conf(5), an array of the shell."""
        text = guest.read_text(_MKINITCPIO)
        found = re.search(r"^MODULES=\(([^)]*)\)", text, re.MULTILINE)
        listed = found[1].split() if found else []
        wanted = [*listed, *(driver for driver in contents.drivers if driver not in listed)]
        line = f"MODULES=({' '.join(wanted)})"
        if found is None:
            backup.rewrite(guest, _MKINITCPIO, f"{text.rstrip()}\n{line}\n")
        elif found[0] != line:
            backup.rewrite(guest, _MKINITCPIO, text.replace(found[0], line))

    def command(self, kernel: KernelVersion, image: str) -> Sequence[str]:
        """Build for this version and no other."""
        return ["mkinitcpio", "-k", kernel.version, "-g", image]

    def image(self, version: str) -> str:
        """Refuse to guess: the name is the kernel package's."""
        raise MorphingError(
            f"{version} has no initial RAM disk, and mkinitcpio gives no name to it"
        )


_FIND: Final = program(__file__, "find_builders.sh")


def find(guest: GuestTree, os: GuestOS) -> Builder:
    """Choose the program that builds this guest's images; MorphingError when there is none."""
    present = guest.run(["sh", "-c", _FIND]).stdout.split()
    if "mkinitramfs" in present:
        return InitramfsTools()
    if "dracut" in present:
        return Dracut(_dracut_name(os), tuple(word for word in present if word.startswith("--")))
    if "mkinitcpio" in present:
        return Mkinitcpio()
    if "mkinitrd" in present:
        return Mkinitrd(suse=os.family is Family.SUSE)
    raise MorphingError(
        "nothing in the guest builds initial RAM disks: no update-initramfs, dracut, mkinitcpio "
        "or mkinitrd",
        "install the distribution's builder (initramfs-tools, dracut) on the source",
    )


def _dracut_name(os: GuestOS) -> str:
    names = {Family.DEBIAN: "/boot/initrd.img-{}", Family.SUSE: "/boot/initrd-{}"}
    return names.get(os.family, "/boot/initramfs-{}.img")
