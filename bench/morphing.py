# SPDX-License-Identifier: Apache-2.0
"""How long a guest takes to be adapted, beside virt-v2v-in-place on the same image: one run each.

`python -m bench.morphing [GUEST ...]`, as root. Both change overlays over the image, in an emulated
machine: ours in the worker image, the other's in its appliance with force_tcg. What counts is the
same on both sides: from the start of that machine until the guest's file systems are unmounted.
No lab is needed: the worker reaches the package mirror through QEMU's own network.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

import images
from bench import plain_worker
from images import BuiltImage, rpm_mirror
from lab import linux_guests
from lab.linux_guests import LinuxGuest
from tradewind.errors import TradewindError
from tradewind.units import human_duration

PEER: Final = "virt-v2v-in-place"
PEER_TIMEOUT: Final = 3600

_XML: Final = """\
<domain type='qemu'><name>{name}</name><memory unit='MiB'>1024</memory><vcpu>1</vcpu>
<os{firmware}><type arch='x86_64' machine='q35'>hvm</type></os><devices>{disks}</devices></domain>
"""
_DISK: Final = """\
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{path}'/>
<target dev='sd{letter}' bus='sata'/></disk>"""


class MorphingTime(NamedTuple):
    """Seconds, and what was said where it did not end well."""

    seconds: float
    refused: str = ""

    def __str__(self) -> str:
        shown = human_duration(self.seconds)
        return f"refused after {shown}: {self.refused}" if self.refused else shown


@contextmanager
def overlays(built: BuiltImage) -> Iterator[tuple[Path, ...]]:
    """Lend files over the image's disks that may be changed."""
    with tempfile.TemporaryDirectory(prefix="tradewind-bench-") as name:
        paths = tuple(Path(name, disk.name) for disk in built.disks)
        for path, disk in zip(paths, built.disks, strict=True):
            base = ["-F", "qcow2", "-b", str(disk)]
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *base, path], check=True)
        yield paths


def ours(guest: LinuxGuest, built: BuiltImage) -> MorphingTime:
    """Adapt the guest as a deployment does, with the network that the lab's test asks for."""
    begun = time.monotonic()
    with overlays(built) as disks:
        try:
            plain_worker.adapt(guest, disks)
        except TradewindError as error:
            return MorphingTime(time.monotonic() - begun, error.message)
    return MorphingTime(time.monotonic() - begun)


def theirs(guest: LinuxGuest, built: BuiltImage) -> MorphingTime:
    """Adapt it with virt-v2v-in-place, which is told the passphrase and which root to take."""
    with overlays(built) as disks:
        xml = disks[0].with_name("guest.xml")
        xml.write_text(_description(guest, built, disks))
        keys = ["--key", f"all:key:{guest.passphrase}"] if guest.passphrase else []
        argv = [PEER, "-i", "libvirtxml", str(xml), "--root", "first", *keys]
        backend = {"LIBGUESTFS_BACKEND": "direct", "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"}
        begun = time.monotonic()
        done = subprocess.run(
            argv, env=os.environ | backend, capture_output=True, text=True, check=False,
            timeout=PEER_TIMEOUT,
        )  # fmt: skip
    return MorphingTime(time.monotonic() - begun, _reason(done) if done.returncode else "")


def _description(guest: LinuxGuest, built: BuiltImage, disks: Sequence[Path]) -> str:
    return _XML.format(
        name=guest.machine.name,
        firmware=" firmware='efi'" if built.variables else "",
        disks="".join(
            _DISK.format(path=path, letter=letter)
            for letter, path in zip("abcdef", disks, strict=False)
        ),
    )


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stderr.splitlines() or ["no word"]
    said = next((line for line in lines if "error:" in line), lines[-1])
    return said.partition("error: ")[2] or said


def main(names: Sequence[str]) -> None:
    """Measure the guests that are named, or all, and print the table."""
    table = Table("guest", "layout", "Tradewind", PEER)
    images.build_mirror()
    rpm_mirror.build_rpm_mirrors()
    with plain_worker.mirror_served():
        for guest in linux_guests.ALL:
            if not names or guest.machine.name in names:
                built = images.build(guest.machine.recipe)
                figures = (str(ours(guest, built)), str(theirs(guest, built)))
                table.add_row(guest.machine.name, guest.layout, *figures)
    Console(width=160).print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
