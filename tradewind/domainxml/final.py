# SPDX-License-Identifier: Apache-2.0
"""The domain of the migrated machine: the source's own description, the options applied.

Format: https://libvirt.org/formatdomain.html.
"""

from copy import deepcopy
from typing import Final

from tradewind.domainxml import devices
from tradewind.domainxml.cpu import cpu_element
from tradewind.domainxml.document import E, Element, parse, to_text
from tradewind.domainxml.labels import label_element
from tradewind.domainxml.machine import LIBOSINFO, moving_disks, target_of
from tradewind.model.deploy import DiskBus, FinalDisk, FinalDomain
from tradewind.model.machine import Firmware, FirmwareKind, VirtualMachine

# Free PCI Express slots for what the machine's owner plugs in later.
SPARE_SLOTS: Final = 4

_TARGET_PREFIX: Final = {DiskBus.VIRTIO: "vd", DiskBus.SCSI: "sd", DiskBus.SATA: "sd"}

# What virt-install gives every x86 machine: a guest that lost ticks catches up.
_TIMERS: Final = (
    ("rtc", {"tickpolicy": "catchup"}),
    ("pit", {"tickpolicy": "delay"}),
    ("hpet", {"present": "no"}),
)
_KEPT_TIMERS: Final = frozenset({"rtc", "pit", "hpet", "kvmclock", "hypervclock"})
_KEPT_FEATURES: Final = ("pae", "hap", "hyperv")


def console_log_path(folder: str, name: str) -> str:
    """Name the file for a machine's console.

    Not <name>.log: in its default folder that is libvirt's own log of the machine's QEMU, and
    virtlogd then refuses to start the machine ("Device or resource busy", libvirt 9.0).
    """
    return f"{folder.rstrip('/')}/{name}-console.log"


def final_domain(machine: VirtualMachine, plan: FinalDomain) -> str:
    """Describe the machine as the destination shall define it."""
    source = parse(machine.description) if machine.description else E.domain()
    domain = E.domain(type="kvm" if plan.kvm else "qemu")
    domain.extend(_identity(source, plan))
    domain.extend(_resources(machine, source))
    domain.append(_os(machine.firmware, source, plan))
    domain.append(_features(machine, source, plan))
    cpu = cpu_element(plan.cpu, _topology(source))
    if cpu is not None:
        domain.append(cpu)
    domain.append(_clock(machine, source, plan))
    domain.extend((E.on_poweroff("destroy"), E.on_reboot("restart"), E.on_crash("destroy")))
    domain.append(_devices(source, plan))
    return to_text(domain)


def shortfalls(machine: VirtualMachine, plan: FinalDomain) -> tuple[str, ...]:
    """Say in sentences what the domain lacks of source and options."""
    source = parse(machine.description) if machine.description else E.domain()
    lost = [*machine.dropped, *plan.cpu.shortfalls]
    if source.find("features/hyperv") is not None and not plan.kvm:
        lost.append("Hyper-V enlightenments are left out: the host emulates the CPU.")
    return tuple(lost)


def _identity(source: Element, plan: FinalDomain) -> list[Element]:
    uuid = [] if plan.uuid is None else [E.uuid(plan.uuid)]
    words = [deepcopy(word) for tag in ("title", "description") for word in source.iterfind(tag)]
    os_info = source.find(f"metadata/{{{LIBOSINFO}}}libosinfo")
    known = [] if os_info is None else [deepcopy(os_info)]
    return [E.name(plan.name), *uuid, *words, E.metadata(*known, label_element(plan.label))]


def _resources(machine: VirtualMachine, source: Element) -> list[Element]:
    vcpu = E.vcpu(str(machine.vcpus), placement="static")
    most = int(source.findtext("vcpu") or machine.vcpus)
    if most > machine.vcpus:  # some are unplugged at boot; the topology counts them all
        vcpu = E.vcpu(str(most), placement="static", current=str(machine.vcpus))
    return [E.memory(str(machine.memory), unit="bytes"), vcpu]


