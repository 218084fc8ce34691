# SPDX-License-Identifier: Apache-2.0
"""The domain of the migrated machine: the source's own description, the options applied.

Format: https://libvirt.org/formatdomain.html.
"""

from copy import deepcopy
from typing import Final

from tradewind.domainxml import (
    boot,
    cpu,
    final_devices,
    final_disks,
    final_nics,
    firmware,
    omissions,
    tags,
)
from tradewind.domainxml.document import E, Element, maker, parse, to_text
from tradewind.domainxml.labels import label_element
from tradewind.domainxml.machine import LIBOSINFO
from tradewind.model.deploy import CLOSE_CONSOLE, FinalDomain
from tradewind.model.hardware import ClockChoice
from tradewind.model.machine import FirmwareKind, VirtualMachine
from tradewind.units import MiB

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
# What writes the guest's memory to a file of its host: on_crash with this before what it does then.
_DUMP_AND: Final = "coredump-"

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
    domain.append(_features(machine, source, plan))
    described = cpu.cpu_element(plan.cpu, cpu.topology(machine, source, plan))
    if described is not None:
        domain.append(described)
    domain.append(_clock(machine, source, plan))
    domain.extend(_event(source, plan, name, usual) for name, usual in _EVENTS.items())
    domain.extend(deepcopy(power) for power in source.iterfind("pm"))
    domain.append(final_devices.devices_element(machine, source, plan))
    omissions.without(domain, [omission.path for omission in plan.left_out])
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
    if source.find("cpu/topology") is not None and cpu.topology(machine, source, plan) is None:
        lost.append("The CPU topology is left out: it does not fit the number of vCPUs asked for.")
    if source.find("devices/iommu") is not None:
        lost += cpu.lost_of_iommu(machine, source, plan)
    if firmware.architecture(machine.description) == firmware.NARROW:
        lost.append("The machine was one of i686; the new one is of x86_64, which runs the same.")
    if not plan.hardware.boot_order and (start := boot.lost_start(source)):
        lost.append(start)
    lost += final_nics.lost_groups(machine, plan)
    lost += [
        f"The new host's libvirt refuses {omission.what}: it is left out."
        for omission in plan.left_out
        if omission.what
    ]
    return (*lost, *_dumps(source, plan), *final_disks.lost_of_disks(source, plan), *_open(plan))


def _dumps(source: Element, plan: FinalDomain) -> list[str]:
    """Return which files of memory the new host does not write unasked."""
    crash = (source.findtext("on_crash") or "").strip()
    dumping = [f"on_crash {crash}"] if crash.startswith(_DUMP_AND) else []
    dumping += final_devices.dumping_watchdogs(source)
    if plan.hardware.keep_memory_dumps:
        return []
    return [
        f"The guest's memory is not written to a file of the new host ({each} on the source):"
        " keep_memory_dumps asks for it."
        for each in dumping
    ]


def _open(plan: FinalDomain) -> list[str]:
    """Return a note when anybody who reaches the host sees and steers the machine."""
    exposure = plan.vnc.exposure if plan.vnc else ""
    return [f"{exposure} Remedy: {CLOSE_CONSOLE}."] if exposure else []


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
    asked = plan.hardware.memory
    memory = machine.memory if asked is None else asked * MiB
    return [E.memory(str(memory), unit="bytes"), cpu.vcpu_element(machine, source, plan)]


def _features(machine: VirtualMachine, source: Element, plan: FinalDomain) -> Element:
    features = E.features(E.acpi(), E.apic())
    for name in _KEPT_FEATURES:
        kept = source.find(f"features/{name}")
        if kept is not None and (plan.kvm or name not in _OF_KVM):
            features.append(deepcopy(kept))
    if cpu.wants_wide_interrupts(machine, source, plan):
        # https://libvirt.org/formatdomain.html#hypervisor-features: for interrupt remapping.
        features.append(E.ioapic(driver="qemu"))
    if plan.hardware.firmware_of(machine.firmware).secure_boot:
        # Without SMM the guest could write the keys itself, so libvirt insists on it.
        features.append(E.smm(state="on"))
    return features


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


def _event(source: Element, plan: FinalDomain, name: str, usual: str) -> Element:
    kept = source.findtext(name) if name in _KEPT_EVENTS else None
    event: Element = getattr(E, name)()
    event.text = usual if kept is None else kept.strip()
    if not plan.hardware.keep_memory_dumps:
        event.text = event.text.removeprefix(_DUMP_AND)
    return event
