# SPDX-License-Identifier: Apache-2.0
"""A worker in a plain QEMU, without a host: to adapt a guest's disks and see how long it takes."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydantic import SecretStr

import images
from images import boot, mirror, qemu, recipe
from images.boot import BootedImage
from images.commands import say
from lab.linux_guests import LinuxGuest
from tradewind.model.guest import MorphOptions, StepReport
from tradewind.model.guest_keys import GuestKey, GuestKeys
from tradewind.model.host import HostAccess
from tradewind.model.machine import FirmwareKind
from tradewind.morphing import mount, plan
from tradewind.morphing.linux import inspect, stacks
from tradewind.morphing.tree import RemoteGuestTree
from tradewind.remote import shell
from tradewind.remote.shell import Shell
from tradewind.units import human_duration

_START_SECONDS: Final = 300
_PORT: Final = 8000
# In QEMU's network its "host" address leads to this machine's loopback: guests find the mirror
# there, at the address that it has in the lab.
_MIRROR_NETWORK: Final = (
    "-netdev", "user,id=mirror,net=198.18.0.0/24,host=198.18.0.1,dhcpstart=198.18.0.100",
    "-device", "virtio-net-pci,netdev=mirror",
)  # fmt: skip


@contextmanager
def mirror_served() -> Iterator[None]:
    """Serve the package mirrors on this machine's loopback."""
    folder = str(mirror.folder().parent)
    argv = [sys.executable, "-m", "http.server", "--bind", qemu.LOOPBACK, "-d", folder, str(_PORT)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            yield
        finally:
            server.terminate()


def adapt(guest: LinuxGuest, disks: Sequence[Path]) -> tuple[StepReport, ...]:
    """Make every change that the guest needs, in a worker that is started for it."""
    worker = images.build("worker")
    hardware = recipe.load("worker").hardware
    serials = [disk.stem for disk in disks]
    more = [
        *_MIRROR_NETWORK,
        *(word for disk in disks for word in qemu.named_drive(disk.stem, disk)),
    ]
    with boot.started(worker, hardware, more) as machine:
        machine.wait_for_login(_START_SECONDS)
        with shell.connect_to_host(_access(machine)) as remote:
            done = tuple(_steps(remote, guest, serials))
        machine.power_off()
    return done


def _access(machine: BootedImage) -> HostAccess:
    _, key = (machine.folder / "known_hosts").read_text().split(maxsplit=1)
    return HostAccess(
        host=qemu.LOOPBACK,
        port=machine.port,
        username="root",
        private_key=SecretStr((machine.folder / "key").read_text()),
        host_key=key.strip(),
    )


def _steps(remote: Shell, guest: LinuxGuest, serials: Sequence[str]) -> Iterator[StepReport]:
    begun = time.monotonic()
    os = inspect.inspect(remote, serials, _described(guest))
    options = MorphOptions(set_dhcp=guest.set_dhcp)
    mounted = mount.mount(remote, os)
    say(f"  {os.pretty_name}: inspected and mounted in {human_duration(time.monotonic() - begun)}")
    for step in plan.steps_for(os, options):
        report = plan.perform(step, RemoteGuestTree(remote, mounted.root), os, options)
        say(f"  {report.step}: {report.outcome.summary} ({human_duration(report.seconds)})")
        yield report
    mount.unmount(remote)
    stacks.close(remote, serials)


def _described(guest: LinuxGuest) -> inspect.InspectionHints:
    keys = [GuestKey.of(guest.passphrase.encode())] if guest.passphrase else []
    firmware = FirmwareKind.UEFI if guest.uefi else FirmwareKind.BIOS
    return inspect.InspectionHints(
        macs=guest.machine.macs, firmware=firmware, keys=GuestKeys(secrets=tuple(keys))
    )
