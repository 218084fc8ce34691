# SPDX-License-Identifier: Apache-2.0
"""The demo guest as a machine of the source host: disks on SATA, an Intel NIC, nothing of KVM."""

from typing import Final

from pydantic import SecretStr

import images
from images import keys
from lab import guests, namespaces
from lab.commands import call
from lab.records import LabHost
from lab.resources import virsh
from tradewind.model.host import HostAccess
from tradewind.remote import shell

NAME: Final = "demo"
RECIPE: Final = "debian12-bios"
ADDRESS: Final = "198.18.10.50"

_XML: Final = """\
<domain type='{virtualization}'>
  <name>{name}</name>
  <uuid>7f6f3c1e-5f0b-4a57-9f0f-0d3a6a1f2c01</uuid>
  <memory unit='MiB'>1024</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type><boot dev='hd'/></os>
  <features><acpi/><apic/></features>
  <cpu mode='{cpu}'/>
  <clock offset='utc'/>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/var/lib/libvirt/images/{name}-os.qcow2'/>
      <target dev='sda' bus='sata'/>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/var/lib/libvirt/images/{name}-data.qcow2'/>
      <target dev='sdb' bus='sata'/>
    </disk>
    <interface type='network'>
      <mac address='52:54:00:de:30:01'/>
      <source network='lan'/>
      <model type='e1000e'/>
      <address type='pci' domain='0x0000' bus='0x02' slot='0x00' function='0x0'/>
    </interface>
    <controller type='pci' index='1' model='pcie-root-port'/>
    <controller type='pci' index='2' model='pcie-root-port'/>
    <serial type='pty'><log file='/var/log/libvirt/qemu/{name}.console.log' append='off'/></serial>
    <console type='pty'/>
    <video><model type='vga'/></video>
  </devices>
</domain>
"""


def install(host: LabHost, *, kvm: bool) -> None:
    """Put the guest's disks into the host's pool and define the machine, shut off."""
    built = images.build(RECIPE)
    for disk, name in zip(built.disks, ("os", "data"), strict=True):
        guests.copy_into_pool(host, "default", disk, f"{NAME}-{name}.qcow2")
    xml = _XML.format(
        name=NAME,
        virtualization="kvm" if kvm else "qemu",
        cpu="host-passthrough" if kvm else "maximum",
    )
    plan = namespaces.plan_of(host)
    call(namespaces.enter(plan, ["virsh", "define", "/dev/stdin"]), stdin=xml)


def start(host: LabHost) -> None:
    """Start the machine."""
    virsh(namespaces.plan_of(host), "start", NAME)


def access(address: str = ADDRESS) -> HostAccess:
    """How to log in to the guest, here and after the move: as root, with the lab's guest key."""
    return HostAccess(
        host=address,
        username="root",
        private_key=SecretStr(keys.guest_key().read_text()),
        host_key=keys.public_line(keys.guest_host_key()),
    )


def answers(address: str = ADDRESS) -> bool:
    """Whether the guest answers over SSH, with its own key."""
    return shell.probe(address, 22, keys.public_line(keys.guest_host_key()))
