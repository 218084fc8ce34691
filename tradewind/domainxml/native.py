# SPDX-License-Identifier: Apache-2.0
"""What libvirt would start QEMU with: read from the command line of `virsh domxml-to-native`.

Only libvirt's own names of things are looked for, never the order of options. Formats:
libvirt's qemu_command.c (nodes are called libvirt-pflash0-…), QEMU's qemu(1), "-blockdev".
"""

import itertools
import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Final

_FIRST_FLASH: Final = "libvirt-pflash0-storage"


def firmware_file(command_line: str) -> str | None:
    """Find the file of the firmware's code; None when the machine has none of its own."""
    try:
        words = shlex.split(command_line)
    except ValueError:
        return None
    options = itertools.pairwise(words)
    return next((found for option, value in options if (found := _code(option, value))), None)


def _code(option: str, value: str) -> str | None:
    match option:
        case "-blockdev":
            node = _node(value)
            return str(node["filename"]) if node.get("node-name") == _FIRST_FLASH else None
        case "-drive":  # up to libvirt 5.10
            drive = dict(_pairs(value))
            first = (drive.get("if"), drive.get("unit")) == ("pflash", "0")
            return drive.get("file") if first else None
        case "-bios":
            return value
    return None


def _node(value: str) -> Mapping[str, object]:
    try:
        node = json.loads(value)
    except ValueError:
        return {}
    return node if isinstance(node, dict) and "filename" in node else {}


def _pairs(value: str) -> Iterator[tuple[str, str]]:
    for part in value.replace(",,", "\0").split(","):
        key, _, said = part.partition("=")
        yield key, said.replace("\0", ",")
