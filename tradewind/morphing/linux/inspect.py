# SPDX-License-Identifier: Apache-2.0
"""Find the operating system on the disks that are attached to a worker; change nothing.

How the root is chosen where several file systems could be it: `morphing/roots.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from tradewind.domainxml.machine import plugged_disks
from tradewind.errors import InspectionError
from tradewind.model.guest import FileSystem, GuestOS, Layer, LayerKind, Mount
from tradewind.model.guest_keys import GuestKeys
from tradewind.model.machine import FirmwareKind, VirtualMachine
from tradewind.morphing.linux import (
    blockdevices,
    copies,
    facts,
    fstab,
    health,
    kernel_names,
    kernels,
    names,
    os_release,
    roots,
    space,
    worker_tools,
)
from tradewind.morphing.linux.blockdevices import place
from tradewind.morphing.linux.facts import FileSystemFacts
from tradewind.morphing.linux.kernel_names import SourceDisk
from tradewind.morphing.linux.no_system import KEY_HINT, nothing_found
from tradewind.morphing.linux.roots import Candidates, Root
from tradewind.morphing.linux.stacks import Opened, close, luks, open_stacks
from tradewind.ports import Remote

# Where a firmware's partition may be mounted that no fstab names; see bootctl(1).
_ESP_FOLDERS: Final = ("/boot/efi", "/efi", "/boot")


@dataclass(frozen=True, slots=True)
class InspectionHints:
    """What a person and the source say of the machine whose disks these are.

    `root_device` chooses between several systems, `keys` open what is encrypted. `disks` are all
    that the source's kernels count, `moved` the places of ours among them; both are empty when
    nobody says how the disks were plugged in.
    """

    macs: Sequence[str] = ()
    firmware: FirmwareKind = FirmwareKind.BIOS
    root_device: str = ""
    keys: GuestKeys = field(default_factory=GuestKeys)
    disks: Sequence[SourceDisk] = ()
    moved: Sequence[int] = ()

    def disk_names(self, families: frozenset[str] = frozenset()) -> list[tuple[str, ...]]:
        """Return what the source's kernels may call each of our disks."""
        names = kernel_names.possible(self.disks, families)
        return [names[place] for place in self.moved]


def described(vm: VirtualMachine, root_device: str, keys: GuestKeys) -> InspectionHints:
    """Say of a machine what inspection needs."""
    plugged = _plugged(vm)
    places = {disk.target: place for place, disk in enumerate(plugged)}
    return InspectionHints(
        macs=[nic.mac for nic in vm.nics],
        firmware=vm.firmware.kind,
        root_device=root_device,
        keys=keys,
        disks=plugged,
        moved=[places[disk.id] for disk in vm.disks],
    )


def _plugged(vm: VirtualMachine) -> list[SourceDisk]:
    """List the disks that the guest counts on its source, with those that are not moved."""
    own = [SourceDisk(disk.id, disk.bus if disk.bus_said else "") for disk in vm.disks]
    found = plugged_disks(vm.description) if vm.description else ()
    told = [SourceDisk(target, bus) for target, bus in found]
    missing = {disk.target for disk in own} - {disk.target for disk in told}
    return own if missing else told


def inspect(
    remote: Remote, serials: Sequence[str], machine: InspectionHints | None = None
) -> GuestOS:
    """Describe the operating system on the disks with these serials, in the machine's order.

    Stacks (arrays, containers, volume groups) stay open until `stacks.close`, unless this fails.
    InspectionError when there is no system, when there are several, when parts of it cannot be
    reached, are damaged or too full; it names what was found instead.
    """
    try:
        return _Inspection(remote, serials, machine or InspectionHints()).result()
    except BaseException:
        close(remote, serials)
        raise


