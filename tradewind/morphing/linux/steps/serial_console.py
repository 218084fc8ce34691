# SPDX-License-Identifier: Apache-2.0
"""Show what the machine does on its serial console, of which the host keeps a log."""

import re
from collections.abc import Mapping
from typing import Final

from tradewind.errors import MorphingError
from tradewind.model.guest import GuestOS, MorphOptions, Outcome
from tradewind.morphing import backup, files
from tradewind.morphing.linux.boot import commandline
from tradewind.morphing.linux.boot.consoles import (
    HAS_SERIAL,
    SERIAL,
    XEN,
    asks_on_screen,
    with_serial,
)
from tradewind.ports import GuestTree

# Either of GRUB's two variables does: both go to every entry but the one for recovery.
_GRUB_HAS_SERIAL: Final = re.compile(
    r"^[ \t]*GRUB_CMDLINE_LINUX(?:_DEFAULT)?=[^\n]*\bconsole=ttyS0", re.MULTILINE
)

_UNIFIED: Final = ("/boot/EFI/Linux", "/efi/EFI/Linux", "/boot/efi/EFI/Linux")
_INITTAB: Final = "/etc/inittab"
_SECURETTY: Final = "/etc/securetty"
# SysV init's way to start a login prompt; others do it for every console of the kernel.
_GETTY: Final = "S0:2345:respawn:/sbin/agetty -L 115200 ttyS0 vt102\n"
_SERIAL_GETTY: Final = re.compile(r"^[^#\n]*\bttyS0\b", re.MULTILINE)
_XEN_GETTY: Final = re.compile(r"^[^#\n]*\b(?:hvc0|xvc0)\b[^\n]*\n?", re.MULTILINE)


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Every Linux kernel can use it."""
    return True


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Add the console to every command line, and read all of them again."""
    texts = files.read(guest, *commandline.EFFECTIVE, *commandline.LASTING, _INITTAB, _SECURETTY)
    screen_last = asks_on_screen(os)
    new = {path: _changed(path, text, screen_last=screen_last) for path, text in texts.items()}
    changed = [path for path, text in new.items() if text != texts[path]]
    for path in changed:
        backup.rewrite(guest, path, new[path])
    if not _prove(files.read(guest, *commandline.EFFECTIVE)):
        return _unproven(guest, changed=bool(changed))
    if not changed:
        return Outcome(changed=False, summary="the kernel writes to ttyS0")
    return Outcome(changed=True, summary=f"{SERIAL} in {', '.join(changed)}")


def _unproven(guest: GuestTree, *, changed: bool) -> Outcome:
    """Say why no command line that is used at the next start was found."""
    if any(name.endswith(".efi") for folder in _UNIFIED for name in guest.list(folder)):
        return Outcome(
            changed=changed,
            done=False,
            summary="the command line is inside a unified kernel image",
            remedy=f"unless that image is made anew (step initramfs), add {SERIAL} to"
            " /etc/kernel/cmdline and build it on the source, or the console log stays empty",
        )
    return Outcome(
        changed=changed,
        done=False,
        summary="no configuration of a boot loader that we can read",
        remedy=f"add {SERIAL} to the kernel's command line, or the console log stays empty",
    )


def _changed(path: str, text: str, *, screen_last: bool) -> str:
    if path == _INITTAB:
        return _with_prompt(_XEN_GETTY.sub("", text), text)
    if path == _SECURETTY:
        return text if "ttyS0" in text.split() else f"{text.rstrip()}\nttyS0\n"
    if _GRUB_HAS_SERIAL.search(text) and not XEN.search(text):
        return text

    def change(line: str) -> str:
        return with_serial(line, screen_last=screen_last)

    if path == "/etc/default/grub":
        text = commandline.with_default(text, change(""))
    return commandline.changed(path, text, change)


def _with_prompt(inittab: str, before: str) -> str:
    """Start a login prompt where init starts others; without Xen's it may start none any more."""
    starts = ":respawn:" in before and "getty" in before
    return inittab + _GETTY if starts and not _SERIAL_GETTY.search(inittab) else inittab


def _prove(texts: Mapping[str, str]) -> bool:
    """Look at every command line that is used at the next start; False when there is none."""
    lines = [(path, line) for path in texts for line in commandline.lines(path, texts[path])]
    for path, line in lines:
        if not HAS_SERIAL.search(line):
            raise MorphingError(f"{path} has a command line without {SERIAL}: {line.strip()[:200]}")
    return bool(lines)
