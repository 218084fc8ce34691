# SPDX-License-Identifier: Apache-2.0
"""What libvirt would start QEMU with: read from the command line of `virsh domxml-to-native`.

Only libvirt's own names of things are looked for, never the order of options. Formats:
libvirt's qemu_command.c (nodes are called libvirt-pflash0-…), QEMU's qemu(1), "-blockdev".
"""

import itertools
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_FLASH: Final = "libvirt-pflash{unit}-{layer}"


@dataclass(frozen=True, slots=True)
class ChosenFirmware:
    """The file of the firmware's code, and the format of the store beside it.

    `store_format` is empty where the machine has no store.
    """

    code: str
    store_format: str


def firmware(command_line: str) -> ChosenFirmware | None:
    """Find what the machine starts with; None when it has no firmware of its own."""
    try:
        words = shlex.split(command_line)
    except ValueError:
        return None
    options = list(itertools.pairwise(words))
    code = next((found for option, value in options if (found := _code(option, value))), None)
    return None if code is None else ChosenFirmware(code, _store_format(options))


def _code(option: str, value: str) -> str | None:
    return value if option == "-bios" else _flash(option, value, 0, "storage").get("file")


def _store_format(options: Sequence[tuple[str, str]]) -> str:
    """Read the format of the second flash; a raw one may be a file with no node above it."""
    formats = (_flash(option, value, 1, "format").get("format") for option, value in options)
    files = (_flash(option, value, 1, "storage").get("file") for option, value in options)
    return next(filter(None, formats), "raw" if any(files) else "")


def _flash(option: str, value: str, unit: int, layer: str) -> Mapping[str, str]:
    """Say `file` or `format` of a flash, if this option is about it."""
    match option:
        case "-blockdev":
            node = _node(value)
            mine = node.get("node-name") == _FLASH.format(unit=unit, layer=layer)
            return {"file": node.get("filename", ""), "format": node["driver"]} if mine else {}
        case "-drive":  # up to libvirt 5.10
            drive = dict(_pairs(value))
            mine = (drive.get("if"), drive.get("unit")) == ("pflash", str(unit))
            return drive if mine else {}
    return {}


def _node(value: str) -> Mapping[str, str]:
    try:
        node = json.loads(value)
    except ValueError:
        return {}
    if not isinstance(node, dict) or "driver" not in node:
        return {}
    return {key: said for key, said in node.items() if isinstance(said, str)}


def _pairs(value: str) -> Iterator[tuple[str, str]]:
    for part in value.replace(",,", "\0").split(","):
        key, _, said = part.partition("=")
        yield key, said.replace("\0", ",")
