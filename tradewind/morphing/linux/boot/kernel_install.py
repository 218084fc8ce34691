# SPDX-License-Identifier: Apache-2.0
"""What kernel-install(8) takes the command line of a kernel from.

Debian's update-initramfs has it write the entry of systemd-boot, or the unified image, anew. It
reads /etc/kernel/cmdline, then /usr/lib/kernel/cmdline, and else /proc/cmdline, which in a worker
is the worker's own: with the worker's root.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from tradewind.model.guest import GuestOS
from tradewind.morphing import files
from tradewind.morphing.linux.boot import commandline, unified
from tradewind.morphing.linux.boot.kernels import KernelVersion
from tradewind.ports import GuestTree

_CMDLINE: Final = "/etc/kernel/cmdline"
_VENDORS: Final = "/usr/lib/kernel/cmdline"
_PROGRAM: Final = "/usr/bin/kernel-install"
# It adds these by itself (90-loaderentry.install).
_ADDED: Final = re.compile(r"(?<!\S)(?:systemd\.machine_id|initrd|BOOT_IMAGE)=\S*[ \t]*")


def keep_command_line(guest: GuestTree, kernel: KernelVersion, os: GuestOS) -> None:
    """Write the command line that the guest starts with where kernel-install looks first.

    Nothing is done where it is told one already, or where the guest has no such entries.
    """
    if not files.present(guest, _PROGRAM):
        return
    texts = files.read(guest, *commandline.ENTRIES, _CMDLINE, _VENDORS)
    if _CMDLINE in texts or _VENDORS in texts:
        return
    line = next((line for line in _lines(texts, kernel, os) if "root=" in line), "")
    if line:
        guest.write_text(_CMDLINE, f"{_ADDED.sub('', line).strip()}\n")


def _lines(texts: Mapping[str, str], kernel: KernelVersion, os: GuestOS) -> Iterator[str]:
    """Give the command lines of the kernel first, of its entries and of its unified images.

    Entries were changed by earlier steps.
    """
    for path, text in sorted(texts.items(), key=lambda each: kernel.version not in each[1]):
        yield from commandline.lines(path, text)
    for text in kernel.commands.values():
        yield unified.command_line(text, os)
