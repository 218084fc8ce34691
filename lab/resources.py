# SPDX-License-Identifier: Apache-2.0
"""What libvirt offers on a host: two networks and three storage pools."""

from typing import Final

from lab import namespaces
from lab.commands import call, words
from lab.records import HostPlan

POOLS: Final = {
    "default": "/var/lib/libvirt/images",
    "worker-images": "/var/lib/libvirt/worker-images",
    "tiny": "/var/lib/libvirt/tiny",  # 64 MiB: to see what happens when a pool is too small
}

# `open`: libvirt adds no firewall rule, so the controller reaches the guests and they reach it.
_NETWORK = """\
<network>
  <name>{name}</name>
  <forward mode='{mode}'/>
  <bridge name='{bridge}'/>
  <ip address='{prefix}.1' netmask='255.255.255.0'>
    <dhcp>
      <range start='{prefix}.100' end='{prefix}.250'/>
    </dhcp>
  </ip>
</network>
"""


def offer(plan: HostPlan) -> None:
    """Define and start the networks and pools that are not there or not active."""
    nat = _NETWORK.format(name="default", mode="nat", bridge="virbr0", prefix=plan.nat)
    lan = _NETWORK.format(name="lan", mode="open", bridge="virbr1", prefix=plan.lan)
    known, active = _names(plan, "net-list")
    for name, xml in (("default", nat), ("lan", lan)):
        if name not in known:
            call(namespaces.enter(plan, ["virsh", "-q", "net-define", "/dev/stdin"]), stdin=xml)
        _activate(plan, "net", name, active)
    known, active = _names(plan, "pool-list")
    for name, folder in POOLS.items():
        if name not in known:
            virsh(plan, "pool-define-as", name, "dir", "--target", folder)
        _activate(plan, "pool", name, active)
    # libvirt looks at QEMU when it is first asked: five seconds that no caller should have to wait.
    virsh(plan, "domcapabilities")
    virsh(plan, "capabilities")


def _names(plan: HostPlan, verb: str) -> tuple[list[str], list[str]]:
    """Return all names, and those of the active ones."""
    return virsh(plan, verb, "--all", "--name"), virsh(plan, verb, "--name")


def _activate(plan: HostPlan, kind: str, name: str, active: list[str]) -> None:
    virsh(plan, f"{kind}-autostart", name)
    if name not in active:
        virsh(plan, f"{kind}-start", name)


def virsh(plan: HostPlan, *arguments: str) -> list[str]:
    """Run virsh as root inside the host and return the words that it prints."""
    return words(namespaces.enter(plan, ["virsh", "-q", *arguments]))