class _Inspection:
    """One look at a machine's disks."""

    def __init__(self, remote: Remote, serials: Sequence[str], machine: InspectionHints) -> None:
        self._remote = remote
        self._machine = machine
        self._opened: Opened = open_stacks(remote, serials, machine.keys)
        self._disk_names = machine.disk_names()

    def result(self) -> GuestOS:
        """Put together what was found."""
        seen = names.on_disks(self._opened.contents.filesystems, self._disk_names)
        health.refuse_hibernated(seen)
        worker_tools.refuse_unreadable(seen, self._opened.unreadable)
        readable = [f for f in seen if f.fstype in blockdevices.READABLE]
        trees = facts.read(self._remote, readable)
        seen = copies.told_apart(seen, trees)
        root = self._root(
            Candidates(trees, names.named(seen, ()), frozenset(self._opened.snapshots))
        )
        health.refuse_oversized(root.tree)
        health.refuse_hibernated((), root.tree)
        self._disk_names = self._machine.disk_names(kernel_names.used(*_tables(root)))
        filesystems = self._as_the_guest_calls_them(root, names.on_disks(seen, self._disk_names))
        everything = Candidates(trees, filesystems, frozenset(self._opened.snapshots))
        found = self._mounts(root, everything)
        os = self._described(root, everything, found)
        health.refuse_damaged(trees, os.mounts)
        space.require(os, _mounted_trees(root, everything), _image_sizes(root, everything, os))
        return os

    @property
    def _members(self) -> tuple[FileSystem, ...]:
        return names.on_disks(self._opened.contents.members, self._disk_names)

    def _root(self, everything: Candidates) -> Root:
        try:
            root = roots.choose(everything, self._machine.root_device)
        except roots.NoRootError as error:
            raise nothing_found(error, everything, self._opened) from None
        self._refuse_locked(root)
        return root

    def _refuse_locked(self, root: Root) -> None:
        """Refuse a system while something that it does not know of stays encrypted.

        The real system may be in there, beside one for rescue.
        """
        known = list(_crypttab_containers(root, self._members))
        locked = [
            f"{blockdevices.STACKED[m.fstype]} on {place(m)}: {self._opened.refused[m.device]}"
            for m in self._opened.closed_for_good("crypto_LUKS")
            if m.device not in {container.device for container, _ in known}
        ]
        if locked and not self._machine.root_device:
            raise InspectionError(
                f"{root} was found, but more is encrypted: {'; '.join(locked)}",
                worker_tools.REMEDY if "crypto_LUKS" in self._opened.unreadable else KEY_HINT,
            )

    def _as_the_guest_calls_them(
        self, root: Root, filesystems: Sequence[FileSystem]
    ) -> tuple[FileSystem, ...]:
        """Rename open containers as the guest's crypttab does, and learn the arrays' names."""
        wanted: dict[str, str] = {}
        for container, name in _crypttab_containers(root, self._members):
            for layer in self._opened.layers.values():
                if layer.kind is LayerKind.LUKS and layer.uuid == container.uuid:
                    wanted[layer.device] = name
        luks.rename(self._remote, wanted)
        renamed = [_renamed(f, wanted) for f in filesystems]
        return names.named(renamed, tuple(names.arrays(root.tree.facts.get("arrays", ""))))

    def _mounts(self, root: Root, everything: Candidates) -> fstab.SystemMounts:
        tree = root.tree
        top = Mount(
            device=tree.filesystem.device,
            path="/",
            fstype=tree.filesystem.fstype,
            options=f"subvolid={tree.subvolid}" if tree.subvolid else "",
        )
        found = fstab.system_mounts(
            root.fstab, top, fstab.FstabDisks(everything.filesystems, self._opened.reasons())
        )
        checked = {t.filesystem.device for t in everything.trees if health.needs_check(t)}
        mounts = [m.model_copy(update={"check": m.device in checked}) for m in found.mounts]
        return fstab.SystemMounts((*mounts, *self._esp(root, found.mounts)), found.notes)

    def _esp(self, root: Root, mounts: Sequence[Mount]) -> Iterator[Mount]:
        """Mount the firmware's partition where systemd would, if the fstab is silent about it."""
        esp = self._opened.contents.esp
        known = {mount.device for mount in mounts}
        paths = {mount.path for mount in mounts}
        if not esp or esp in known or self._machine.firmware is not FirmwareKind.UEFI:
            return
        folders = {f"/boot/{name}" for name in _names(root.tree.lines("boot"))}
        folders |= {f"/{name}" for name in _names(root.tree.lines("top"))}
        for path in _ESP_FOLDERS:
            if path in folders and path not in paths:
                yield Mount(device=esp, path=path, fstype="vfat")
                return

    def _described(self, root: Root, everything: Candidates, found: fstab.SystemMounts) -> GuestOS:
        contents, release = self._opened.contents, root.os_release
        bootable = kernels.bootable(root.tree, root.usr, _boots(root, everything, found.mounts))
        dirty = health.notes(everything.trees, found.mounts)
        return GuestOS(
            family=os_release.family(release),
            id=release.get("ID", "linux"),
            version=release.get("VERSION_ID", ""),
            pretty_name=os_release.pretty_name(release),
            mounts=found.mounts,
            kernels=tuple(kernel.version for kernel in bootable),
            macs=tuple(self._machine.macs),
            filesystems=everything.filesystems,
            notes=(
                *self._opened.notes,
                *self._locked_notes(),
                *copies.notes(root, everything),
                *found.notes,
                *dirty,
            ),
            id_like=tuple(release.get("ID_LIKE", "").split()),
            codename=release.get("VERSION_CODENAME", ""),
            variant=release.get("VARIANT_ID", ""),
            images=bootable,
            members=self._members,
            partitions=names.on_disks(contents.partitions, self._disk_names),
            disks=contents.disks,
            firmware=self._machine.firmware,
            esp=contents.esp,
        )

    def _locked_notes(self) -> Iterator[str]:
        for member in self._opened.closed_for_good("crypto_LUKS"):
            yield (
                f"{blockdevices.STACKED[member.fstype]} on {place(member)} stays closed: "
                f"{self._opened.refused[member.device]}; nothing of the system is taken to be on it"
            )


