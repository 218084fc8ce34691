# SPDX-License-Identifier: Apache-2.0
"""LUKS containers, opened with keys that reach the worker only through a command's input."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from tradewind.model.guest import FileSystem, Layer, LayerKind
from tradewind.model.guest_keys import GuestKeys
from tradewind.plain_text import printable
from tradewind.ports import Remote
from tradewind.shell_programs import program

_OPEN: Final = program(__file__, "luks_open.sh")
_RENAME: Final = program(__file__, "luks_rename.sh")
_WRONG_KEY: Final = "2"


@dataclass(frozen=True, slots=True)
class Unlocked:
    """`layers` by device; `refused` says for a container's device why it stays closed."""

    layers: Mapping[str, Layer]
    refused: Mapping[str, str]


def unlock(remote: Remote, containers: Sequence[FileSystem], keys: GuestKeys) -> Unlocked:
    """Try the keys on each container."""
    names = {f"tradewind-luks-{PurePosixPath(c.device).name}": c for c in containers}
    lines = [
        " ".join(key.secret.get_secret_value() for key in keys.for_container(c.uuid))
        for c in names.values()
    ]
    arguments = [word for name, c in names.items() for word in (c.device, name)]
    said = remote.run(
        ["sh", "-c", _OPEN, "sh", *arguments],
        stdin="".join(f"{line}\n" for line in lines).encode(),
        # Each try of a key takes seconds by design, and more where the CPU is emulated.
        timeout=120 + 120 * sum(len(line.split()) for line in lines),
    ).stdout
    layers: dict[str, Layer] = {}
    refused: dict[str, str] = {}
    for line in said.splitlines():
        how, name, rest = line.split(" ", 2)
        container = names[name]
        if how == "open":
            layers[rest] = Layer(kind=LayerKind.LUKS, name="", uuid=container.uuid, device=rest)
        else:
            refused[container.device] = _why(rest, keys, container)
    return Unlocked(layers, refused)


def _why(rest: str, keys: GuestKeys, container: FileSystem) -> str:
    status, _, said = rest.partition(" ")
    if not keys.for_container(container.uuid):
        return "no passphrase was given for it"
    if status == _WRONG_KEY:
        return f"no key of “{keys.origin}” fits"
    return printable(said.strip()) or f"cryptsetup ended with status {status}"


def rename(remote: Remote, names: Mapping[str, str]) -> None:
    """Give open containers (by device) the guest's own names: its tools look for those."""
    if names:
        arguments = [word for pair in names.items() for word in pair]
        remote.run(["sh", "-c", _RENAME, "sh", *arguments])
