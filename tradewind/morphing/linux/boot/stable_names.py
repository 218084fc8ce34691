# SPDX-License-Identifier: Apache-2.0
"""What stays of a device whose name changes: UUIDs of what is on it, and of its partition."""

from collections.abc import Sequence
from dataclasses import dataclass

from tradewind.model.guest import FileSystem, GuestOS, LayerKind
from tradewind.morphing.linux import names


@dataclass(frozen=True, slots=True)
class StableNames:
    """UUIDs that name one device and no other, "" where there is none.

    With `container`, `uuid` is that of a LUKS container. `reason` says why a name has to stay
    where none of them can take its place.
    """

    uuid: str = ""
    partuuid: str = ""
    container: bool = False
    reason: str = "on a moved disk, and nothing that stays names it"

    def tag(self, *, partition: bool = False) -> str:
        """Name the device as fstab(5), crypttab(5) and command lines take it."""
        return self._named("UUID=", "PARTUUID=", partition=partition)

    def path(self, *, partition: bool = False) -> str:
        """Name the device by a link of udev's."""
        return self._named("/dev/disk/by-uuid/", "/dev/disk/by-partuuid/", partition=partition)

    def _named(self, by_uuid: str, by_partuuid: str, *, partition: bool) -> str:
        partuuid = self.partuuid and by_partuuid + self.partuuid
        if partition:
            return partuuid
        return by_uuid + self.uuid if self.uuid else partuuid


def lasting(name: str, os: GuestOS) -> StableNames:
    """Find what stays of what a name means that changes."""
    everything = (*os.partitions, *os.filesystems, *os.members)
    meant = names.at(name, everything) or []
    places = {(each.disk, each.partition) for each in meant}
    if len(places) != 1:
        return StableNames(reason="could be on several disks" if places else "on no moved disk")
    return StableNames(
        uuid=_only(_uuid(meant), "UUID", (*os.filesystems, *os.members)),
        partuuid=_only(_partuuid(meant), "PARTUUID", _below(everything)),
        container=any(map(_container, meant)),
    )


def _below(everything: Sequence[FileSystem]) -> list[FileSystem]:
    """List each partition once: it is met again as what is on it."""
    return list({(f.disk, f.partition): f for f in everything if not f.layers}.values())


def _only(value: str, tag: str, among: Sequence[FileSystem]) -> str:
    """Give the value unless something else has it too, as the copy of a disk has."""
    return value if value and len(names.find_all(f"{tag}={value}", among)) <= 1 else ""


def _uuid(meant: Sequence[FileSystem]) -> str:
    """Give the UUID of what lies on the partition itself: a file system or a container."""
    containers = {uuid for uuid in map(_container, meant) if uuid}
    plain = {f.uuid for f in meant if f.uuid and f.fstype and not f.layers and not _is_member(f)}
    found = containers or plain
    return found.pop() if len(found) == 1 else ""


def _container(place: FileSystem) -> str:
    if place.fstype == "crypto_LUKS" and not place.layers:
        return place.uuid
    lowest = place.layers[-1] if place.layers else None
    return lowest.uuid if lowest and lowest.kind is LayerKind.LUKS else ""


def _is_member(place: FileSystem) -> bool:
    return place.fstype.endswith("_member")


def _partuuid(meant: Sequence[FileSystem]) -> str:
    return next((f.partuuid for f in meant if f.partuuid and not f.layers), "")
