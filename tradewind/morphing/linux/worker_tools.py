# SPDX-License-Identifier: Apache-2.0
"""What a worker needs to look into a guest's disks, and how it gets what its image lacks.

Our own image has all of it. A distribution's cloud image has not: it installs what a guest needs
from its own repositories, before anything of the guest is opened.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from tradewind.errors import InspectionError, LateError
from tradewind.model.guest import FileSystem
from tradewind.morphing.linux.blockdevices import place
from tradewind.plain_text import printable
from tradewind.ports import Remote
from tradewind.shell_programs import program

_LOOK: Final = program(__file__, "worker_tools.sh")
_INSTALL: Final = program(__file__, "worker_install.sh")
# Refreshing the lists of a distribution and installing a few packages, where the CPU is emulated.
_PATIENCE: Final = 600

REMEDY: Final = (
    "use our worker image (tradewind worker-image build), or put the package into yours: see"
    " docs/howto/worker-image.md"
)


class Manager(StrEnum):
    """The package managers of workers, by the program that is looked for."""

    APT = "apt-get"
    DNF = "dnf"
    ZYPPER = "zypper"


_FAMILIES: Final = {Manager.APT: "Debian", Manager.DNF: "Red Hat", Manager.ZYPPER: "SUSE"}


@dataclass(frozen=True, slots=True)
class Tool:
    """A program of the worker, what it is for, and the package that has it.

    `kinds` are formats as libblkid calls them. Without one that is not `needed` less is known of
    a guest, and that is said.
    """

    program: str
    kinds: tuple[str, ...]
    debian: str
    red_hat: str
    suse: str
    needed: bool = True

    def package(self, manager: Manager) -> str:
        """Name the package."""
        names = {Manager.APT: self.debian, Manager.DNF: self.red_hat, Manager.ZYPPER: self.suse}
        return names[manager]


_EXT: Final = ("ext2", "ext3", "ext4")
# Package names: packages.debian.org, and the file lists of Fedora, RHEL 9 and openSUSE. RHEL has no
# package for btrfs, and no module.
TOOLS: Final = (
    Tool("lvm", ("LVM2_member",), "lvm2", "lvm2", "lvm2"),
    Tool("mdadm", ("linux_raid_member",), "mdadm", "mdadm", "mdadm"),
    Tool("cryptsetup", ("crypto_LUKS",), "cryptsetup-bin", "cryptsetup", "cryptsetup"),
    Tool("dmsetup", ("LVM2_member", "crypto_LUKS"), "dmsetup", "device-mapper", "device-mapper"),
    Tool("btrfs", ("btrfs",), "btrfs-progs", "btrfs-progs", "btrfsprogs"),
    Tool("xfs_logprint", ("xfs",), "xfsprogs", "xfsprogs", "xfsprogs"),
    Tool("dumpe2fs", _EXT, "e2fsprogs", "e2fsprogs", "e2fsprogs"),
    Tool("e2fsck", _EXT, "e2fsprogs", "e2fsprogs", "e2fsprogs"),
    # A journal is replayed on a layer over the device: facts.sh.
    Tool("dmsetup", (*_EXT, "xfs"), "dmsetup", "device-mapper", "device-mapper", needed=False),
    # Only volumes of thin pools and caches are checked with it, and those alone stay closed.
    Tool(
        "thin_check", ("LVM2_member",),
        "thin-provisioning-tools", "device-mapper-persistent-data", "thin-provisioning-tools",
        needed=False,
    ),
)  # fmt: skip
# What every kernel has that is worth the name is not asked for.
_FILESYSTEMS: Final = ("btrfs", "xfs")


@dataclass(frozen=True, slots=True)
class MissingTools:
    """What a worker lacks: programs, file systems of its kernel, and how it would install them."""

    programs: frozenset[str]
    filesystems: frozenset[str]
    manager: Manager | None

    def tools(self, kinds: Collection[str]) -> list[Tool]:
        """Say which tools for disks with such formats are not there."""
        return [
            tool
            for tool in TOOLS
            if tool.program in self.programs and not set(kinds).isdisjoint(tool.kinds)
        ]


def look(remote: Remote) -> MissingTools:
    """Ask a worker for all tools at once."""
    programs = dict.fromkeys(tool.program for tool in TOOLS)
    asked = ["sh", "-c", _LOOK, "sh", *programs, *Manager, "--", *_FILESYSTEMS]
    said = [line.split() for line in remote.run(asked).stdout.splitlines()]
    lacking = {name for kind, name in said if kind == "program"}
    return MissingTools(
        programs=frozenset(lacking & set(programs)),
        filesystems=frozenset(name for kind, name in said if kind == "kernel"),
        manager=next((manager for manager in Manager if manager not in lacking), None),
    )


@dataclass(slots=True)
class Workshop:
    """The tools of one worker, completed as more of a guest's disks comes to light.

    `unreadable` says by format why the worker cannot read it, `notes` what was done about others.
    """

    remote: Remote
    lack: MissingTools
    unreadable: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _tried: set[str] = field(default_factory=set)

    def provide(self, kinds: Collection[str]) -> bool:
        """Install what disks with such formats need; say whether anything was tried.

        No format is tried twice.
        """
        new = set(kinds) - self._tried
        self._tried |= new
        for kind in sorted(self.lack.filesystems & new):
            self.unreadable[kind] = f"the kernel of the worker image cannot read {kind}"
        missing = self.lack.tools(new - set(self.unreadable))
        if not missing:
            return False
        why = _install(self.remote, self.lack.manager, missing)
        self.lack = look(self.remote)
        left = [tool for tool in missing if tool.program in self.lack.programs]
        self._judge(left, new, why)
        installed = [tool for tool in missing if tool not in left]
        self.notes += _installed(installed, self.lack.manager)
        return True

    def _judge(self, left: Sequence[Tool], kinds: Collection[str], why: str) -> None:
        for kind in sorted(kinds):
            needed = [tool for tool in left if tool.needed and kind in tool.kinds]
            if needed:
                self.unreadable[kind] = self._lacks(needed, why)
        useful = [tool for tool in left if not tool.needed]
        if useful:
            self.notes.append(f"less of the disks is looked at: {self._lacks(useful, why)}")

    def _lacks(self, tools: Sequence[Tool], why: str) -> str:
        named = dict.fromkeys(_named(tool, self.lack.manager) for tool in tools)
        return f"the worker image lacks {' and '.join(named)}{why}"


def open_workshop(remote: Remote) -> Workshop:
    """Look at what a worker has."""
    return Workshop(remote, look(remote))


def refuse_unreadable(filesystems: Sequence[FileSystem], unreadable: Mapping[str, str]) -> None:
    """Refuse a guest with file systems for which the worker has no program, or no driver."""
    found = [
        f"{f.fstype} on {place(f)}: {unreadable[f.fstype]}"
        for f in filesystems
        if f.fstype in unreadable
    ]
    if found:
        raise InspectionError(f"not everything can be read: {'; '.join(found)}", REMEDY)


def _install(remote: Remote, manager: Manager | None, tools: Sequence[Tool]) -> str:
    """Install packages; say why that failed, as the rest of a sentence.

    One unknown name refuses all of them, so what was refused is tried one by one.
    """
    if manager is None:
        return ", and has no package manager that is known here"
    packages = list(dict.fromkeys(tool.package(manager) for tool in tools))
    try:
        why = _asked(remote, manager, packages)
        if why and len(packages) > 1:
            why = next(filter(None, [_asked(remote, manager, [each]) for each in packages]), "")
    except LateError:
        return f", and installing it took more than {_PATIENCE} s"
    return why and f", which could not be installed: {why}"


def _asked(remote: Remote, manager: Manager, packages: Sequence[str]) -> str:
    """Ask the package manager; say what it said last if it failed."""
    argv = ["sh", "-c", _INSTALL, "sh", manager, *packages]
    done = remote.run(argv, timeout=_PATIENCE, check=False)
    if done.status == 0:
        return ""
    last = (done.stdout.strip().splitlines() or [f"{manager} ended with {done.status}"])[-1]
    return printable(last)


def _named(tool: Tool, manager: Manager | None) -> str:
    """Name a program and its package: that of the worker's own family where it is known."""
    if manager is not None:
        return f"{tool.program} (package {tool.package(manager)})"
    packages = (f"{_FAMILIES[each]}: {tool.package(each)}" for each in Manager)
    return f"{tool.program} ({', '.join(packages)})"


def _installed(tools: Sequence[Tool], manager: Manager | None) -> Iterator[str]:
    if tools and manager is not None:
        packages = dict.fromkeys(tool.package(manager) for tool in tools)
        yield f"the worker installed what its image lacks: {', '.join(packages)}"
