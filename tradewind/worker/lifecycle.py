# SPDX-License-Identifier: Apache-2.0
"""Boot a worker, find it, trust it, and take it away again."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import libvirt
from pydantic import SecretStr

from tradewind.domainxml import worker as worker_xml
from tradewind.errors import LateError, NotFoundError
from tradewind.host import arp, storage
from tradewind.host.boot.console import Console
from tradewind.host.domain import domains
from tradewind.model.host import HostAccess, HostFacts, Worker, WorkerAddressSource, WorkerSpec
from tradewind.model.run import Label, labelled_name
from tradewind.model.storage import Volume
from tradewind.remote import shell
from tradewind.remote.route import Route, route_to_workers
from tradewind.waiting import wait_for
from tradewind.worker.keys import KeyPair, new_key_pair
from tradewind.worker.seed import seed_iso

BOOT_TIMEOUT: Final = 300
# Seconds until a worker that answers shows its key. Through its host a login there comes first.
PROBE_TIMEOUT: Final = 8
LOGIN: Final = "root"


@dataclass(frozen=True, slots=True)
class WorkerNames:
    """What a worker and its volumes are called on the host: all begin with the run's label."""

    domain: str
    overlay: str
    seed: str


def names(label: Label) -> WorkerNames:
    """Name a worker and its volumes after its run and purpose."""
    stem = labelled_name(label.run, label.purpose)
    return WorkerNames(domain=stem, overlay=f"{stem}.qcow2", seed=f"{stem}-seed.iso")


@dataclass(frozen=True, slots=True)
class PreparedWorker:
    """A worker that is defined on paper: what its guest will be told."""

    names: WorkerNames
    mac: str
    login: KeyPair
    host_key: KeyPair


def find_image(connection: libvirt.virConnect, volume: str) -> str:
    """Name the one *dir* pool that holds a worker image; NotFoundError says where it was sought."""
    pools = [
        pool.name()
        for pool in connection.listAllStoragePools()
        if pool.isActive() and storage.pool_type(connection, pool.name()) == "dir"
    ]
    found = [pool for pool in pools if storage.find_volume(connection, pool, volume) is not None]
    if len(found) == 1:
        return str(found[0])
    where = f"dir pools of {connection.getHostname()}: {', '.join(found or pools) or 'none'}"
    searched = f"virsh vol-list of {', '.join(pools) or 'no running dir pool'}"
    if found:
        raise NotFoundError(
            f"worker image “{volume}” is in several {where}",
            "keep one of them",
            evidence=f"{searched}: {volume} in {len(found)} of them",
        )
    raise NotFoundError(
        f"no worker image “{volume}” in the {where}",
        "stage it: tradewind worker-image stage",
        evidence=f"{searched}: no {volume}",
    )


def spare_pool(connection: libvirt.virConnect, image: str) -> Callable[[], str]:
    """Name the worker image's pool when it is asked for: what a pool of blocks cannot hold."""
    return lambda: find_image(connection, image)


def start(
    connection: libvirt.virConnect, spec: WorkerSpec, facts: HostFacts, label: Label
) -> PreparedWorker:
    """Make overlay and seed, and start the worker (paused, so that its console misses nothing)."""
    prepared = PreparedWorker(
        names=names(label), mac=_fresh_mac(), login=new_key_pair(), host_key=new_key_pair()
    )
    _make_volumes(connection, spec, prepared)
    overlay, seed = (
        str(storage.require_volume(connection, spec.image_pool, name).path())
        for name in (prepared.names.overlay, prepared.names.seed)
    )
    xml = worker_xml.worker_domain(
        worker_xml.WorkerDomain(
            name=prepared.names.domain,
            spec=spec,
            overlay_path=overlay,
            seed_path=seed,
            mac=prepared.mac,
            machine_type=facts.machine_type,
            kvm=facts.kvm,
            cpu_modes=facts.cpu_modes,
            label=label,
        )
    )
    domains.start_transient(connection, xml, paused=True)
    return prepared


def _make_volumes(
    connection: libvirt.virConnect, spec: WorkerSpec, prepared: PreparedWorker
) -> None:
    image = storage.require_volume(connection, spec.image_pool, spec.image_volume)
    capacity = max(spec.volume_size, storage.describe_volume(image).capacity)
    overlay = Volume(
        pool=spec.image_pool, name=prepared.names.overlay, capacity=capacity, format="qcow2"
    )
    storage.create_overlay(connection, overlay, image)
    content = seed_iso(prepared.names.domain, prepared.host_key, prepared.login.public)
    seed = Volume(
        pool=spec.image_pool, name=prepared.names.seed, capacity=len(content), format="raw"
    )
    storage.create_volume(connection, seed)
    storage.upload_bytes(connection, seed, content)


def _fresh_mac() -> str:
    # A DHCP lease of a MAC address that was used before appears at once and points nowhere.
    # 52:54:00 is the prefix of QEMU's own addresses.
    return ":".join(["52", "54", "00", *(f"{byte:02x}" for byte in secrets.token_bytes(3))])


def wait_until_reachable(
    connection: libvirt.virConnect,
    host: HostAccess,
    spec: WorkerSpec,
    prepared: PreparedWorker,
    label: Label,
    console: Console,
) -> Worker:
    """Let the worker run, and wait for an address that answers with the pinned host key."""
    begun, route = time.monotonic(), route_to_workers(host)
    domains.resume(connection, prepared.names.domain)
    domain = domains.require_domain(connection, prepared.names.domain)

    def known_addresses() -> tuple[str, ...]:
        if spec.address_source is WorkerAddressSource.ARP:
            return arp.addresses(host, prepared.mac)
        return domains.addresses(domain, spec.address_source)

    def trusted_address() -> str | None:
        for address in known_addresses():
            if shell.probe(address, 22, prepared.host_key.public, PROBE_TIMEOUT, route):
                return address
        return None

    try:
        address = wait_for(trusted_address, "the worker answers over SSH", BOOT_TIMEOUT)
    except LateError as error:
        raise LateError(
            f"{error.message}; its console said last:\n{console.last_lines() or '(nothing)'}",
            f"see that network “{spec.network}” hands out addresses which are reached from"
            f" {_here(route)}, and that the image answers to “{spec.address_source}”",
        ) from None
    return Worker(
        domain=prepared.names.domain,
        address=address,
        username=LOGIN,
        private_key=SecretStr(prepared.login.private),
        host_key=prepared.host_key.public,
        purpose=label.purpose,
        run_id=label.run,
        seconds_to_ssh=time.monotonic() - begun,
        via=route.via,
    )


def _here(route: Route) -> str:
    if route.via is not None:
        return f"the host {route.via.host} (`tradewind endpoint validate` says whether it forwards)"
    return "here (for a network that only the host reaches, set worker_access to via-host)"


def discard(connection: libvirt.virConnect, image_pool: str, label: Label) -> None:
    """End the worker and remove its overlay and seed; nothing happens when they are gone."""
    called = names(label)
    domains.destroy(connection, called.domain)
    for volume in (called.overlay, called.seed):
        storage.delete_volume(connection, image_pool, volume)
