# SPDX-License-Identifier: Apache-2.0
"""Consoles on the kernel's command line: the serial one, of which the host keeps a log."""

import re
from typing import Final

from tradewind.model.guest import GuestOS, LayerKind

SERIAL: Final = "console=ttyS0,115200"
_SCREEN: Final = "console=tty0"
# Consoles of Xen; what else belongs to them.
XEN: Final = re.compile(r"[ \t]*(?<!\S)(?:console=(?:hvc0|xvc0)\S*|xencons=\S*)")
HAS_SERIAL: Final = re.compile(r"(?<!\S)console=ttyS0")
_HAS_SCREEN: Final = re.compile(r"(?<!\S)console=tty\d")
_FIRST_CONSOLE: Final = re.compile(r"(?<!\S)console=")


def asks_on_screen(os: GuestOS) -> bool:
    """Whether a passphrase is asked for at the start: on the last console that is named."""
    return any(layer.kind is LayerKind.LUKS for f in os.filesystems for layer in f.layers)


def with_serial(line: str, *, screen_last: bool) -> str:
    """Add the serial console to a command line that has none, and keep the screen."""
    line = XEN.sub("", line)
    if HAS_SERIAL.search(line):
        return line
    screen = "" if _HAS_SCREEN.search(line) else f" {_SCREEN}"
    end = len(line.rstrip())
    if not screen_last:
        return f"{line[:end]}{screen} {SERIAL}{line[end:]}" if end else f"{_SCREEN} {SERIAL}"
    first = _FIRST_CONSOLE.search(line)
    if first:
        return f"{line[: first.start()]}{SERIAL} {line[first.start() : end]}{screen}{line[end:]}"
    return f"{line[:end]} {SERIAL}{screen}{line[end:]}"
