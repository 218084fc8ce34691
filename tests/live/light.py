# SPDX-License-Identifier: Apache-2.0
"""A guest that boots within half a minute where the CPU is emulated: the worker image, as a guest.

It has a kernel, systemd, an address from DHCP and a guest agent, and needs no adapting.
"""

import subprocess
from typing import Final

import libvirt

import images
import lab
from lab import namespaces
from lab.records import LabHost
from tests.live import hosts
from tradewind.errors import HypervisorError
from tradewind.host.domain import agent
from tradewind.waiting import wait_for

NAME: Final = "light"
BOOT_TIMEOUT: Final = 300

_XML: Final = f"""\
<domain type='qemu'><name>{NAME}</name><memory unit='MiB'>512</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
<cpu mode='maximum'/><clock offset='utc'/>
<devices>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
<source file='/var/lib/libvirt/images/{NAME}.qcow2'/><target dev='vda' bus='virtio'/></disk>
<interface type='network'><source network='lan'/><model type='virtio'/></interface>
<serial type='pty'/><console type='pty'/>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
</devices></domain>"""


def start(host: LabHost) -> None:
    """Give a host the guest, running."""
    (image,) = images.build("worker").disks
    lab.copy_into_pool(host, "default", image, f"{NAME}.qcow2")
    argv = namespaces.enter(namespaces.plan_of(host), ["virsh", "define", "/dev/stdin"])
    subprocess.run(argv, input=_XML, text=True, check=True, capture_output=True)
    lab.run(host, ["virsh", "start", NAME])


def remove(host: LabHost) -> None:
    """Take the guest away again, whether it runs or was never there."""
    hosts.end_machines(host, NAME)


def sh(domain: libvirt.virDomain, command: str) -> str:
    """Run a shell command in the guest, and return what it printed."""
    ended = agent.run(domain, ["/bin/sh", "-c", command])
    assert ended.status == 0, ended
    return ended.output


def wait_until_ready(domain: libvirt.virDomain) -> None:
    """Return when the guest runs commands, and can be shut down by its agent.

    The agent calls shutdown(8) with a time, which asks D-Bus, and that is not in this image.
    """

    def answers() -> bool:
        try:
            return bool(sh(domain, "echo up"))
        except HypervisorError:
            return False

    wait_for(answers, f"the agent of {NAME} answers", BOOT_TIMEOUT, every=1)
    power_off = "#!/bin/sh\\nexec systemctl poweroff\\n"
    sh(domain, f"rm /sbin/shutdown; printf '{power_off}' >/sbin/shutdown; chmod +x /sbin/shutdown")
