# SPDX-License-Identifier: Apache-2.0
"""Software RAID (md): arrays of members on the attached disks, read-only until they are mounted."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tradewind.model.guest import FileSystem, Layer, LayerKind
from tradewind.morphing.linux.blockdevices import place
from tradewind.plain_text import printable
from tradewind.ports import Remote
from tradewind.shell_programs import program

_ASSEMBLE: Final = program(__file__, "md_assemble.sh")
WRITABLE: Final = program(__file__, "md_writable.sh")


@dataclass(frozen=True, slots=True)
class Assembled:
    """`layers` by device; `refused` says for members' devices why their array does not start."""

    layers: Mapping[str, Layer]
    refused: Mapping[str, str]
    notes: tuple[str, ...]


def assemble(remote: Remote, members: Sequence[FileSystem]) -> Assembled:
    """Assemble each array from exactly these members, read-only, degraded ones too."""
    arrays: dict[str, list[FileSystem]] = {}
    for member in members:
        arrays.setdefault(member.uuid, []).append(member)
    arguments = [word for a in arrays.values() for word in (*(m.device for m in a), "--")]
    said = remote.run(["sh", "-c", _ASSEMBLE, "sh", *arguments], timeout=300).stdout
    layers: dict[str, Layer] = {}
    refused: dict[str, str] = {}
    notes: list[str] = []
    # `re.split` puts the two groups of each match before the text that follows it.
    parts = re.split(r"^array (\S+) (\d+)$\n", said, flags=re.MULTILINE)[1:]
    for array, (device, status, text) in zip(
        arrays.values(), zip(parts[::3], parts[1::3], parts[2::3], strict=True), strict=True
    ):
        facts = _facts(text)
        if status != "0":
            why = printable(facts.get("SAID", "mdadm does not say why"))
            refused |= {member.device: f"its array cannot be started: {why}" for member in array}
            continue
        layers[device] = _layer(facts, device)
        notes += _degraded(facts, array, layers[device])
    return Assembled(layers, refused, tuple(notes))


def _facts(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines())
    facts: dict[str, str] = {}
    for name, _, value in pairs:
        facts[name] = f"{facts[name]} {value}" if name in facts else value
    return facts


def _layer(facts: Mapping[str, str], device: str) -> Layer:
    name = facts.get("MD_NAME", "").rpartition(":")[2]
    return Layer(kind=LayerKind.MD, name=name, uuid=facts.get("MD_UUID", ""), device=device)


def _degraded(facts: Mapping[str, str], members: Sequence[FileSystem], layer: Layer) -> list[str]:
    missing = facts.get("DEGRADED", "0")
    if missing == "0":
        return []
    there = ", ".join(place(member) for member in members)
    return [
        f"array {printable(layer.name or layer.uuid)} ({facts.get('MD_LEVEL', 'md')}) is degraded: "
        f"{missing} of {facts.get('MD_DEVICES', '?')} members missing; there is {there}"
    ]
