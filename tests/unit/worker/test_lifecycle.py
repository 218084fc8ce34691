# SPDX-License-Identifier: Apache-2.0
"""Boot a worker, trust it, and take it away."""

import io
import json

import libvirt
import pycdlib
import pytest
from pydantic import SecretStr

from tests.fakes.libvirt_fakes import FakeConnection
from tradewind.errors import LateError, NotFoundError
from tradewind.host import arp, facts, storage
from tradewind.host.boot.console import Console
from tradewind.host.domain import domains
from tradewind.model.host import HostAccess, WorkerAccess, WorkerAddressSource, WorkerSpec
from tradewind.model.run import Label
from tradewind.model.storage import Volume
from tradewind.remote.route import DIRECT, Route, route_to_workers
from tradewind.units import GiB
from tradewind.worker import lifecycle
from tradewind.worker.keys import new_key_pair

NAME = "tradewind-0123456789ab-transfer"
ACCESS = HostAccess(
    host="kvm1",
    username="mover",
    private_key=SecretStr("a key"),
    host_key=new_key_pair().public,
)


def stage(host: FakeConnection, pool: str = "images", capacity: int = 2 * GiB) -> None:
    storage.create_volume(
        host, Volume(pool=pool, name="worker.qcow2", capacity=capacity, format="qcow2")
    )


def volumes(host: FakeConnection, pool: str = "images") -> list[str]:
    return sorted(volume.name() for volume in storage.find_pool(host, pool).listAllVolumes())


def test_image_is_found_in_its_dir_pool(host: FakeConnection) -> None:
    stage(host, "fast")
    assert lifecycle.find_image(host, "worker.qcow2") == "fast"


def test_image_that_is_not_staged(host: FakeConnection) -> None:
    stage(host, "vg")  # not a dir pool: an overlay cannot lie there
    with pytest.raises(NotFoundError, match=r"no worker image “worker.qcow2”") as caught:
        lifecycle.find_image(host, "worker.qcow2")
    assert "fast" in caught.value.message
    assert "images" in caught.value.message
    assert "vg" not in caught.value.message
    assert "worker-image stage" in caught.value.hint


def test_image_in_two_pools_is_not_guessed(host: FakeConnection) -> None:
    stage(host, "fast")
    stage(host, "images")
    with pytest.raises(NotFoundError, match="in several dir pools of vm: ") as caught:
        lifecycle.find_image(host, "worker.qcow2")
    assert sorted(caught.value.message.rpartition(": ")[2].split(", ")) == ["fast", "images"]


def test_worker_starts_paused_with_overlay_and_seed(
    host: FakeConnection, spec: WorkerSpec, label: Label
) -> None:
    stage(host)
    prepared = lifecycle.start(host, spec, facts.survey(host), label)
    domain = domains.require_domain(host, NAME)
    assert domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED
    assert not domain.isPersistent()
    assert domains.read_label(domain) == label
    assert prepared.mac in domain.XMLDesc()
    assert volumes(host) == [f"{NAME}-seed.iso", f"{NAME}.qcow2", "worker.qcow2"]
    overlay = storage.describe_volume(storage.require_volume(host, "images", f"{NAME}.qcow2"))
    assert (overlay.backing, overlay.capacity) == ("/pools/images/worker.qcow2", 25 * GiB)


def test_seed_carries_the_prepared_keys(
    host: FakeConnection, spec: WorkerSpec, label: Label
) -> None:
    stage(host)
    prepared = lifecycle.start(host, spec, facts.survey(host), label)
    opened, told = pycdlib.PyCdlib(), io.BytesIO()
    opened.open_fp(io.BytesIO(bytes(host.host.contents[f"/pools/images/{NAME}-seed.iso"])))
    opened.get_file_from_iso_fp(told, rr_path="/user-data")
    user_data = json.loads(told.getvalue().partition(b"\n")[2])
    assert user_data["ssh_keys"]["ed25519_private"] == prepared.host_key.private
    assert user_data["users"][0]["ssh_authorized_keys"] == [prepared.login.public]
    assert prepared.login.private not in host.listAllDomains()[0].XMLDesc()


def test_overlay_is_never_smaller_than_its_image(
    host: FakeConnection, spec: WorkerSpec, label: Label
) -> None:
    stage(host, capacity=30 * GiB)
    lifecycle.start(host, spec, facts.survey(host), label)
    overlay = storage.describe_volume(storage.require_volume(host, "images", f"{NAME}.qcow2"))
    assert overlay.capacity == 30 * GiB


def test_every_worker_has_its_own_address_and_keys(
    host: FakeConnection, spec: WorkerSpec, label: Label
) -> None:
    stage(host)
    first = lifecycle.start(host, spec, facts.survey(host), label)
    lifecycle.discard(host, "images", label)
    second = lifecycle.start(host, spec, facts.survey(host), label)
    assert first.mac != second.mac
    assert first.mac.startswith("52:54:00:")
    assert first.host_key.public != second.host_key.public


