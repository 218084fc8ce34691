# SPDX-License-Identifier: Apache-2.0
"""The reader: a domain that holds a shut-off machine's disks and never runs."""

from collections.abc import Sequence
from typing import Final

from tradewind.domainxml.document import E, Element, maker, to_text
from tradewind.domainxml.dropped import QEMU
from tradewind.domainxml.labels import label_element
from tradewind.model.machine import Disk
from tradewind.model.run import Label
from tradewind.units import MiB

MEMORY = 64 * MiB


# What libvirt before 7.6 asks of a domain that is to be backed up; see <backup supported='no'/> in
# https://libvirt.org/formatdomaincaps.html.
BACKUP_CAPABILITY: Final = "incremental-backup"
_Q: Final = maker(QEMU, "qemu")


def reader_domain(
    name: str, disks: Sequence[Disk], label: Label, *, ask_for_backup: bool = False
) -> str:
    """Describe a domain with just these disks, each with the target name it has in its machine.

    `ask_for_backup`: the host backs up only what asks for it.

    The disks are writable but for read-only ones, so that QEMU takes the lock which keeps the
    machine from being started meanwhile; nothing is written, since the domain stays paused.
    Emulation is enough for that.
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
            *(_capabilities() if ask_for_backup else ()),
            type="qemu",
        )
    )


def _capabilities() -> tuple[Element, ...]:
    return (_Q.capabilities(_Q.add(capability=BACKUP_CAPABILITY)),)


def _disk(disk: Disk) -> Element:
    block = disk.is_block
    return E.disk(
        E.driver(name="qemu", type=disk.format, cache="none"),
        E.source(dev=disk.location) if block else E.source(file=disk.location),
        E.target(dev=disk.id, bus=disk.bus),
        *([E.readonly()] if disk.read_only else []),
        type="block" if block else "file",
        device="disk",
    )
