# SPDX-License-Identifier: Apache-2.0
"""Look at a host and say everything that is missing at once; nothing is changed."""

from collections.abc import Callable, Iterator, Sequence

import libvirt

from tradewind.errors import BadInputError
from tradewind.host import domains, storage
from tradewind.model.host import Finding, HostFacts, Severity

Check = Callable[[], object]


def require_all(checks: Sequence[Check]) -> None:
    """Run every check, then raise what they found: one error as it is, several as one."""
    found: list[BadInputError] = []
    for check in checks:
        try:
            check()
        except BadInputError as error:
            found.append(error)
    if len(found) == 1:
        raise found[0]
    if found:
        raise BadInputError(
            f"{len(found)} problems:\n" + "\n".join(f"• {error}" for error in found),
            "nothing was created; mend all of them and start again",
        )


def findings(connection: libvirt.virConnect, facts: HostFacts) -> tuple[Finding, ...]:
    """Judge what a host offers as a destination."""
    return (*_machine(facts), *_storage(connection), *_network(connection))


def _machine(facts: HostFacts) -> Iterator[Finding]:
    if not facts.kvm:
        yield _warning(
            f"{facts.hostname} has no KVM: guests are emulated and slow",
            "switch virtualization on in the firmware, load kvm_intel or kvm_amd, and see that"
            " /dev/kvm belongs to the group kvm",
        )
    if not facts.uefi:
        yield _warning("no UEFI firmware for guests", "install ovmf (SUSE: qemu-ovmf-x86_64)")
    if not facts.tpm:
        yield _warning(
            "no TPM for guests", "install swtpm and swtpm-tools, or set add_tpm_device to false"
        )


def _storage(connection: libvirt.virConnect) -> Iterator[Finding]:
    pools = [pool for pool in connection.listAllStoragePools() if pool.isActive()]
    if not pools:
        yield _error("no running storage pool", "define and start one: virsh pool-define-as …")
    elif not any(storage.pool_type(connection, pool.name()) == "dir" for pool in pools):
        yield _error("no running dir pool for worker images", "define one of type dir")


def _network(connection: libvirt.virConnect) -> Iterator[Finding]:
    networks = connection.listAllNetworks()
    if not any(network.isActive() for network in networks):
        yield _error("no running libvirt network", "start one: virsh net-start default")
    for network in networks:
        if not network.isActive():
            yield Finding(
                severity=Severity.NOTE,
                what=f"network {network.name()} is not running",
                remedy=f"virsh net-start {network.name()}",
            )


def _warning(what: str, remedy: str) -> Finding:
    return Finding(severity=Severity.WARNING, what=what, remedy=remedy)


def _error(what: str, remedy: str) -> Finding:
    return Finding(severity=Severity.ERROR, what=what, remedy=remedy)


def require_network(connection: libvirt.virConnect, name: str | None, option: str) -> None:
    """Raise when a network that an option must name is missing or unnamed."""
    if not name:
        raise BadInputError(f"option {option} is empty", f"name a libvirt network in {option}")
    domains.require_network(connection, name)
