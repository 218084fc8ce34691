# SPDX-License-Identifier: Apache-2.0
"""Name file systems by UUID where the guest relies on device names that change."""

import re
from collections.abc import Mapping
from typing import Final

from tradewind.errors import MorphingError
from tradewind.model.guest import GuestOS, MorphOptions, Outcome
from tradewind.morphing import backup, files
from tradewind.morphing.linux.boot import devices
from tradewind.ports import GuestTree

# Where kernels are told their root and resume device: by the boot loader, or by its next update.
_ESP: Final = ("/boot", "/efi", "/boot/efi")
_FILES: Final = (
    devices.FSTAB,
    devices.CRYPTTAB,
    "/boot/grub/grub.cfg",
    "/boot/grub2/grub.cfg",
    "/boot/grub2/grubenv",
    "/boot/grub/menu.lst",
    "/boot/grub/grub.conf",
    "/boot/efi/EFI/*/grub.cfg",
    "/boot/extlinux/*.conf",
    "/boot/syslinux/*.cfg",
    *(f"{top}/loader/entries/*.conf" for top in _ESP),
    "/etc/default/grub",
    "/etc/default/grub.d/*.cfg",
    "/etc/default/grub_installdevice",
    "/etc/dracut.conf.d/*.conf",
    "/etc/initramfs-tools/conf.d/resume",
    "/etc/kernel/cmdline",
    "/etc/sysconfig/bootloader",
    "/etc/systemd/system/*.mount",
    "/etc/systemd/system/*.swap",
)
# GRUB's map from its own disk names to the source's; made anew when it is missing.
_DEVICE_MAPS: Final = ("/boot/grub/device.map", "/boot/grub2/device.map")
# Asks for names like /dev/sda1 in what update-grub writes.
_WITHOUT_UUID: Final = re.compile(
    r"^([ \t]*GRUB_DISABLE_(?:LINUX_)?UUID=)[\"']?true[\"']?(?=[ \t]*$)", re.MULTILINE
)


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Every Linux system has these files, or does not use them."""
    return True


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Replace names like /dev/sda1, and say which are left because nothing has them."""
    texts = files.read(guest, *_FILES)
    new = {path: _lasting(path, text, os) for path, text in texts.items()}
    changed = [path for path in texts if new[path] != texts[path]]
    for path in changed:
        backup.rewrite(guest, path, new[path])
    _prove(guest, {path: new[path] for path in changed})
    for path in files.present(guest, *_DEVICE_MAPS):
        backup.set_aside(guest, path)
        changed.append(path)
    remedy = _left(new, os)
    if not changed:
        return Outcome(changed=False, summary="no unstable device names", remedy=remedy)
    return Outcome(changed=True, summary=f"changed {', '.join(changed)}", remedy=remedy)


def _lasting(path: str, text: str, os: GuestOS) -> str:
    new = devices.renamed(path, text, os)
    # A unit for swap space is named after its device: another name needs another file.
    if path.endswith(".swap"):
        return text
    return _WITHOUT_UUID.sub(r"\1false", new) if path.startswith("/etc/default/grub") else new


def _left(texts: Mapping[str, str], os: GuestOS) -> str:
    """Return what stays as it is and why, for a person to look at."""
    reasons: dict[str, list[str]] = {}
    for path, text in texts.items():
        for name in devices.left(path, text):
            reasons.setdefault(devices.reason(name, os), []).append(f"{path}: {name}")
    return ". ".join(f"{why}, look at: {'; '.join(found)}" for why, found in reasons.items())


def _prove(guest: GuestTree, wanted: dict[str, str]) -> None:
    found = files.read(guest, *wanted) if wanted else {}
    for path, text in wanted.items():
        if found.get(path) != text:
            raise MorphingError(f"{path} does not have what was written into it")
