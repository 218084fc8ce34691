# SPDX-License-Identifier: Apache-2.0
"""Name file systems by UUID where the guest relies on device names that change."""

import re
from collections.abc import Callable
from typing import Final

from tradewind.model.guest import GuestOS, MorphOptions, Outcome
from tradewind.morphing import backup, files
from tradewind.morphing.blockdevices import find, kernel_position
from tradewind.ports import GuestTree

_FSTAB: Final = "/etc/fstab"
# Where kernels are told their root and resume device, directly or by the next update of GRUB.
_BOOT_FILES: Final = (
    "/boot/grub/grub.cfg",
    "/boot/grub2/grub.cfg",
    "/boot/grub/menu.lst",
    "/boot/extlinux/extlinux.conf",
    "/etc/default/grub",
    "/etc/initramfs-tools/conf.d/resume",
    "/etc/kernel/cmdline",
)
# GRUB's map from its own disk names to the source's; made anew when it is missing.
_DEVICE_MAP: Final = "/boot/grub/device.map"

_ARGUMENT: Final = re.compile(r"\b(root|resume|RESUME)=(/dev/[a-z0-9]+)\b")
_FIRST_FIELD: Final = re.compile(r"^(\s*)(/dev/[a-z0-9]+)(?=\s)", re.MULTILINE)


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Every Linux system has these files, or does not use them."""
    return True


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Replace names like /dev/sda1, and say which are left because nothing has them."""
    texts = files.read(guest, _FSTAB, *_BOOT_FILES)
    new = {path: _renamed(text, path, os) for path, text in texts.items()}
    changed = [path for path in texts if new[path] != texts[path]]
    for path in changed:
        backup.rewrite(guest, path, new[path])
    if files.present(guest, _DEVICE_MAP):
        backup.set_aside(guest, _DEVICE_MAP)
        changed.append(_DEVICE_MAP)
    unknown = [f"{path}: {name}" for path, text in new.items() for name in _left(text, path)]
    remedy = f"on no moved disk, look at: {'; '.join(unknown)}" if unknown else ""
    if not changed:
        return Outcome(changed=False, summary="no unstable device names", remedy=remedy)
    return Outcome(changed=True, summary=f"changed {', '.join(changed)}", remedy=remedy)


def _renamed(text: str, path: str, os: GuestOS) -> str:
    def stable(name: str) -> str:
        filesystem = find(name, os.filesystems) if kernel_position(name) else None
        return f"UUID={filesystem.uuid}" if filesystem and filesystem.uuid else name

    pattern, prefix = _pattern(path)
    return pattern.sub(lambda match: prefix(match) + stable(match[2]), text)


def _pattern(path: str) -> tuple[re.Pattern[str], Callable[[re.Match[str]], str]]:
    if path == _FSTAB:
        return _FIRST_FIELD, lambda match: match[1]
    return _ARGUMENT, lambda match: f"{match[1]}="


def _left(text: str, path: str) -> list[str]:
    pattern, _ = _pattern(path)
    return sorted({match[2] for match in pattern.finditer(text) if kernel_position(match[2])})
