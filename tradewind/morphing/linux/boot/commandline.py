# SPDX-License-Identifier: Apache-2.0
"""Command lines of kernels, wherever a boot loader or its next update takes them from.

The files are changed in place. The guest's generators (update-grub, grub2-mkconfig) would look at
the worker's disks and firmware: they would write names of the worker's, and, for a machine that
starts by UEFI, commands that only a BIOS understands.
"""

import re
from collections.abc import Callable
from typing import Final

_ESP: Final = ("/boot", "/efi", "/boot/efi")
ENTRIES: Final = tuple(f"{top}/loader/entries/*.conf" for top in _ESP)
GRUB: Final = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/efi/EFI/*/grub.cfg")
GRUBENV: Final = ("/boot/grub2/grubenv", "/boot/grub/grubenv", "/boot/efi/EFI/*/grubenv")
GRUB_LEGACY: Final = ("/boot/grub/menu.lst", "/boot/grub/grub.conf")
EXTLINUX: Final = (
    "/boot/extlinux/extlinux.conf",
    "/boot/syslinux/syslinux.cfg",
    "/boot/extlinux.conf",
)
# What is read at the next start.
EFFECTIVE: Final = (*ENTRIES, *GRUB, *GRUBENV, *GRUB_LEGACY, *EXTLINUX)
# From what later kernels get theirs.
LASTING: Final = (
    "/etc/default/grub",
    "/etc/default/grub.d/*.cfg",
    "/etc/kernel/cmdline",
    "/etc/sysconfig/bootloader",
)

# A block of fixed size, filled up with "#".
_GRUBENV_SIZE: Final = 1024

# The command line is group 2. Only lines that name a root: memtest has none.
_ROOTED: Final = r"(?=[^\n]*\broot=)"
_LINUX: Final = re.compile(
    rf"^([ \t]*linux(?:16|efi)?[ \t]+\S+){_ROOTED}([^\n]*)()$"
    r"|^([ \t]*set (?:default_)?kernelopts=\")([^\"\n]*)(\")",
    re.MULTILINE,
)
_OPTIONS: Final = re.compile(r"^(options[ \t])([^\n]*)()$", re.MULTILINE)
_KERNELOPTS: Final = re.compile(r"^(kernelopts=)([^\n]*)()$", re.MULTILINE)
_KERNEL: Final = re.compile(rf"^([ \t]*kernel[ \t]+\S+){_ROOTED}([^\n]*)()$", re.MULTILINE)
_APPEND: Final = re.compile(rf"^([ \t]*append[ \t]){_ROOTED}([^\n]*)()$", re.MULTILINE | re.I)
# Comments are left out by kernel-install(8) since systemd 254.
_WHOLE: Final = re.compile(r"\A((?:[ \t]*(?:#[^\n]*)?\n)*)([^#\n]+)()")
_GRUB_DEFAULTS: Final = re.compile(
    r"^([ \t]*GRUB_CMDLINE_LINUX=[\"']?)((?<=\")[^\"\n]*|(?<=')[^'\n]*|(?<==)\S*)([\"']?)",
    re.MULTILINE,
)
_ALL_GRUB_DEFAULTS: Final = re.compile(r"^[ \t]*GRUB_CMDLINE_LINUX\w*=[^\n]*$", re.MULTILINE)
_DEFAULT_APPEND: Final = re.compile(r"^(DEFAULT_APPEND=\")([^\"\n]*)(\")", re.MULTILINE)

Change = Callable[[str], str]


def _pattern(path: str) -> re.Pattern[str]:
    endings = {
        "/grub.cfg": _LINUX,
        "/grubenv": _KERNELOPTS,
        "/menu.lst": _KERNEL,
        "/grub.conf": _KERNEL,
        "/cmdline": _WHOLE,
        "/sysconfig/bootloader": _DEFAULT_APPEND,
        "linux.conf": _APPEND,
        "syslinux.cfg": _APPEND,
        "/default/grub": _GRUB_DEFAULTS,
    }
    if "/loader/entries/" in path:
        return _OPTIONS
    found = next((pattern for end, pattern in endings.items() if path.endswith(end)), None)
    return found or _GRUB_DEFAULTS


def changed(path: str, text: str, change: Change) -> str:
    """Change every command line of a file; `path` says how to read it."""
    pattern = _pattern(path)

    def apply(match: re.Match[str]) -> str:
        head, line, end = (group for group in match.groups() if group is not None)
        # Variables stand for what is changed where they are set.
        return match[0] if "$kernelopts" in line else head + change(line) + end

    new = pattern.sub(apply, text)
    return filled(new) if path.endswith("/grubenv") and new != text else new


def changed_everywhere(path: str, text: str, change: Change) -> str:
    """Change every command line, and of GRUB's defaults each that ends up in one (…_DEFAULT)."""
    return _ALL_GRUB_DEFAULTS.sub(lambda match: change(match[0]), changed(path, text, change))


def lines(path: str, text: str) -> list[str]:
    """List the command lines of a file that say something themselves."""
    found = [match.groups() for match in _pattern(path).finditer(text)]
    texts = [[group for group in groups if group is not None][1] for groups in found]
    return [text for text in texts if "$kernelopts" not in text]


def filled(block: str) -> str:
    """Bring an environment block of GRUB back to its size. Format: grub-editenv(1)."""
    return block.rstrip("#").ljust(_GRUBENV_SIZE, "#")


def with_default(text: str, addition: str) -> str:
    """Let GRUB's defaults have a command line if they have none."""
    if _GRUB_DEFAULTS.search(text):
        return text
    return f'{text.rstrip()}\nGRUB_CMDLINE_LINUX="{addition.strip()}"\n'
