# SPDX-License-Identifier: Apache-2.0
"""Domains: define, start, label, end."""

import contextlib
import ipaddress
import itertools
from typing import Final, Literal

import libvirt

from tradewind.domainxml import labels, tags
from tradewind.domainxml.machine import DiskFacts
from tradewind.errors import HypervisorBusyError, HypervisorError, NotFoundError
from tradewind.model.host import WorkerAddressSource
from tradewind.model.machine import PowerState
from tradewind.model.run import Label
from tradewind.nearest import listed

# Of what an agent, and so a guest, says of itself.
MOST_ADDRESSES: Final = 64

_ADDRESS_SOURCES: Final = {
    WorkerAddressSource.AGENT: libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT,
    WorkerAddressSource.LEASE: libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE,
}

# What libvirt before 8.9 undefines; it removes the TPM's state of itself, and refuses the flag.
_UNDEFINE: Final = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)
_UNDEFINE_ALL: Final = _UNDEFINE | libvirt.VIR_DOMAIN_UNDEFINE_TPM


def find_domain(connection: libvirt.virConnect, name: str) -> libvirt.virDomain | None:
    """Look up a domain by its name or UUID; None when there is none."""
    for domain in connection.listAllDomains():
        if name in (domain.name(), domain.UUIDString()):
            return domain
    return None


def require_domain(connection: libvirt.virConnect, name: str) -> libvirt.virDomain:
    """Look up a domain by its name or UUID; NotFoundError names the ones there are."""
    domain = find_domain(connection, name)
    if domain is None:
        there = listed((found.name() for found in connection.listAllDomains()), name)
        raise NotFoundError(
            f"no machine “{name}” on {connection.getHostname()}", f"there are: {there}"
        )
    return domain


def require_network(connection: libvirt.virConnect, name: str) -> None:
    """Raise NotFoundError with the networks there are when this one is missing or stopped."""
    networks = {net.name(): bool(net.isActive()) for net in connection.listAllNetworks()}
    if name not in networks:
        raise NotFoundError(
            f"no libvirt network “{name}” on {connection.getHostname()}",
            f"choose one of: {listed(networks, name, 'none; define one first')}",
            evidence=f"virsh net-list --all: {listed(networks, name)}",
        )
    if not networks[name]:
        raise NotFoundError(
            f"libvirt network “{name}” on {connection.getHostname()} is not running",
            f"start it: virsh net-start {name}",
            evidence=f"virsh net-info {name}: Active: no",
        )


def start_transient(connection: libvirt.virConnect, xml: str, *, paused: bool = False) -> None:
    """Start a domain that is gone when it ends."""
    connection.createXML(xml, libvirt.VIR_DOMAIN_START_PAUSED if paused else 0)


def define(connection: libvirt.virConnect, xml: str) -> None:
    """Define a domain, its XML validated against libvirt's schema."""
    connection.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)


def start(connection: libvirt.virConnect, name: str, *, paused: bool = False) -> None:
    """Start a defined domain."""
    domain = require_domain(connection, name)
    domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED if paused else 0)


def ensure_started(connection: libvirt.virConnect, name: str) -> None:
    """Start a defined domain, or let a paused one run; nothing happens when it runs."""
    domain = require_domain(connection, name)
    if not domain.isActive():
        domain.create()
    elif domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
        domain.resume()


def resume(connection: libvirt.virConnect, name: str) -> None:
    """Let a paused domain run."""
    require_domain(connection, name).resume()


def power(domain: libvirt.virDomain) -> PowerState:
    """Whether a domain has a QEMU process."""
    return PowerState.RUNNING if domain.isActive() else PowerState.SHUT_OFF


def starts_with_host(domain: libvirt.virDomain) -> bool:
    """Whether a domain is started when its host starts; a transient one never is."""
    return bool(domain.isPersistent() and domain.autostart())


def start_with_host(connection: libvirt.virConnect, name: str, *, wanted: bool) -> None:
    """See to it that a domain is started with its host, or is not; nothing happens when so."""
    domain = require_domain(connection, name)
    if starts_with_host(domain) is not wanted:
        domain.setAutostart(int(wanted))


def definition(domain: libvirt.virDomain) -> str:
    """Return what the domain will be at its next start; a transient one is only what it is."""
    flags = libvirt.VIR_DOMAIN_XML_INACTIVE if domain.isPersistent() else 0
    return str(domain.XMLDesc(flags))


def measure_disk(domain: libvirt.virDomain, target: str) -> DiskFacts:
    """Measure one disk as the guest sees it, and what the host stores of it."""
    try:
        capacity, allocation, _physical = domain.blockInfo(target)
    except libvirt.libvirtError as error:
        raise HypervisorError(
            f"disk {target} of machine {domain.name()} cannot be measured: {error}",
            "see that its file or volume still exists on the source",
        ) from None
    return DiskFacts(capacity=capacity, allocation=allocation)


