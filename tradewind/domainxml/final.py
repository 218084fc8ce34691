# SPDX-License-Identifier: Apache-2.0
"""The domain of the migrated machine: the source's own description, the options applied.

Format: https://libvirt.org/formatdomain.html.
"""

from copy import deepcopy
from math import prod
from typing import Final

from tradewind.domainxml import devices, final_disks, final_nics, firmware, tags
from tradewind.domainxml.cpu import cpu_element
from tradewind.domainxml.document import E, Element, maker, parse, to_text
from tradewind.domainxml.labels import label_element
from tradewind.domainxml.machine import LIBOSINFO
from tradewind.model.deploy import FinalDomain
from tradewind.model.hardware import ClockChoice, DiskBus
from tradewind.model.machine import Firmware, FirmwareKind, VirtualMachine
from tradewind.units import MiB

# Free PCI Express slots for what the machine's owner plugs in later.
SPARE_SLOTS: Final = 4

# What virt-install gives every x86 machine: a guest that lost ticks catches up.
_TIMERS: Final = (
    ("rtc", {"tickpolicy": "catchup"}),
    ("pit", {"tickpolicy": "delay"}),
    ("hpet", {"present": "no"}),
)
_KEPT_TIMERS: Final = frozenset({"rtc", "pit", "hpet", "kvmclock", "hypervclock"})
_KEPT_FEATURES: Final = ("pae", "hap", "hyperv", "kvm", "msrs", "pmu", "vmcoreinfo", "vmport")
# What only KVM does: QEMU refuses to start with it elsewhere.
_OF_KVM: Final = frozenset({"hyperv", "kvm", "msrs", "pmu"})
# What happens then, where the source says nothing else. Its on_reboot is not asked: a machine whose
# installer or management restarted it from outside (oVirt) would be off after its first reboot.
_EVENTS: Final = {"on_poweroff": "destroy", "on_reboot": "restart", "on_crash": "destroy"}
_KEPT_EVENTS: Final = frozenset({"on_poweroff", "on_crash"})
# Models that a virtual PC of any libvirt has a place for.
_WATCHDOGS: Final = frozenset({"i6300esb", "ib700"})
_PANICS: Final = frozenset({"isa", None})

_CLOCKS: Final = {ClockChoice.UTC: "utc", ClockChoice.LOCAL: "localtime"}

_OS_INFO: Final = maker(LIBOSINFO, "libosinfo")


def console_log_path(folder: str, name: str) -> str:
    """Name the file for a machine's console.

    Not <name>.log: in its default folder that is libvirt's own log of the machine's QEMU, and
    virtlogd then refuses to start the machine ("Device or resource busy", libvirt 9.0).
    """
    return f"{folder.rstrip('/')}/{name}-console.log"


def final_domain(machine: VirtualMachine, plan: FinalDomain) -> str:
    """Describe the machine as the destination shall define it."""
    source = _source(machine)
    starts_with = plan.hardware.firmware_of(machine.firmware)
    domain = E.domain(type="kvm" if plan.kvm else "qemu")
    domain.extend(_identity(machine, source, plan))
    domain.extend(_resources(machine, source, plan))
    domain.extend(firmware.sysinfo(source, plan.uuid))
    domain.append(firmware.os_element(starts_with, source, plan))
    domain.append(_features(starts_with, source, plan))
    cpu = cpu_element(plan.cpu, _topology(machine, source, plan))
    if cpu is not None:
        domain.append(cpu)
    domain.append(_clock(machine, source, plan))
    domain.extend(_event(source, name, usual) for name, usual in _EVENTS.items())
    domain.extend(deepcopy(power) for power in source.iterfind("pm"))
    domain.append(_devices(source, plan))
    return to_text(domain)


def shortfalls(machine: VirtualMachine, plan: FinalDomain) -> tuple[str, ...]:
    """Say in sentences what the domain lacks of source and options."""
    source = _source(machine)
    lost = [*machine.dropped, *plan.notes, *plan.cpu.shortfalls]
    if source.find("features/hyperv") is not None and not plan.kvm:
        lost.append("Hyper-V enlightenments are left out: the host emulates the CPU.")
    if _loses_variables(machine, plan):
        lost.append(
            "The UEFI variables (boot entries) stay behind; the machine starts from the fallback"
            " path of its EFI partition."
        )
    if source.find("cpu/topology") is not None and _topology(machine, source, plan) is None:
        lost.append("The CPU topology is left out: it does not fit the number of vCPUs asked for.")
    if not plan.hardware.boot_order and not final_disks.boots_from_disk_first(source):
        lost.append(
            "The machine booted from something other than its disk first; the moved machine boots"
            " from its disk."
        )
    return (*lost, *final_disks.lost_of_disks(source, plan))


def _source(machine: VirtualMachine) -> Element:
    return parse(machine.description) if machine.description else E.domain()


def _loses_variables(machine: VirtualMachine, plan: FinalDomain) -> bool:
    now = plan.hardware.firmware_of(machine.firmware)
    both = machine.firmware.kind is now.kind is FirmwareKind.UEFI
    return both and plan.nvram is None


def _identity(machine: VirtualMachine, source: Element, plan: FinalDomain) -> list[Element]:
    uuid = [] if plan.uuid is None else [E.uuid(plan.uuid)]
    # A new one tells the guest that it is no longer where it was: what a directory server needs
    # to know when it is brought up from a replica.
    generation = [] if source.find("genid") is None else [E.genid()]
    title = plan.hardware.title or source.findtext("title")
    said = [text for text in (source.findtext("description"), plan.origin) if text]
    return [
        E.name(plan.name),
        *uuid,
        *generation,
        *([E.title(title)] if title else []),
        *([E.description("\n".join(said))] if said else []),
        E.metadata(*_os_info(machine, source, plan), *_tags(source), label_element(plan.label)),
    ]


