# SPDX-License-Identifier: Apache-2.0
"""The reader: a domain that holds a shut-off machine's disks and never runs."""

from collections.abc import Sequence

from tradewind.domainxml.document import E, Element, to_text
from tradewind.domainxml.labels import label_element
from tradewind.model.label import Label
from tradewind.model.machine import Disk
from tradewind.units import MiB

MEMORY = 64 * MiB


def reader_domain(name: str, disks: Sequence[Disk], label: Label) -> str:
    """Describe a domain with just these disks, each with the target name it has in its machine.

    The disks are writable, so that QEMU takes the lock which keeps the machine from being started
    meanwhile; nothing is written, since the domain stays paused. Emulation is enough for that.
    """
    return to_text(
        E.domain(
            E.name(name),
            E.metadata(label_element(label)),
            E.memory(str(MEMORY), unit="bytes"),
            E.vcpu("1"),
            E.os(E.type("hvm", arch="x86_64")),
            E.on_poweroff("destroy"),
            E.on_reboot("destroy"),
            E.on_crash("destroy"),
            E.devices(
                *(_disk(disk) for disk in disks),
                E.controller(type="usb", model="none"),
                E.memballoon(model="none"),
            ),
            type="qemu",
        )
    )


def _disk(disk: Disk) -> Element:
    block = disk.location.startswith("/dev/")
    return E.disk(
        E.driver(name="qemu", type=disk.format, cache="none"),
        E.source(dev=disk.location) if block else E.source(file=disk.location),
        E.target(dev=disk.id, bus=disk.bus),
        type="block" if block else "file",
        device="disk",
    )
