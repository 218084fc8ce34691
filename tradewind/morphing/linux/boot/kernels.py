# SPDX-License-Identifier: Apache-2.0
"""A guest's kernels, and where each has its drivers: built in, as modules, in its images."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tradewind.model.guest import ChrootAccess, GuestOS, LayerKind
from tradewind.ports import GuestTree
from tradewind.shell_programs import program
from tradewind.units import GiB

# An emulated worker decompresses slowly.
TIMEOUT: Final = 1800

# What reaches disks; sd_mod: on a virtio-scsi controller.
NEEDED: Final = ("virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod")
# The network is there as soon as the root is mounted: it is put in, but nothing is rebuilt for it.
WANTED: Final = (*NEEDED, "virtio_net")
# Without these two no disk is found on the destination.
_VITAL: Final = ("virtio_pci", "virtio_blk")
# SUSE's and old Red Hat's kernels for paravirtual Xen start on nothing else (2.6.18-8.el5xen,
# 2.6.16.60-xen, 2.6.9-5.ELxenU); Debian's …-xen-amd64 start everywhere.
_XEN_ONLY: Final = re.compile(r"(?<![a-z])(?:el\d+)?xen[U0]?$|xenU$|xen0$")
# What names things on disks by what is written there, not by the order in which they are found.
_LASTING: Final = re.compile(
    r"rd\.(?:lvm\.(?:lv|vg)|md\.uuid|luks\.uuid|luks\.name)=[\w./:+=-]+"
    r"|resume=(?:UUID=|/dev/disk/by-uuid/|/dev/mapper/)[\w.+-]+"
)
_SPECIAL: Final = re.compile(r"debug|rescue|kdump|kasan|rt-debug", re.IGNORECASE)

_SURVEY: Final = program(__file__, "members.sh", "survey.sh")
# What a decompressed image may have at most.
_LIMIT: Final = 4 * GiB

_STACK: Final = program(__file__, "stack.sh")


@dataclass(frozen=True, slots=True)
class RootStack:
    """What lies between the disks and the file systems that an initial RAM disk has to find.

    `programs` are alternatives with "|" between, `dracut` are the names of its modules.
    """

    drivers: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    dracut: tuple[str, ...] = ()


_LVM: Final = RootStack(("dm_mod",), ("lvm",), ("lvm", "dm"))
_LUKS: Final = RootStack(("dm_crypt",), ("cryptsetup|systemd_cryptsetup",), ("crypt", "dm"))
# By the kind of layer, by lsblk's TYPE, or by the file system.
_LAYERS: Final[Mapping[str, RootStack]] = {
    LayerKind.LVM: _LVM,
    LayerKind.LUKS: _LUKS,
    LayerKind.MD: RootStack((), ("mdadm",), ("mdraid",)),
    "lvm": _LVM,
    "crypt": _LUKS,
    "raid0": RootStack(("raid0",), ("mdadm",), ("mdraid",)),
    "raid1": RootStack(("raid1",), ("mdadm",), ("mdraid",)),
    "raid10": RootStack(("raid10",), ("mdadm",), ("mdraid",)),
    "raid4": RootStack(("raid456",), ("mdadm",), ("mdraid",)),
    "raid5": RootStack(("raid456",), ("mdadm",), ("mdraid",)),
    "raid6": RootStack(("raid456",), ("mdadm",), ("mdraid",)),
    "ext4": RootStack(("ext4",)),
    "xfs": RootStack(("xfs",)),
    "btrfs": RootStack(("btrfs",), (), ("btrfs",)),
}
_DRIVERS: Final = (*WANTED, *{d for layer in _LAYERS.values() for d in layer.drivers})


@dataclass(slots=True)
class KernelVersion:
    """One version: the files that start it, and where its drivers are.

    `images` maps the path of each initial RAM disk to the drivers and programs in it,
    `compression` to the program that compressed it; `parameters` are those that dracut keeps in
    them. `commands` maps unified images to the command line in them, `signed` are those with a
    signature.
    """

    version: str
    paths: list[str] = field(default_factory=list)
    built_in: set[str] = field(default_factory=set)
    modules: set[str] = field(default_factory=set)
    images: dict[str, set[str]] = field(default_factory=dict)
    compression: dict[str, str] = field(default_factory=dict)
    parameters: set[str] = field(default_factory=set)
    commands: dict[str, str] = field(default_factory=dict)
    signed: set[str] = field(default_factory=set)

    @property
    def unfit(self) -> list[str]:
        """Vital drivers that this kernel does not have at all; or that it is for Xen only."""
        if _XEN_ONLY.search(self.version):
            return ["Xen only"]
        return [driver for driver in _VITAL if driver not in self.modules | self.built_in]

    @property
    def unified(self) -> list[str]:
        """Those of its images that are one file with the kernel."""
        return [image for image in self.images if image.endswith(".efi")]

    @property
    def plain(self) -> list[str]:
        """Those of its images that are files of their own."""
        return [image for image in self.images if image not in self.unified]

    @property
    def special(self) -> bool:
        """Whether it is for a purpose of its own (debugging, rescue)."""
        return bool(_SPECIAL.search(self.version))

    def loadable(self, stack: RootStack) -> list[str]:
        """Wanted drivers that have to be in the image."""
        wanted = dict.fromkeys((*WANTED, *stack.drivers))
        return [driver for driver in wanted if driver in self.modules - self.built_in]

    def lacking(self, stack: RootStack) -> list[str]:
        """Wanted drivers and programs that some image of it does not have."""
        wanted = [driver for driver in self.loadable(stack) if driver != "virtio_net"]
        if not self.images:
            return wanted
        programs = [p for p in stack.programs for has in self.images.values() if _none(p, has)]
        missing = [d for d in wanted if any(d not in has for has in self.images.values())]
        return [*missing, *dict.fromkeys(p.partition("|")[0] for p in programs)]


def _none(alternatives: str, present: set[str]) -> bool:
    return not set(alternatives.split("|")) & present


def survey(
    guest: GuestTree, versions: Sequence[str] = (), *, images: bool = True
) -> tuple[KernelVersion, ...]:
    """Look at all kernels that can be booted (or at these), the newest first.

    Without `images` nothing is unpacked.
    """
    drivers = "|".join(_DRIVERS).replace("_", "[-_]")
    programs = "lvm|mdadm|cryptsetup|systemd-cryptsetup"
    arguments = [drivers, programs, "yes" if images else "no", str(_LIMIT), *versions]
    said = guest.run(["sh", "-c", _SURVEY, "sh", *arguments], timeout=TIMEOUT)
    kernels: dict[str, KernelVersion] = {}
    for line in said.stdout.splitlines():
        version, kind, value = line.split("\t", 2)
        _note(kernels.setdefault(version, KernelVersion(version)), kind, value)
    bootable = [kernel for kernel in kernels.values() if kernel.paths]
    return tuple(sorted(bootable, key=lambda kernel: natural(kernel.version), reverse=True))


def _note(kernel: KernelVersion, kind: str, value: str) -> None:
    about, _, path = kind.partition(" ")
    notes: dict[str, Callable[[], object]] = {
        "kernel": lambda: kernel.paths.append(value),
        "built-in": lambda: kernel.built_in.add(value),
        "module": lambda: kernel.modules.add(value),
        "image": lambda: kernel.images.setdefault(value, set()),
        "holds": lambda: kernel.images.setdefault(path, set()).add(value),
        "compression": lambda: kernel.compression.update({path: value}),
        "command": lambda: kernel.commands.update({path: value}),
        "signed": lambda: kernel.signed.add(path),
        "parameters": lambda: kernel.parameters.update(filter(_LASTING.fullmatch, value.split())),
    }
    notes[about]()


def best(kernels: Iterable[KernelVersion]) -> KernelVersion | None:
    """Choose the newest that can use VirtIO, an ordinary one before a special one."""
    fit = [kernel for kernel in kernels if not kernel.unfit]
    return min(fit, key=lambda kernel: kernel.special, default=None)


def stack(guest: GuestTree, os: GuestOS) -> RootStack:
    """Return what the root file system (and /usr) lies on.

    Inspection knows the layers; how an array is made (its level) is asked of the worker.
    """
    early = [mount for mount in os.mounts if mount.path in {"/", "/usr"}]
    devices = [mount.device for mount in early]
    said = guest.run(["sh", "-c", _STACK, "sh", *devices], reach=ChrootAccess.DISKS)
    below = [f for f in os.filesystems if f.device in {mount.device for mount in early}]
    kinds = [str(layer.kind) for filesystem in below for layer in filesystem.layers]
    names = dict.fromkeys([*(mount.fstype for mount in early), *kinds, *said.stdout.split()])
    known = [_LAYERS[name] for name in names if name in _LAYERS]
    return RootStack(
        tuple(dict.fromkeys(driver for layer in known for driver in layer.drivers)),
        tuple(dict.fromkeys(program for layer in known for program in layer.programs)),
        tuple(dict.fromkeys(module for layer in known for module in layer.dracut)),
    )


def natural(version: str) -> list[tuple[int, str]]:
    """Give the key by which 6.10 comes after 6.9."""
    return [(int(d or -1), text) for d, text in re.findall(r"(\d+)|(\D+)", version)]
