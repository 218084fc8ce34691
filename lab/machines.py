# SPDX-License-Identifier: Apache-2.0
"""A built image as a machine of a host: disks on SATA, Intel NICs, nothing of KVM."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

import images
from images import BuiltImage, keys, qemu
from lab import guests, namespaces
from lab.commands import call
from lab.errors import LabError
from lab.records import LabHost
from lab.resources import virsh
from tradewind.model.host import HostAccess
from tradewind.remote import shell

# The NICs sit on PCI buses 2, 3, ...: Linux calls them enp2s0, enp3s0. Elsewhere it will not.
_FIRST_BUS: Final = 2

_XML: Final = """\
<domain type='{virtualization}'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>1024</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type>{firmware}<boot dev='hd'/></os>
  <features><acpi/><apic/></features>
  <cpu mode='{cpu}'/>
  <clock offset='utc'/>
  <devices>
    {devices}
    <serial type='pty'><log file='/var/log/libvirt/qemu/{name}.console.log' append='off'/></serial>
    <console type='pty'/>
    <video><model type='vga'/></video>
  </devices>
</domain>
"""

_DISK: Final = """\
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
      <source file='/var/lib/libvirt/images/{file}'/><target dev='sd{letter}' bus='sata'/></disk>"""

_NIC: Final = """\
<interface type='network'><mac address='{mac}'/><source network='lan'/><model type='e1000e'/>
      <address type='pci' domain='0x0000' bus='{bus:#04x}' slot='0x00' function='0x0'/>
    </interface>"""

_VARIABLES: Final = "/var/lib/libvirt/qemu/nvram/{name}_VARS.fd"
_UEFI: Final = """\
<loader readonly='yes' type='pflash'>{code}</loader><nvram>{variables}</nvram>"""


@dataclass(frozen=True, slots=True)
class LabMachine:
    """An image that a host gets as a machine; `address` is where the guest answers on its own."""

    name: str
    recipe: str
    uuid: str
    macs: tuple[str, ...]
    address: str


def install(machine: LabMachine, host: LabHost, *, kvm: bool) -> None:
    """Put the image's disks into the host's pool and define the machine, shut off."""
    built = images.build(machine.recipe)
    plan = namespaces.plan_of(host)
    for disk in built.disks:
        guests.copy_into_pool(host, "default", disk, f"{machine.name}-{disk.name}")
    if built.variables:
        kept = guests.inside(plan, _VARIABLES.format(name=machine.name))
        kept.parent.mkdir(exist_ok=True)
        kept.write_bytes(built.variables.read_bytes())
    xml = describe(machine, built, kvm=kvm)
    call(namespaces.enter(plan, ["virsh", "define", "/dev/stdin"]), stdin=xml)


def describe(machine: LabMachine, built: BuiltImage, *, kvm: bool) -> str:
    """Write the machine's domain XML."""
    variables = _VARIABLES.format(name=machine.name)
    return _XML.format(
        name=machine.name,
        uuid=machine.uuid,
        virtualization="kvm" if kvm else "qemu",
        cpu="host-passthrough" if kvm else "maximum",
        firmware=_UEFI.format(code=qemu.UEFI, variables=variables) if built.variables else "",
        devices="\n    ".join(_devices(machine, built)),
    )


def _devices(machine: LabMachine, built: BuiltImage) -> Iterator[str]:
    for letter, disk in zip("abcdef", built.disks, strict=False):
        yield _DISK.format(file=f"{machine.name}-{disk.name}", letter=letter)
    for index in range(1, _FIRST_BUS + len(machine.macs)):
        yield f"<controller type='pci' index='{index}' model='pcie-root-port'/>"
    for bus, mac in enumerate(machine.macs, start=_FIRST_BUS):
        yield _NIC.format(mac=mac, bus=bus)


def start(machine: LabMachine, host: LabHost) -> None:
    """Start the machine."""
    virsh(namespaces.plan_of(host), "start", machine.name)


def remove(machine: LabMachine, host: LabHost) -> None:
    """Take the machine away again, with its disks; it may run, or not be there."""
    plan = namespaces.plan_of(host)
    off = ["virsh", "destroy", machine.name]
    gone = ["virsh", "undefine", machine.name, "--nvram", "--tpm", "--remove-all-storage"]
    for argv in (off, gone):
        call(namespaces.enter(plan, argv), check=False)
    if machine.name in virsh(plan, "list", "--all", "--name"):
        raise LabError(f"{machine.name} could not be removed from {host.name}")


def access(address: str) -> HostAccess:
    """How to log in to a guest, before and after its move: as root, with the lab's guest key."""
    return HostAccess(
        host=address,
        username="root",
        private_key=SecretStr(keys.guest_key().read_text()),
        host_key=keys.public_line(keys.guest_host_key()),
    )


def answers(address: str) -> bool:
    """Whether a guest answers over SSH, with its own key."""
    return shell.probe(address, 22, keys.public_line(keys.guest_host_key()))
