# SPDX-License-Identifier: Apache-2.0
"""Put the boot loader where a firmware looks that has never seen this machine."""

from typing import Final

from tradewind.errors import MorphingError
from tradewind.model.guest import GuestOS, MorphOptions, Outcome
from tradewind.ports import GuestTree

# What the UEFI specification (section 3.5.1.1) calls the removable media path.
_FALLBACK: Final = {"x64": "BOOTX64.EFI", "aa64": "BOOTAA64.EFI"}
# Loaders to start with, best first: shim checks GRUB's signature under Secure Boot.
_LOADERS: Final = ("shim", "grub", "systemd-boot")
# Copied along: shim starts GRUB, and its key manager, from its own folder.
_COMPANIONS: Final = ("grub", "mm")


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Say whether the guest starts from an EFI system partition."""
    return _partition(os) is not None


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Copy the loader, and compare the copy."""
    top = f"{_partition(os)}/EFI"
    vendors = [name for name in guest.list(top) if name.upper() != "BOOT"]
    for arch, fallback in _FALLBACK.items():
        if fallback in {name.upper() for name in guest.list(f"{top}/BOOT")}:
            return Outcome(changed=False, summary=f"{fallback} is in place")
        for vendor in vendors:
            names = {name.lower(): name for name in guest.list(f"{top}/{vendor}")}
            loader = next((n for k in _LOADERS if (n := names.get(f"{k}{arch}.efi"))), None)
            if loader:
                _copy(guest, f"{top}/{vendor}/{loader}", f"{top}/BOOT/{fallback}")
                for companion in _COMPANIONS:
                    name = names.get(f"{companion}{arch}.efi")
                    if name and name != loader:
                        _copy(guest, f"{top}/{vendor}/{name}", f"{top}/BOOT/{name}")
                return Outcome(changed=True, summary=f"{vendor}/{loader} copied to {fallback}")
    raise MorphingError(
        f"no boot loader is in {top}: a new firmware cannot start the machine",
        "reinstall its boot loader on the source (`grub-install`), and transfer again",
    )


def _partition(os: GuestOS) -> str | None:
    for mount in os.mounts:
        if mount.fstype == "vfat" and mount.path in {"/boot/efi", "/efi", "/boot"}:
            return mount.path
    return None


def _copy(guest: GuestTree, source: str, target: str) -> None:
    script = 'mkdir -p "$(dirname "$2")" && cp "$1" "$2.new" && mv "$2.new" "$2" && cmp "$1" "$2"'
    guest.run(["sh", "-c", script, "sh", source, target])