def with_addresses(host: FakeConnection, *addresses: str) -> None:
    entries = [{"type": libvirt.VIR_IP_ADDR_TYPE_IPV4, "addr": text} for text in addresses]
    host.host.addresses[NAME] = {"eth0": {"hwaddr": "", "addrs": entries}}


def test_address_that_proves_itself_is_taken(
    host: FakeConnection, spec: WorkerSpec, label: Label, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(host)
    prepared = lifecycle.start(host, spec, facts.survey(host), label)
    with_addresses(host, "198.18.5.6", "198.18.5.7")
    asked: list[tuple[str, int, str]] = []

    def probe(address: str, port: int, host_key: str, timeout: float, route: Route) -> bool:
        assert route == DIRECT
        asked.append((address, port, host_key))
        return address == "198.18.5.7"

    monkeypatch.setattr("tradewind.remote.shell.probe", probe)
    worker = lifecycle.wait_until_reachable(host, ACCESS, spec, prepared, label, Console())
    assert (worker.address, worker.username, worker.domain) == ("198.18.5.7", "root", NAME)
    assert worker.private_key.get_secret_value() == prepared.login.private
    assert worker.host_key == prepared.host_key.public
    assert worker.run_id == label.run
    assert worker.via is None
    assert asked == [(f"198.18.5.{n}", 22, prepared.host_key.public) for n in (6, 7)]
    assert domains.require_domain(host, NAME).state()[0] == libvirt.VIR_DOMAIN_RUNNING
    lease = libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE
    assert f"addresses {lease}" in host.host.calls


def test_a_worker_behind_its_host_is_sought_and_found_on_that_road(
    host: FakeConnection, spec: WorkerSpec, label: Label, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(host)
    prepared = lifecycle.start(host, spec, facts.survey(host), label)
    with_addresses(host, "198.18.5.7")
    access = ACCESS.model_copy(update={"worker_access": WorkerAccess.VIA_HOST})
    route = route_to_workers(access)
    monkeypatch.setattr("tradewind.remote.shell.probe", lambda *asked: asked[-1] == route)
    worker = lifecycle.wait_until_reachable(host, access, spec, prepared, label, Console())
    assert worker.via == route.via
    monkeypatch.setattr("tradewind.remote.shell.probe", lambda *_: False)
    monkeypatch.setattr(lifecycle, "BOOT_TIMEOUT", 0)
    lifecycle.discard(host, "images", label)
    prepared = lifecycle.start(host, spec, facts.survey(host), label)
    with pytest.raises(LateError) as caught:
        lifecycle.wait_until_reachable(host, access, spec, prepared, label, Console())
    assert "reached from the host kvm1" in caught.value.hint


def test_the_hosts_own_table_is_asked_for_the_workers_mac(
    host: FakeConnection, spec: WorkerSpec, label: Label, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(host)
    by_arp = spec.model_copy(update={"address_source": WorkerAddressSource.ARP})
    prepared = lifecycle.start(host, by_arp, facts.survey(host), label)
    table = {(ACCESS, prepared.mac): ("198.18.5.6", "198.18.5.7")}
    monkeypatch.setattr(arp, "addresses", lambda *asked: table[asked])
    monkeypatch.setattr("tradewind.remote.shell.probe", lambda *asked: asked[0] == "198.18.5.7")
    worker = lifecycle.wait_until_reachable(host, ACCESS, by_arp, prepared, label, Console())
    assert worker.address == "198.18.5.7"


def test_silent_worker_tells_what_its_console_said(
    host: FakeConnection, spec: WorkerSpec, label: Label, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(host)
    prepared = lifecycle.start(host, spec, facts.survey(host), label)
    with_addresses(host, "198.18.5.7")
    monkeypatch.setattr("tradewind.remote.shell.probe", lambda *_: False)
    monkeypatch.setattr(lifecycle, "BOOT_TIMEOUT", 0)
    console = Console()
    console.feed(b"cloud-init: no datasource\r\n")
    with pytest.raises(LateError, match="the worker answers over SSH") as caught:
        lifecycle.wait_until_reachable(host, ACCESS, spec, prepared, label, console)
    assert "cloud-init: no datasource" in caught.value.message
    assert "network “lan”" in caught.value.hint
    assert "“lease”" in caught.value.hint
    assert "set worker_access to via-host" in caught.value.hint
    assert prepared.login.private.splitlines()[2] not in str(caught.value)


def test_discarded_worker_leaves_nothing(
    host: FakeConnection, spec: WorkerSpec, label: Label
) -> None:
    stage(host)
    lifecycle.start(host, spec, facts.survey(host), label)
    lifecycle.discard(host, "images", label)
    assert host.listAllDomains() == []
    assert volumes(host) == ["worker.qcow2"]
    lifecycle.discard(host, "images", label)  # a retried step: nothing to do


def test_two_purposes_do_not_collide(label: Label) -> None:
    morphing = label.model_copy(update={"purpose": "morphing"})
    ours, theirs = lifecycle.names(label), lifecycle.names(morphing)
    assert {ours.domain, ours.overlay, ours.seed}.isdisjoint(
        {theirs.domain, theirs.overlay, theirs.seed}
    )
