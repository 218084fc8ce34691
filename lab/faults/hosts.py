# SPDX-License-Identifier: Apache-2.0
"""Kill a QEMU, restart a host's libvirt daemons, fill a storage pool."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from lab import daemons, guests, namespaces, processes
from lab.commands import call
from lab.errors import LabError
from lab.records import HostPlan
from lab.resources import virsh
from tradewind.waiting import wait_for

BOUNDED: Final = "bounded"
_FOLDER: Final = "/var/lib/libvirt/bounded"
_IMAGE: Final = "/var/lib/libvirt/bounded.ext4"
_FILLER: Final = "filler-of-the-pool"
# All of libvirt's own that can be restarted without its guests: modular ones where they run.
_MODULAR: Final = ("virtqemud", "virtstoraged", "virtnetworkd", "virtnodedevd", "virtsecretd")


def qemu_of(plan: HostPlan, domain: str) -> int | None:
    """Return the process of a domain, if it lives."""
    with suppress(OSError, ValueError):
        pid = int((plan.folder / "run/libvirt/qemu" / f"{domain}.pid").read_text())
        if f"guest={domain}," in Path(f"/proc/{pid}/cmdline").read_text():
            return pid
    return None


def running(plan: HostPlan) -> dict[str, int]:
    """Return every domain of the host that has a living QEMU, without asking libvirt."""
    found = sorted((plan.folder / "run/libvirt/qemu").glob("*.pid"))
    pids = {path.stem: qemu_of(plan, path.stem) for path in found}
    return {name: pid for name, pid in pids.items() if pid is not None}


def kill_qemu(plan: HostPlan, domain: str) -> None:
    """Cut a domain's power, without a word to libvirt."""
    pid = qemu_of(plan, domain)
    if pid is None:
        raise LabError(f"{domain} does not run on {plan.name}")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: qemu_of(plan, domain) is None, f"the QEMU of {domain} ends", 10, every=0.02)


@contextmanager
def daemons_restarted(plan: HostPlan) -> Iterator[None]:
    """End the host's libvirt daemons, and have them back at the end of the block."""
    names = [name for name in ("libvirtd", *_MODULAR) if namespaces.daemon(plan, name, name)]
    processes.end(pid for name in names if (pid := namespaces.daemon(plan, name, name)))
    try:
        yield
    finally:
        daemons.start(plan)
        for name in names:
            if namespaces.daemon(plan, name, name) is None:
                call(namespaces.enter(plan, [name, "--daemon", "-p", f"/run/{name}.pid"]))
        virsh(plan, "list")  # it answers


def make_bounded_pool(plan: HostPlan, mebibytes: int) -> None:
    """Give the host a pool on a file system of its own, which can be filled without harm."""
    if BOUNDED in virsh(plan, "pool-list", "--all", "--name"):
        return
    for argv in (
        ["truncate", "-s", f"{mebibytes}M", _IMAGE],
        ["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", _IMAGE],
        ["mkdir", "-p", _FOLDER],
        ["mount", "-o", "loop", _IMAGE, _FOLDER],
        ["rmdir", f"{_FOLDER}/lost+found"],
    ):
        call(namespaces.enter(plan, argv))
    virsh(plan, "pool-define-as", BOUNDED, "dir", "--target", _FOLDER)
    virsh(plan, "pool-autostart", BOUNDED)
    virsh(plan, "pool-start", BOUNDED)


def remove_bounded_pool(plan: HostPlan) -> None:
    """Take the pool away again, with all that is in it."""
    virsh(plan, "pool-destroy", BOUNDED)
    virsh(plan, "pool-undefine", BOUNDED)
    call(namespaces.enter(plan, ["umount", _FOLDER]))
    call(namespaces.enter(plan, ["rm", "-rf", _FOLDER, _IMAGE]))


@contextmanager
def pool_filled(plan: HostPlan) -> Iterator[None]:
    """Leave no room in the bounded pool; the file that fills it is somebody else's."""
    filler = guests.inside(plan, f"{_FOLDER}/{_FILLER}")
    try:
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
        with filler.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(512))
        yield
    finally:
        filler.unlink(missing_ok=True)


def bounded_file(plan: HostPlan, volume: str) -> Path:
    """Where this machine sees a volume of the bounded pool."""
    return guests.inside(plan, f"{_FOLDER}/{volume}")
