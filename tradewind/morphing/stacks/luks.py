# SPDX-License-Identifier: Apache-2.0
"""LUKS containers, opened with keys that reach the worker only through a command's input."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from tradewind.model.guest import FileSystem, Layer, LayerKind
from tradewind.model.guest_keys import GuestKeys
from tradewind.morphing.wording import plain
from tradewind.ports import Remote

# Arguments: device and name of each container. Input: for each container one line with its keys
# in base64, separated by spaces. `printf` and `read` are the shell's own: no key is ever in a list
# of arguments. Prints for each "name status" and, when it is open, the kernel's name.
_OPEN: Final = """
while [ $# -gt 0 ]; do
    IFS= read -r keys || keys=
    status=2
    for key in $keys; do
        said=$(printf %s "$key" | base64 -d |
            cryptsetup open --type luks --key-file=- "$1" "$2" 2>&1)
        status=$?
        # 2: the key does not fit. Anything else: no other key would do.
        [ $status -eq 2 ] || break
    done
    if [ $status -eq 0 ]; then
        echo "open $2 $(readlink -f "/dev/mapper/$2")"
    else
        echo "closed $2 $status $(echo "$said" | tr '\\n' ' ')"
    fi
    shift 2
done
udevadm settle --timeout=30
"""

_RENAME: Final = """
while [ $# -gt 0 ]; do
    name=$(cat "/sys/class/block/${1##*/}/dm/name") || exit 1
    [ "$name" = "$2" ] || dmsetup rename "$name" "$2" >/dev/null || exit 1
    shift 2
done
udevadm settle --timeout=30
"""
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
    return plain(said.strip()) or f"cryptsetup ended with status {status}"


def rename(remote: Remote, names: Mapping[str, str]) -> None:
    """Give open containers (by device) the guest's own names: its tools look for those."""
    if names:
        arguments = [word for pair in names.items() for word in pair]
        remote.run(["sh", "-c", _RENAME, "sh", *arguments])
