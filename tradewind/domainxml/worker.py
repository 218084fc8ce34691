# SPDX-License-Identifier: Apache-2.0
"""The domain of a worker, and the disks plugged into it while it runs."""

from dataclasses import dataclass
from typing import Final

from tradewind.domainxml import devices
from tradewind.domainxml.document import E, Element, attribute, find, parse, to_text
from tradewind.domainxml.labels import label_element
from tradewind.errors import HypervisorError
from tradewind.model.host import WorkerSpec
from tradewind.model.network import Plug
from tradewind.model.run import Label, Purpose

# Slots that the worker's own devices take: system disk, NIC, SCSI, serial (agent), RNG.
OWN_SLOTS: Final = 5
SPARE_SLOTS: Final = 4

# virtio-blk hands 20 bytes of a serial to the guest and cuts the rest (VIRTIO_BLK_ID_BYTES).
SERIAL_LENGTH: Final = 20
DEFAULT_SECTOR: Final = 512


@dataclass(frozen=True, slots=True)
class WorkerDomain:
    """Everything the worker's domain is made of; the paths are the host's."""

    name: str
    spec: WorkerSpec
    overlay_path: str
    seed_path: str
    mac: str
    machine_type: str
    kvm: bool
    cpu_modes: tuple[str, ...]
    label: Label
    console_log: str | None = None


def worker_domain(worker: WorkerDomain) -> str:
    """Describe a worker: a throw-away machine with room for `spec.disk_slots` more disks."""
    return to_text(
        E.domain(
            E.name(worker.name),
            E.metadata(label_element(worker.label)),
            E.memory(str(worker.spec.memory), unit="bytes"),
            E.vcpu(str(worker.spec.vcpus), placement="static"),
            E.os(E.type("hvm", arch="x86_64", machine=worker.machine_type), E.boot(dev="hd")),
            E.features(E.acpi(), E.apic()),
            *_cpu(worker),
            E.clock(offset="utc"),
            E.on_poweroff("destroy"),
            E.on_reboot("restart"),
            E.on_crash("destroy"),
            _devices(worker),
            type="kvm" if worker.kvm else "qemu",
        )
    )


def _cpu(worker: WorkerDomain) -> list[Element]:
    if worker.kvm:
        return [E.cpu(mode="host-passthrough", check="none")]
    if "maximum" not in worker.cpu_modes:  # before libvirt 7.1; what it takes by itself will do
        return []
    cpu = E.cpu(mode="maximum", check="none")
    # TCG emulates vectors of 256 bits slowly, and both glibc and OpenSSL prefer them where they
    # exist. Without them a worker booted in 43 s instead of 49 s, with ChaCha20 at 35 MB/s instead
    # of 13. One that adapts guests keeps them: a guest's own programs may be built for them.
    if worker.label.purpose is Purpose.TRANSFER:
        cpu.extend(E.feature(policy="disable", name=name) for name in ("avx", "avx2"))
    return [cpu]


def _devices(worker: WorkerDomain) -> Element:
    slots = OWN_SLOTS + worker.spec.disk_slots + SPARE_SLOTS
    return E.devices(
        _system_disk(worker.overlay_path),
        devices.cdrom(worker.seed_path, "sda"),
        devices.scsi_controller(),
        E.controller(type="usb", model="none"),
        *devices.root_ports(worker.machine_type, slots),
        devices.interface(worker.mac, Plug(name=worker.spec.network)),
        *devices.serial_console(worker.console_log, append=False),
        devices.agent_channel(),
        E.video(E.model(type="none")),
        E.memballoon(model="none"),
        devices.random_source(),
    )


def _system_disk(path: str) -> Element:
    # Nothing on it outlives the worker, so no flush of it needs to reach the storage.
    return E.disk(
        E.driver(name="qemu", type="qcow2", cache="unsafe", discard="unmap"),
        E.source(file=path),
        E.target(dev="vda", bus="virtio"),
        type="file",
        device="disk",
    )


def attached_disk(
    path: str,
    format_: str,
    serial: str,
    target: str,
    sector: int = 512,
    *,
    block: bool | None = None,
) -> str:
    """Describe a volume to hot-attach; the guest finds it as /dev/disk/by-id/virtio-<serial>.

    `sector` is in bytes; a partition table that counts in others is not found. `block` says whether
    the volume is a block device; without it, what is below /dev is one.
    """
    if not 0 < len(serial) <= SERIAL_LENGTH:
        raise ValueError(f"disk serial {serial!r}: 1 to {SERIAL_LENGTH} characters")
    disk = devices.disk(path, format_, target, "virtio", block=block)
    # By default QEMU stops a guest whose disk finds no room: the writer would hang, not fail.
    find(disk, "driver").set("error_policy", "report")
    disk.append(E.serial(serial))
    if sector != DEFAULT_SECTOR:
        size = str(sector)
        disk.append(E.blockio(logical_block_size=size, physical_block_size=size))
    return to_text(disk)


def free_target(domain_xml: str) -> str:
    """Name the next free virtio target of a running domain ("vdb")."""
    taken = {target.get("dev") for target in parse(domain_xml).iterfind("devices/disk/target")}
    names = (devices.target_name("vd", index) for index in range(len(taken) + 1))
    return next(name for name in names if name not in taken)


def find_disk(domain_xml: str, serial: str) -> str | None:
    """Return the XML of the disk with this serial, as detaching wants it; None without one."""
    for disk in parse(domain_xml).iterfind("devices/disk"):
        if disk.findtext("serial") == serial:
            return to_text(disk)
    return None


@dataclass(frozen=True, slots=True)
class PluggedDisk:
    """A disk of a running domain: its target, where its contents are, and how a merge stands.

    `ready_to_pivot` says that what a block job copies has caught up with what the guest writes.
    """

    target: str
    source: str
    ready_to_pivot: bool


def plugged_disk(domain_xml: str, serial: str) -> PluggedDisk:
    """Describe the disk with this serial; HypervisorError when it is not there."""
    xml = find_disk(domain_xml, serial)
    if xml is None:
        raise HypervisorError(f"disk {serial} is not attached to the worker any more")
    disk = parse(xml)
    return PluggedDisk(
        target=attribute(disk, "target", "dev") or "",
        source=attribute(disk, "source", "file") or attribute(disk, "source", "dev") or "",
        # https://libvirt.org/formatdomain.html: <mirror ready="yes">, of a job that may be pivoted
        ready_to_pivot=attribute(disk, "mirror", "ready") == "yes",
    )
