# SPDX-License-Identifier: Apache-2.0
"""Look at a host and say everything that is missing at once; nothing is changed."""

from collections.abc import Callable, Iterator, Sequence

import libvirt

from tradewind.errors import BadInputError, SeveralProblemsError, TradewindError
from tradewind.host import storage
from tradewind.host.domain import domains
from tradewind.model.finding import Finding, error, note, warning
from tradewind.model.host import HostAccess, HostFacts, WorkerAccess
from tradewind.remote import shell

Check = Callable[[], object]


def require_all(checks: Sequence[Check]) -> None:
    """Run every check, then raise what they found: one error as it is, several as one."""
    found: list[BadInputError] = []
    for check in checks:
        try:
            check()
        except BadInputError as failure:
            found.append(failure)
    if len(found) == 1:
        raise found[0]
    if found:
        raise SeveralProblemsError.of(found)


def problems(failure: TradewindError, looked_at: str) -> tuple[Finding, ...]:
    """Turn what a check raised into findings, one for each problem.

    `looked_at` is the evidence of those which bring none of their own.
    """
    if isinstance(failure, SeveralProblemsError):
        return tuple(finding for each in failure.problems for finding in problems(each, looked_at))
    remedy = failure.hint or f"look up {type(failure).__name__} in docs/troubleshooting.md"
    return (error(failure.message, remedy, failure.evidence or looked_at),)


def findings(connection: libvirt.virConnect, facts: HostFacts) -> tuple[Finding, ...]:
    """Judge what a host offers as a destination."""
    return (*_machine(facts), *_storage(connection), *_network(connection))


def route_findings(access: HostAccess) -> tuple[Finding, ...]:
    """Ask the host to forward a connection, when its workers are to be reached through it."""
    if access.worker_access is WorkerAccess.DIRECT:
        return ()
    with shell.connect_to_host(access) as host:
        if host.forwards():
            return ()
    return (
        warning(
            f"{access.host} forwards no connection, so its workers cannot be reached via-host",
            "set AllowTcpForwarding yes in its sshd_config; a PermitOpen there has to name the"
            " worker network",
            f"its sshd refused to open 127.0.0.1:22 for {access.username}",
        ),
    )


def as_source(found: Sequence[Finding]) -> tuple[Finding, ...]:
    """Say what keeps machines from being read here as a warning: this may be a destination only."""
    return tuple(
        warning(f"no machine can be read from here: {each.what}", each.remedy, each.evidence)
        for each in found
    )


def _machine(facts: HostFacts) -> Iterator[Finding]:
    if not facts.kvm:
        yield warning(
            f"{facts.hostname} has no KVM: guests are emulated and slow",
            "switch virtualization on in the firmware, load kvm_intel or kvm_amd, and see that"
            " /dev/kvm belongs to the group kvm",
            "virsh capabilities: no domain type kvm",
        )
    if not facts.uefi:
        yield warning(
            "no UEFI firmware for guests",
            "install ovmf (SUSE: qemu-ovmf-x86_64)",
            "virsh domcapabilities: firmware efi is missing",
        )
    if not facts.tpm:
        yield warning(
            "no TPM for guests",
            "install swtpm and swtpm-tools, or set add_tpm_device to false",
            "virsh domcapabilities: no emulated TPM of model tpm-crb",
        )


def _storage(connection: libvirt.virConnect) -> Iterator[Finding]:
    all_pools = connection.listAllStoragePools()
    pools = [pool for pool in all_pools if pool.isActive()]
    if not pools:
        there = _listed("virsh pool-list --all", all_pools)
        yield error(
            "no running storage pool", "define and start one: virsh pool-define-as …", there
        )
    elif not any(storage.pool_type(connection, pool.name()) == "dir" for pool in pools):
        running = _listed("running pools of other types", pools)
        yield error("no running dir pool for worker images", "define one of type dir", running)


def _network(connection: libvirt.virConnect) -> Iterator[Finding]:
    networks = connection.listAllNetworks()
    if not any(network.isActive() for network in networks):
        there = _listed("virsh net-list --all", networks)
        yield error("no running libvirt network", "start one: virsh net-start default", there)
    for network in networks:
        if not network.isActive():
            name = network.name()
            yield note(
                f"network {name} is not running",
                f"if a machine needs it: virsh net-start {name}",
                f"virsh net-info {name}: Active: no",
            )


def _listed(what: str, there: Sequence[libvirt.virStoragePool | libvirt.virNetwork]) -> str:
    return f"{what}: {', '.join(sorted(each.name() for each in there)) or 'none'}"


def require_network(connection: libvirt.virConnect, name: str | None, option: str) -> None:
    """Raise when a network that an option must name is missing or unnamed."""
    if not name:
        raise BadInputError(
            f"option {option} is empty",
            f"name a libvirt network in {option}",
            evidence=f"{option} in the provider options of this request",
        )
    domains.require_network(connection, name)
