# SPDX-License-Identifier: Apache-2.0
"""Devices that workers and migrated machines have alike.

Format: https://libvirt.org/formatdomain.html#devices.
"""

from collections.abc import Iterable
from typing import Final

from tradewind.domainxml.document import E, Element, find
from tradewind.errors import HypervisorError
from tradewind.model.network import Plug, PlugKind

# https://libvirt.org/formatdomain.html#hard-drives-floppy-disks-cdroms: a narrow bus has eight
# units, and the controller is one of them.
_ON_A_CONTROLLER: Final = 7
AGENT_CHANNEL: Final = "org.qemu.guest_agent.0"


def target_name(prefix: str, index: int) -> str:
    """Name the n-th disk of a bus: vda … vdz, vdaa and so on."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return prefix + letters


def target_index(target: str) -> int:
    """Return which disk of its bus a target names, counted from 0: 27 for sdab."""
    index = 0
    for letter in target[2:]:
        index = index * 26 + ord(letter) - ord("a") + 1
    return index - 1


def disk(path: str, format_: str, target: str, bus: str, *, block: bool | None = None) -> Element:
    """Describe a disk whose contents matter; `block` devices are below /dev unless it is said.

    `cache=none` keeps the host's page cache out of the way: what the guest reads back comes from
    the storage, so a digest read there proves something, and a flush has little left to do. With
    sparse files QEMU's threads are left to do the I/O, since a native asynchronous write that has
    to allocate blocks the whole guest; block devices have nothing to allocate.
    """
    if block is None:
        block = path.startswith("/dev/")
    driver = E.driver(name="qemu", type=format_, cache="none", discard="unmap")
    if block:
        driver.set("io", "native")
    driver.set("detect_zeroes", "off")  # the sender finds the zeroes
    return E.disk(
        driver,
        _source(path, block),
        E.target(dev=target, bus=bus),
        type="block" if block else "file",
        device="disk",
    )


def _source(path: str, block: bool) -> Element:
    if not path.startswith("/"):
        raise HypervisorError(
            f"volume {path} is neither a file nor a block device of the host",
            "use a pool of files (dir, fs, netfs) or of logical volumes (logical)",
        )
    return E.source(dev=path) if block else E.source(file=path)


def cdrom(path: str, target: str) -> Element:
    """Describe an ISO on virtio-scsi: the cloud kernels of distributions have no AHCI driver."""
    return E.disk(
        E.driver(name="qemu", type="raw"),
        E.source(file=path),
        E.target(dev=target, bus="scsi"),
        E.readonly(),
        type="file",
        device="cdrom",
    )


def scsi_controller(index: int = 0) -> Element:
    """Describe a virtio-scsi controller."""
    return E.controller(type="scsi", index=str(index), model="virtio-scsi")


def scsi_controllers(targets: Iterable[str]) -> list[Element]:
    """Describe as many virtio-scsi controllers as the disks of these targets ("sda") want.

    Libvirt puts seven on each, counted by their names (virDomainDiskDefAssignAddress), and adds
    what is missing as an LSI 53C895A, for which RHEL 7 and later and Windows have no driver.
    """
    last = max((target_index(target) // _ON_A_CONTROLLER for target in targets), default=-1)
    return [scsi_controller(index) for index in range(last + 1)]


def root_ports(machine_type: str, count: int) -> tuple[Element, ...]:
    """Describe free PCI Express slots, which a q35 domain does not have of itself."""
    if "q35" not in machine_type:
        return ()  # the 31 slots of a plain PCI bus take hot-plugged devices as they are
    # Libvirt numbers what has no index from 0 on, and 0 has to be the root itself.
    root = E.controller(type="pci", index="0", model="pcie-root")
    return (root, *(E.controller(type="pci", model="pcie-root-port") for _ in range(count)))


def interface(mac: str, plug: Plug, model: str = "virtio") -> Element:
    """Describe a NIC, its MAC address given."""
    on_network = plug.kind is PlugKind.NETWORK
    element = E.interface(
        E.mac(address=mac),
        E.source(network=plug.name) if on_network else E.source(bridge=plug.name),
        E.model(type=model),
        type="network" if on_network else "bridge",
    )
    if plug.port_group:
        find(element, "source").set("portgroup", plug.port_group)
    if plug.kind is PlugKind.OVS:
        element.append(E.virtualport(type="openvswitch"))
    if plug.vlans:
        tags = E.vlan(*(E.tag(id=str(tag)) for tag in plug.vlans))
        if len(plug.vlans) > 1:
            tags.set("trunk", "yes")
        element.append(tags)
    return element


def serial_console(log: str | None, *, append: bool) -> tuple[Element, Element]:
    """Describe a serial console, with what it prints kept in a file of the host."""
    port = E.serial(type="pty")
    if log is not None:
        port.append(E.log(file=log, append="on" if append else "off"))
    port.append(E.target(port="0"))
    return port, E.console(E.target(type="serial", port="0"), type="pty")


def agent_channel() -> Element:
    """Describe the channel of the QEMU guest agent."""
    return E.channel(E.target(type="virtio", name=AGENT_CHANNEL), type="unix")


def random_source() -> Element:
    """Describe a virtio RNG; /dev/urandom never blocks the guest's boot."""
    return E.rng(E.backend("/dev/urandom", model="random"), model="virtio")
