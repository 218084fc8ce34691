# SPDX-License-Identifier: Apache-2.0
"""The <devices> of a created domain. Format: https://libvirt.org/formatdomain.html#devices."""

from typing import Final

from tradewind.domainxml import boot, cpu, devices, final_disks, final_nics
from tradewind.domainxml.document import E, Element
from tradewind.model.deploy import FinalDomain, Vnc
from tradewind.model.hardware import DiskBus
from tradewind.model.machine import VirtualMachine

# Free PCI Express slots for what the machine's owner plugs in later.
SPARE_SLOTS: Final = 4

# Models that a virtual PC of any libvirt has a place for.
_WATCHDOGS: Final = frozenset({"i6300esb", "ib700"})
_PANICS: Final = frozenset({"isa", None})
# A watchdog's action that writes the guest's memory to a file of its host; the guest goes on.
_DUMP: Final = "dump"


def dumping_watchdogs(source: Element) -> list[str]:
    """Name what of the source's watchdogs writes memory to a file."""
    return [
        f"watchdog action {_DUMP}"
        for watchdog in source.iterfind("devices/watchdog")
        if watchdog.get("action") == _DUMP and watchdog.get("model") in _WATCHDOGS
    ]


def devices_element(machine: VirtualMachine, source: Element, plan: FinalDomain) -> Element:
    """Describe all devices of the machine."""
    ranks = boot.boot_ranks(source, plan)
    slots = len(plan.disks) + len(plan.nics) + SPARE_SLOTS
    return E.devices(
        *final_disks.disks(source, plan, ranks.disks),
        *_config_drive(plan),
        *_controllers(plan),
        *devices.root_ports(plan.machine_type, slots),
        *final_nics.interfaces(source, plan, ranks.nics),
        *devices.serial_console(plan.console_log, append=True),
        devices.agent_channel(),
        *_tpm(plan),
        *_display(plan),
        *cpu.iommu(machine, source, plan),
        *_sentinels(source, plan),
        E.memballoon(model="virtio"),
        devices.random_source(),
    )


def _config_drive(plan: FinalDomain) -> list[Element]:
    if plan.config_drive is None:
        return []
    return [devices.cdrom(plan.config_drive, final_disks.free_cdrom_target(plan))]


def _controllers(plan: FinalDomain) -> list[Element]:
    targets = zip(plan.disks, final_disks.targets(plan), strict=True)
    on_scsi = [
        target for disk, target in targets if plan.hardware.bus_of(disk.disk_id) is DiskBus.SCSI
    ]
    drive = [] if plan.config_drive is None else [final_disks.free_cdrom_target(plan)]
    return devices.scsi_controllers([*on_scsi, *drive])


def _tpm(plan: FinalDomain) -> list[Element]:
    if not plan.tpm:
        return []
    backend = E.backend(type="emulator", version="2.0", persistent_state="yes")
    return [E.tpm(backend, model="tpm-crb")]


def _display(plan: FinalDomain) -> list[Element]:
    # A video device without a display still lets `virsh screenshot` show what the machine shows.
    video = E.video(E.model(type="vga"))
    if plan.vnc is None:
        return [video]
    listen = E.listen(type="address", address=plan.vnc.listen)
    return [
        # The pointer of a tablet stays where the viewer's is; a mouse's drifts.
        E.input(type="tablet", bus="usb"),
        E.graphics(listen, type="vnc", autoport="yes", **_password(plan.vnc)),
        video,
    ]


def _password(vnc: Vnc) -> dict[str, str]:
    return {"passwd": vnc.password.get_secret_value()} if vnc.password else {}


def _sentinels(source: Element, plan: FinalDomain) -> list[Element]:
    """Keep what tells the host that the guest hangs or panicked: software in the guest uses it."""
    kept = []
    for watchdog in source.iterfind("devices/watchdog"):
        if watchdog.get("model") in _WATCHDOGS:
            action = watchdog.get("action", "reset")
            if action == _DUMP and not plan.hardware.keep_memory_dumps:
                action = "none"  # as on the source, the guest goes on
            kept.append(E.watchdog(model=watchdog.get("model", ""), action=action))
    for panic in source.iterfind("devices/panic"):
        if panic.get("model") in _PANICS:
            kept.append(E.panic(model="isa"))
    return kept