def destroy(connection: libvirt.virConnect, name: str) -> bool:
    """End a domain at once and forget its definition; say whether there was one.

    HypervisorBusyError when its QEMU does not end: nothing is undefined under a living one.
    """
    domain = find_domain(connection, name)
    if domain is None:
        return False
    _end(domain)
    if (left := find_domain(connection, name)) is not None and left.isPersistent():
        _undefine(left)
    return True


def _end(domain: libvirt.virDomain) -> None:
    """End its QEMU; one that ended by itself meanwhile is no error.

    libvirt gives a QEMU forty seconds after SIGKILL (virProcessKillPainfully); one that waits for
    a storage that does not answer takes longer.
    """
    try:
        domain.destroy()
    except libvirt.libvirtError as error:
        if _lives(domain):
            raise HypervisorBusyError(
                f"machine {domain.name()} does not end: {error}",
                "see on its host what its QEMU waits for, such as storage that does not answer",
            ) from error


def _lives(domain: libvirt.virDomain) -> bool:
    try:
        return bool(domain.isActive())
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return False


def _undefine(domain: libvirt.virDomain) -> None:
    try:
        domain.undefineFlags(_UNDEFINE_ALL)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_INVALID_ARG:
            raise
        domain.undefineFlags(_UNDEFINE)


def stop(connection: libvirt.virConnect, name: str) -> None:
    """Switch a machine off at once and keep its definition; nothing happens when it is off."""
    domain = require_domain(connection, name)
    if domain.isActive():
        domain.destroy()


def write_label(connection: libvirt.virConnect, name: str, label: Label) -> None:
    """Put a label on a domain, now and in its definition."""
    domain = require_domain(connection, name)
    flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG
    if domain.isActive():
        flags |= libvirt.VIR_DOMAIN_AFFECT_LIVE
    domain.setMetadata(
        libvirt.VIR_DOMAIN_METADATA_ELEMENT,
        labels.to_text(label),
        labels.PREFIX,
        labels.NAMESPACE,
        flags,
    )


def read_label(domain: libvirt.virDomain) -> Label | None:
    """Read a domain's label; None when it has none, or one that this version cannot read.

    A domain whose label cannot be read is somebody's: nothing of it is ever removed.
    """
    text = read_metadata(domain, labels.NAMESPACE)
    if text is not None:
        with contextlib.suppress(HypervisorError):
            return labels.from_text(text)
    return None


def unreadable_labels(connection: libvirt.virConnect) -> tuple[str, ...]:
    """Return which domains bear a label that this version cannot read, and what to do about it."""
    found = []
    for domain in connection.listAllDomains():
        text = read_metadata(domain, labels.NAMESPACE)
        try:
            if text is not None:
                labels.from_text(text)
        except HypervisorError as error:
            found.append(
                f"machine {domain.name()} on {connection.getHostname()} has {error.message}, and"
                f" is left alone ({error.hint})"
            )
    return tuple(found)


def read_tags(domain: libvirt.virDomain) -> tuple[str, ...]:
    """Read the tags that a person put on a domain, sorted: on the running one or its definition.

    `virsh metadata` without --config changes only the running one, with it only the definition.
    """
    flags = [libvirt.VIR_DOMAIN_AFFECT_CURRENT]
    if domain.isActive() and domain.isPersistent():
        flags.append(libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    texts = [read_metadata(domain, tags.NAMESPACE, flag) for flag in flags]
    return tuple(sorted({tag for text in texts if text for tag in tags.from_text(text)}))


def read_metadata(domain: libvirt.virDomain, namespace: str, flags: int = 0) -> str | None:
    """Return the element of a namespace from a domain's metadata; None when it has none."""
    try:
        text: str = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, namespace, flags)
    except libvirt.libvirtError as error:
        if error.get_error_code() in {
            libvirt.VIR_ERR_NO_DOMAIN_METADATA,
            libvirt.VIR_ERR_NO_DOMAIN,
        }:
            return None
        raise
    return text


def addresses(
    domain: libvirt.virDomain,
    source: Literal[WorkerAddressSource.AGENT, WorkerAddressSource.LEASE],
) -> tuple[str, ...]:
    """IPv4 addresses of a running domain, loopback left out; empty while none is known.

    An agent may tell what it likes: what is no address is left out, and so are too many.
    """
    try:
        interfaces = domain.interfaceAddresses(_ADDRESS_SOURCES[source])
    except libvirt.libvirtError:
        return ()
    told = (
        entry["addr"]
        for interface in interfaces.values()
        for entry in interface["addrs"] or ()
        if entry["type"] == libvirt.VIR_IP_ADDR_TYPE_IPV4
    )
    return tuple(itertools.islice(filter(_is_usable, told), MOST_ADDRESSES))


def _is_usable(address: str) -> bool:
    try:
        return not ipaddress.IPv4Address(address).is_loopback
    except ValueError:
        return False