def _os(firmware: Firmware, source: Element, plan: FinalDomain) -> Element:
    type_ = E.type("hvm", arch=_architecture(source), machine=plan.machine_type)
    if firmware.kind is FirmwareKind.BIOS:
        return E.os(type_)
    # Libvirt picks the firmware from the features; keys are enrolled exactly when they are used.
    answer = "yes" if firmware.secure_boot else "no"
    os = E.os(
        type_,
        E.firmware(
            E.feature(enabled=answer, name="enrolled-keys"),
            E.feature(enabled=answer, name="secure-boot"),
        ),
        firmware="efi",
    )
    if firmware.secure_boot:  # libvirt 9.0 takes the attribute beside the features only as "yes"
        os.append(E.loader(secure="yes"))
    return os


def _architecture(source: Element) -> str:
    type_ = source.find("os/type")
    return "x86_64" if type_ is None else type_.get("arch", "x86_64")


def _features(machine: VirtualMachine, source: Element, plan: FinalDomain) -> Element:
    features = E.features(E.acpi(), E.apic())
    for name in _KEPT_FEATURES:
        kept = source.find(f"features/{name}")
        # Enlightenments are KVM's: QEMU refuses to start with them elsewhere.
        if kept is not None and (plan.kvm or name != "hyperv"):
            features.append(deepcopy(kept))
    if machine.firmware.secure_boot:
        # Without SMM the guest could write the keys itself, so libvirt insists on it.
        features.append(E.smm(state="on"))
    return features


def _topology(source: Element) -> Element | None:
    topology = source.find("cpu/topology")
    return None if topology is None else deepcopy(topology)


def _clock(machine: VirtualMachine, source: Element, plan: FinalDomain) -> Element:
    timers = [
        deepcopy(timer)
        for timer in source.iterfind("clock/timer")
        if timer.get("name") in _KEPT_TIMERS and (plan.kvm or timer.get("name") != "hypervclock")
    ]
    ours = [E.timer(name=name, **settings) for name, settings in _TIMERS]
    return E.clock(*(timers or ours), offset=machine.clock.value)


def _devices(source: Element, plan: FinalDomain) -> Element:
    slots = len(plan.disks) + len(plan.nics) + SPARE_SLOTS
    return E.devices(
        *_disks(source, plan),
        *_config_drive(plan),
        *_controllers(plan),
        *devices.root_ports(plan.machine_type, slots),
        *(devices.interface(nic) for nic in plan.nics),
        *devices.serial_console(plan.console_log, append=True),
        devices.agent_channel(),
        *_tpm(plan),
        *_display(plan),
        E.memballoon(model="virtio"),
        devices.random_source(),
    )


def _disks(source: Element, plan: FinalDomain) -> list[Element]:
    described = {target_of(disk): disk for disk in moving_disks(source)}
    order = _boot_order(described, plan.disks)
    return [
        _disk(disk, index, plan.bus, order.get(disk.disk_id), described.get(disk.disk_id))
        for index, disk in enumerate(plan.disks)
    ]


def _disk(
    disk: FinalDisk, index: int, bus: DiskBus, order: int | None, described: Element | None
) -> Element:
    target = devices.target_name(_TARGET_PREFIX[bus], index)
    element = devices.disk(disk.path, disk.format, target, bus.value)
    # A serial that the guest's own files may name (/dev/disk/by-id) goes with the disk.
    serial = None if described is None else described.findtext("serial")
    if serial:
        element.append(E.serial(serial))
    if order is not None:
        element.append(E.boot(order=str(order)))
    return element


def _boot_order(described: dict[str, Element], disks: tuple[FinalDisk, ...]) -> dict[str, int]:
    """Rank the disks the source boots from; the first one where it does not say."""
    asked = {
        disk.disk_id: int(boot.get("order", "0"))
        for disk in disks
        if (found := described.get(disk.disk_id)) is not None
        and (boot := found.find("boot")) is not None
    }
    ranked = sorted(asked, key=lambda disk_id: asked[disk_id]) or [disks[0].disk_id]
    return {disk_id: rank for rank, disk_id in enumerate(ranked, start=1)}


def _config_drive(plan: FinalDomain) -> list[Element]:
    if plan.config_drive is None:
        return []
    taken = len(plan.disks) if plan.bus is not DiskBus.VIRTIO else 0
    return [devices.cdrom(plan.config_drive, devices.target_name("sd", taken))]


def _controllers(plan: FinalDomain) -> list[Element]:
    needed = plan.bus is DiskBus.SCSI or plan.config_drive is not None
    return [devices.scsi_controller()] if needed else []


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
        E.graphics(listen, type="vnc", autoport="yes"),
        video,
    ]
