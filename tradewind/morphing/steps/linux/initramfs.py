# SPDX-License-Identifier: Apache-2.0
"""Rebuild the initial RAM disk of every kernel with the VirtIO drivers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tradewind.errors import MorphingError
from tradewind.model.guest import Family, GuestOS, MorphOptions, Outcome
from tradewind.morphing import backup, files
from tradewind.ports import GuestTree

MODULES_FILE: Final = "/etc/initramfs-tools/modules"
# An emulated worker compresses slowly.
TIMEOUT: Final = 1800

# sd_mod: disks on a virtio-scsi controller. The rest is what reaches a disk and a network.
WANTED: Final = ("virtio_pci", "virtio_blk", "virtio_scsi", "virtio_net", "sd_mod")
# Without these two no disk is found on the destination.
_VITAL: Final = ("virtio_pci", "virtio_blk")

# Prints "kernel source module" for all kernels at once, where source is "built-in", "module" or
# "image". File names have dashes and compression suffixes as they like.
_SURVEY: Final = """
names() { sed -n 's!.*/!!; s!-!_!g; s!\\.ko.*!!p' | sort -u | sed "s!^!$1 $2 !"; }
pattern='/(virtio[-_][a-z]*|sd_mod)\\.ko'
for kernel; do
    folder=/lib/modules/$kernel
    grep -Es "$pattern" "$folder/modules.builtin" | names "$kernel" built-in
    find "$folder" -name '*.ko*' | grep -E "$pattern" | names "$kernel" module
    lsinitramfs "/boot/initrd.img-$kernel" 2>/dev/null | grep -E "$pattern" |
        names "$kernel" image
done
"""


@dataclass(slots=True)
class _Drivers:
    """Where one kernel has the wanted drivers."""

    found: dict[str, set[str]] = field(
        default_factory=lambda: {"built-in": set(), "module": set(), "image": set()}
    )

    @property
    def loadable(self) -> list[str]:
        """Wanted drivers that have to be in the image."""
        return [m for m in WANTED if m in self.found["module"] - self.found["built-in"]]

    @property
    def lacking(self) -> list[str]:
        """Wanted drivers that have to be in the image and are not."""
        return [m for m in self.loadable if m not in self.found["image"]]

    @property
    def unfit(self) -> list[str]:
        """Vital drivers that this kernel does not have at all."""
        return [m for m in _VITAL if m not in self.found["module"] | self.found["built-in"]]


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Say whether the guest builds its images with update-initramfs."""
    return os.family is Family.DEBIAN


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Add the drivers to the list of modules, rebuild, and look into the images again."""
    before = _survey(guest, os.kernels)
    fit = [kernel for kernel in os.kernels if not before[kernel].unfit]
    if not fit:
        raise MorphingError(
            f"no kernel of {os.pretty_name} can use VirtIO disks ({', '.join(os.kernels) or 'none'}"
            " found in /boot)",
            "install the distribution's standard kernel on the source, and transfer again",
        )
    remedy = _remedy(os.kernels, fit)
    stale = [kernel for kernel in fit if before[kernel].lacking]
    if not stale:
        return Outcome(changed=False, summary="the drivers are in every image", remedy=remedy)
    _list_modules(guest, {m for kernel in stale for m in before[kernel].loadable})
    for kernel in stale:
        _rebuild(guest, kernel)
    _prove(_survey(guest, stale), stale)
    added = sorted({m for kernel in stale for m in before[kernel].lacking})
    summary = f"added {', '.join(added)} to the images of {', '.join(stale)}"
    return Outcome(changed=True, summary=summary, remedy=remedy)


def _survey(guest: GuestTree, kernels: Sequence[str]) -> dict[str, _Drivers]:
    drivers = {kernel: _Drivers() for kernel in kernels}
    said = guest.run(["sh", "-c", _SURVEY, "sh", *kernels], timeout=TIMEOUT)
    for line in said.stdout.splitlines():
        kernel, source, module = line.split(" ")
        drivers[kernel].found[source].add(module)
    return drivers


def _list_modules(guest: GuestTree, modules: set[str]) -> None:
    """Add module names to the list, in our order. Format: initramfs-tools(7), one on a line."""
    if not files.present(guest, "/usr/sbin/update-initramfs"):
        raise MorphingError(
            "the guest builds its initial RAM disks with something other than update-initramfs",
            "install initramfs-tools on the source, and transfer again",
        )
    text = files.read(guest, MODULES_FILE).get(MODULES_FILE, "")
    listed = {line.split()[0].replace("-", "_") for line in text.splitlines() if line.split()}
    missing = [module for module in WANTED if module in modules and module not in listed]
    if not missing:
        return
    lines = "".join(f"{module}\n" for module in missing)
    if not text:
        guest.write_text(MODULES_FILE, lines)
    else:
        backup.rewrite(guest, MODULES_FILE, text.rstrip("\n") + "\n" + lines)


def _rebuild(guest: GuestTree, kernel: str) -> None:
    image = f"/boot/initrd.img-{kernel}"
    present = files.present(guest, image)
    if present:
        backup.keep(guest, image)
    guest.run(
        ["update-initramfs", "-u" if present else "-c", "-k", kernel],
        timeout=TIMEOUT,
    )


def _prove(after: dict[str, _Drivers], kernels: Sequence[str]) -> None:
    for kernel in kernels:
        if after[kernel].lacking:
            raise MorphingError(
                f"the rebuilt image of {kernel} still lacks {', '.join(after[kernel].lacking)}",
                "look into /etc/initramfs-tools on the source for what leaves them out",
            )


def _remedy(kernels: Sequence[str], fit: Sequence[str]) -> str:
    unfit = [kernel for kernel in kernels if kernel not in fit]
    if not unfit:
        return ""
    verb = "has" if len(unfit) == 1 else "have"
    return f"{', '.join(unfit)} {verb} no VirtIO drivers and cannot be booted any more"