def _tables(root: Root) -> tuple[str, str]:
    return root.fstab, root.tree.facts.get("crypttab", "")


def _crypttab_containers(
    root: Root, members: Sequence[FileSystem]
) -> Iterator[tuple[FileSystem, str]]:
    """Find the containers that the guest's crypttab opens, and how it calls them."""
    there = [m for m in members if m.fstype == "crypto_LUKS"]
    for name, device, _ in names.containers(root.tree.facts.get("crypttab", "")):
        for container in names.find_all(device, names.named(there, ())):
            if names.MAPPING.fullmatch(name):
                yield container, name


def _renamed(filesystem: FileSystem, names_by_device: dict[str, str]) -> FileSystem:
    def renamed(layer: Layer) -> Layer:
        name = names_by_device.get(layer.device)
        return layer.model_copy(update={"name": name}) if name else layer

    return filesystem.model_copy(update={"layers": tuple(map(renamed, filesystem.layers))})


def _names(entries: Sequence[str]) -> list[str]:
    return [line.partition(" ")[2] for line in entries]


def _boots(
    root: Root, everything: Candidates, mounts: Sequence[Mount]
) -> list[tuple[str, FileSystemFacts]]:
    by_device = {tree.filesystem.device: tree for tree in reversed(everything.trees)}
    return [
        (mount.path, by_device[mount.device])
        for mount in mounts
        if mount.path in {"/boot", *_ESP_FOLDERS} and mount.device in by_device
        and mount.device != root.tree.filesystem.device
    ]  # fmt: skip


def _mounted_trees(root: Root, everything: Candidates) -> list[FileSystemFacts]:
    """List one tree for each file system: all subvolumes of a btrfs share its room."""
    return list({tree.filesystem.device: tree for tree in (*everything.trees, root.tree)}.values())


def _image_sizes(root: Root, everything: Candidates, os: GuestOS) -> dict[str, int]:
    lines = list(root.tree.lines("boot"))
    for path, tree in _boots(root, everything, os.mounts):
        lines += tree.lines("top") if path == "/boot" else ()
    pairs = (line.partition(" ") for line in lines)
    return {name: int(size) for size, _, name in pairs if size.isdecimal()}