def _os_info(machine: VirtualMachine, source: Element, plan: FinalDomain) -> list[Element]:
    known = source.find(f"metadata/{{{LIBOSINFO}}}libosinfo")
    if known is not None and plan.hardware.os_id is None:
        return [deepcopy(known)]
    hint = machine.os_hint if (machine.os_hint or "").startswith("http") else None
    chosen = plan.hardware.os_id or hint or plan.os_id
    return [_OS_INFO.libosinfo(_OS_INFO.os(id=chosen))] if chosen else []


def _tags(source: Element) -> list[Element]:
    """Keep the tags that a person chose machines by."""
    return [
        deepcopy(found)
        for found in source.iterfind("metadata/*")
        if isinstance(found.tag, str) and found.tag.startswith(f"{{{tags.NAMESPACE}}}")
    ]


def _resources(machine: VirtualMachine, source: Element, plan: FinalDomain) -> list[Element]:
    asked = plan.hardware
    memory = machine.memory if asked.memory is None else asked.memory * MiB
    vcpus = asked.vcpus_of(machine.vcpus)
    vcpu = E.vcpu(str(vcpus), placement="static")
    most = int(source.findtext("vcpu") or vcpus)
    if most > vcpus == machine.vcpus and asked.vcpus is None:
        # Some are unplugged at boot; the topology counts them all.
        vcpu = E.vcpu(str(most), placement="static", current=str(vcpus))
    return [E.memory(str(memory), unit="bytes"), vcpu]


def _features(starts_with: Firmware, source: Element, plan: FinalDomain) -> Element:
    features = E.features(E.acpi(), E.apic())
    for name in _KEPT_FEATURES:
        kept = source.find(f"features/{name}")
        if kept is not None and (plan.kvm or name not in _OF_KVM):
            features.append(deepcopy(kept))
    if starts_with.secure_boot:
        # Without SMM the guest could write the keys itself, so libvirt insists on it.
        features.append(E.smm(state="on"))
    return features


def _topology(machine: VirtualMachine, source: Element, plan: FinalDomain) -> Element | None:
    """Describe sockets, cores and threads; None when nothing is asked for, or it does not fit."""
    asked = plan.hardware.cpu_topology
    if asked is not None:
        return E.topology(
            sockets=str(asked.sockets), cores=str(asked.cores), threads=str(asked.threads)
        )
    topology = source.find("cpu/topology")
    if topology is None:
        return None
    made = prod(int(str(number)) for number in topology.attrib.values())
    fits = plan.hardware.vcpus in {None, made}
    return deepcopy(topology) if fits else None


def _clock(machine: VirtualMachine, source: Element, plan: FinalDomain) -> Element:
    timers = [
        deepcopy(timer)
        for timer in source.iterfind("clock/timer")
        if timer.get("name") in _KEPT_TIMERS and (plan.kvm or timer.get("name") != "hypervclock")
    ]
    ours = [E.timer(name=name, **settings) for name, settings in _TIMERS]
    clock = E.clock(*(timers or ours))
    described = source.find("clock")
    asked = _CLOCKS.get(plan.hardware.clock)
    if asked is None and described is not None and described.get("offset"):
        clock.attrib.update(described.attrib)
    else:
        clock.set("offset", asked or machine.clock.value)
    return clock


def _event(source: Element, name: str, usual: str) -> Element:
    kept = source.find(name) if name in _KEPT_EVENTS else None
    event: Element = getattr(E, name)()
    event.text = usual if kept is None else kept.text
    return event


def _devices(source: Element, plan: FinalDomain) -> Element:
    slots = len(plan.disks) + len(plan.nics) + SPARE_SLOTS
    return E.devices(
        *final_disks.disks(source, plan),
        *_config_drive(plan),
        *_controllers(plan),
        *devices.root_ports(plan.machine_type, slots),
        *final_nics.interfaces(source, plan, final_disks.boot_ranks(source, plan)),
        *devices.serial_console(plan.console_log, append=True),
        devices.agent_channel(),
        *_tpm(plan),
        *_display(plan),
        *_sentinels(source),
        E.memballoon(model="virtio"),
        devices.random_source(),
    )


def _config_drive(plan: FinalDomain) -> list[Element]:
    if plan.config_drive is None:
        return []
    return [devices.cdrom(plan.config_drive, final_disks.free_cdrom_target(plan))]


def _controllers(plan: FinalDomain) -> list[Element]:
    on_scsi = any(plan.hardware.bus_of(disk.disk_id) is DiskBus.SCSI for disk in plan.disks)
    return [devices.scsi_controller()] if on_scsi or plan.config_drive is not None else []


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


def _sentinels(source: Element) -> list[Element]:
    """Keep what tells the host that the guest hangs or panicked: software in the guest uses it."""
    kept = []
    for watchdog in source.iterfind("devices/watchdog"):
        if watchdog.get("model") in _WATCHDOGS:
            model = {"model": watchdog.get("model", ""), "action": watchdog.get("action", "reset")}
            kept.append(E.watchdog(**model))
    for panic in source.iterfind("devices/panic"):
        if panic.get("model") in _PANICS:
            kept.append(E.panic(model="isa"))
    return kept
