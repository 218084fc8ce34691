# SPDX-License-Identifier: Apache-2.0
"""Domains: looked up, plugged, labelled, ended."""

import json

import libvirt
import libvirt_qemu
import pytest

from tests.fakes.libvirt_fakes import FakeConnection, FakeDomain, libvirt_error
from tradewind.domainxml import worker as worker_xml
from tradewind.errors import HypervisorBusyError, HypervisorError, LateError, NotFoundError
from tradewind.host import storage
from tradewind.host.domain import agent, disks, domains
from tradewind.model.host import WorkerAddressSource
from tradewind.model.machine import PowerState
from tradewind.model.run import Label, LabelState
from tradewind.model.storage import ReplicaVolume, Volume
from tradewind.units import GiB

PLAIN = """<domain type="test"><name>{name}</name><memory>1024</memory>
<os><type>hvm</type></os><devices><disk type="file" device="disk"><source file="/x"/>
<target dev="vda" bus="virtio"/></disk></devices></domain>"""


def replica(disk: str) -> ReplicaVolume:
    volume = Volume(pool="fast", name=f"{disk}.qcow2", capacity=GiB, format="qcow2")
    return ReplicaVolume(disk_id=disk, volume=volume, serial=f"tw-{disk}", blank=True)


@pytest.fixture
def worker(host: FakeConnection) -> FakeDomain:
    domains.start_transient(host, PLAIN.format(name="worker"), paused=True)
    for disk in ("sda", "sdb"):
        storage.create_volume(host, replica(disk).volume)
    started: FakeDomain = domains.require_domain(host, "worker")
    return started


def test_domain_by_name_or_uuid(host: FakeConnection, worker: FakeDomain) -> None:
    found = domains.find_domain(host, worker.UUIDString())
    assert found is not None
    assert found.name() == "worker"
    with pytest.raises(NotFoundError, match="no machine “missing”") as caught:
        domains.require_domain(host, "missing")
    assert caught.value.hint == "there are: worker"


def test_paused_start_and_resume(host: FakeConnection, worker: FakeDomain) -> None:
    assert worker.state()[0] == libvirt.VIR_DOMAIN_PAUSED
    domains.resume(host, "worker")
    assert worker.state()[0] == libvirt.VIR_DOMAIN_RUNNING


def test_power_and_definition(host: FakeConnection) -> None:
    domains.define(host, PLAIN.format(name="db"))
    domain = domains.require_domain(host, "db")
    assert domains.power(domain) is PowerState.SHUT_OFF
    domains.start(host, "db")
    assert domains.power(domain) is PowerState.RUNNING
    assert "<name>db</name>" in domains.definition(domain)


def test_definition_is_checked_against_the_schema(host: FakeConnection) -> None:
    with pytest.raises(libvirt.libvirtError, match=r"(?i)XML document failed to validate"):
        domains.define(host, PLAIN.format(name="db").replace("<memory>", "<colour/><memory>"))


def test_attached_disks_get_the_next_free_names(host: FakeConnection, worker: FakeDomain) -> None:
    for disk in ("sda", "sdb"):
        disks.attach_volume(host, "worker", replica(disk))
    xml = worker.XMLDesc()
    for serial, target, path in (("tw-sda", "vdb", "sda"), ("tw-sdb", "vdc", "sdb")):
        device = worker_xml.find_disk(xml, serial)
        assert device is not None
        assert f'dev="{target}"' in device
        assert f"/pools/fast/{path}.qcow2" in device


def test_attaching_twice_attaches_once(host: FakeConnection, worker: FakeDomain) -> None:
    disks.attach_volume(host, "worker", replica("sda"))
    disks.attach_volume(host, "worker", replica("sda"))
    assert worker.XMLDesc().count("tw-sda") == 1


def test_detaching_waits_for_the_guest(host: FakeConnection, worker: FakeDomain) -> None:
    host.host.looks = 2
    disks.attach_volume(host, "worker", replica("sda"))
    disks.detach_disk(host, "worker", "tw-sda")
    assert host.host.unplugging == {}
    assert "tw-sda" not in worker.XMLDesc()
    disks.detach_disk(host, "worker", "tw-sda")  # a retried step: nothing to do


def test_guest_that_never_lets_go(
    host: FakeConnection, worker: FakeDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    disks.attach_volume(host, "worker", replica("sda"))
    monkeypatch.setattr(FakeDomain, "detachDeviceFlags", lambda *_: None)
    monkeypatch.setattr(disks, "DETACH_TIMEOUT", 0)
    with pytest.raises(LateError, match="worker worker lets go of disk tw-sda"):
        disks.detach_disk(host, "worker", "tw-sda")


def test_label_is_written_and_read(host: FakeConnection, label: Label) -> None:
    domains.define(host, PLAIN.format(name="db"))
    domain = domains.require_domain(host, "db")
    assert domains.read_label(domain) is None
    domains.write_label(host, "db", label)
    assert domains.read_label(domain) == label
    finished = label.model_copy(update={"state": LabelState.FINISHED})
    domains.start(host, "db")
    domains.write_label(host, "db", finished)
    assert domains.read_label(domain) == finished
    domain.destroy()
    assert domains.read_label(domain) == finished


def test_destroyed_domain_is_forgotten_with_all_it_has(host: FakeConnection) -> None:
    domains.define(host, PLAIN.format(name="db"))
    domains.start(host, "db")
    assert domains.destroy(host, "db")
    assert host.listAllDomains() == []
    wanted = libvirt.VIR_DOMAIN_UNDEFINE_NVRAM | libvirt.VIR_DOMAIN_UNDEFINE_TPM
    flags = int(host.host.calls[-1].split()[-1])
    assert flags & wanted == wanted
    assert not domains.destroy(host, "db")


@pytest.mark.parametrize("persistent", [True, False])
def test_domain_that_does_not_end_is_not_forgotten(
    host: FakeConnection, monkeypatch: pytest.MonkeyPatch, *, persistent: bool
) -> None:
    """As virProcessKillPainfully says it after forty seconds; libvirt keeps such a domain."""

    def hang(domain: FakeDomain) -> None:
        raise libvirt_error(
            libvirt.VIR_ERR_SYSTEM_ERROR,
            "Failed to terminate process 997 with SIGKILL: Device or resource busy",
        )

    if persistent:
        domains.define(host, PLAIN.format(name="db"))
        domains.start(host, "db")
    else:
        domains.start_transient(host, PLAIN.format(name="db"), paused=False)
    with monkeypatch.context() as patched:
        patched.setattr(FakeDomain, "destroy", hang, raising=False)
        with pytest.raises(HypervisorBusyError, match=r"db does not end: .*process 997"):
            domains.destroy(host, "db")
        left = domains.require_domain(host, "db")
        assert (left.isActive(), left.isPersistent()) == (True, persistent)
    assert domains.destroy(host, "db")
    assert host.listAllDomains() == []


def test_libvirt_before_8_9_refuses_the_flag_for_the_tpm(
    host: FakeConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As virCheckFlags says it in qemuDomainUndefineFlags."""
    domains.define(host, PLAIN.format(name="db"))
    undefine = FakeDomain.undefineFlags

    def old(domain: FakeDomain, flags: int) -> None:
        if flags & libvirt.VIR_DOMAIN_UNDEFINE_TPM:
            raise libvirt_error(libvirt.VIR_ERR_INVALID_ARG, "unsupported flags (0x40)")
        undefine(domain, flags)

    monkeypatch.setattr(FakeDomain, "undefineFlags", old)
    assert domains.destroy(host, "db")
    assert domains.find_domain(host, "db") is None


def test_disk_is_measured(
    host: FakeConnection, worker: FakeDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert domains.measure_disk(worker, "vda").capacity == worker.blockInfo("vda")[0]

    def missing(_target: str) -> None:
        raise libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR, "No such file")

    monkeypatch.setattr(worker, "blockInfo", missing, raising=False)
    with pytest.raises(HypervisorError, match="disk vda of machine worker cannot be measured"):
        domains.measure_disk(worker, "vda")


def interface(*addresses: tuple[int, str]) -> dict[str, object]:
    return {"hwaddr": "", "addrs": [{"type": kind, "addr": text} for kind, text in addresses]}


def test_addresses_are_ipv4_and_reachable(host: FakeConnection, worker: FakeDomain) -> None:
    v4, v6 = libvirt.VIR_IP_ADDR_TYPE_IPV4, libvirt.VIR_IP_ADDR_TYPE_IPV6
    host.host.addresses["worker"] = {
        "lo": interface((v4, "127.0.0.1"), (v6, "::1")),
        "eth0": interface((v6, "fe80::1"), (v4, "198.18.5.7")),
        "eth1": {"hwaddr": "", "addrs": None},
    }
    assert domains.addresses(worker, WorkerAddressSource.LEASE) == ("198.18.5.7",)
    asked = libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE
    assert host.host.calls[-1] == f"addresses {asked}"


def test_no_address_yet_is_none_at_all(host: FakeConnection, worker: FakeDomain) -> None:
    assert domains.addresses(worker, WorkerAddressSource.AGENT) == ()


def test_agent_answers_or_not(worker: FakeDomain, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(_domain: object, request: str, _timeout: int, _flags: int) -> str:
        return json.dumps({"return": {"asked": json.loads(request)["execute"]}})

    def silent(*_arguments: object) -> str:
        raise libvirt_error(libvirt.VIR_ERR_AGENT_UNRESPONSIVE)

    monkeypatch.setattr(libvirt_qemu, "qemuAgentCommand", answer)
    assert agent.heard(worker, "guest-ping", dict) == {"asked": "guest-ping"}
    monkeypatch.setattr(libvirt_qemu, "qemuAgentCommand", silent)
    assert agent.heard(worker, "guest-ping", dict) is None


MALFORMED = [
    "",
    "{",
    "[" * 100_000,
    "7",
    "null",
    "[1]",
    "{}",
    '{"error": {}}',
    json.dumps({"return": "x" * agent.LARGEST_ANSWER}),
]


@pytest.mark.parametrize("said", [*MALFORMED, '{"return": 1}', '{"return": null}'], ids=range(11))
def test_what_makes_no_sense_is_no_answer(
    worker: FakeDomain, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setattr(libvirt_qemu, "qemuAgentCommand", lambda *_: said)
    assert agent.heard(worker, "guest-get-osinfo", dict) is None
    assert agent.heard_list(worker, "guest-get-fsinfo") == []


def test_of_a_list_as_many_objects_are_taken_as_anybody_needs(
    worker: FakeDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = json.dumps({"return": [1, "x", [], *[{"n": n} for n in range(5000)]]})
    monkeypatch.setattr(libvirt_qemu, "qemuAgentCommand", lambda *_: many)
    assert agent.heard(worker, "guest-get-fsinfo", dict) is None
    taken = agent.heard_list(worker, "guest-get-fsinfo")
    assert taken[0] == {"n": 0}
    assert len(taken) == agent.MOST_ANSWERS - 3


def test_an_agent_can_only_tell_addresses_and_not_too_many(
    host: FakeConnection, worker: FakeDomain
) -> None:
    v4 = libvirt.VIR_IP_ADDR_TYPE_IPV4
    hostile = ["", "198.18.5.7; reboot", "\x1b[2J", "999.1.1.1", "::1", "127.9.9.9", "x" * 10_000]
    many = [f"198.18.{n >> 8}.{n & 255}" for n in range(1000)]
    host.host.addresses["worker"] = {"e": interface(*((v4, each) for each in [*hostile, *many]))}
    found = domains.addresses(worker, WorkerAddressSource.AGENT)
    assert found == tuple(many[: domains.MOST_ADDRESSES])


TAGS = """<metadata><tradewind:tags xmlns:tradewind="urn:tradewind:tags:1"><tag>nightly</tag>
<tag> big </tag></tradewind:tags></metadata>"""


def test_tags_are_what_a_person_put_there(host: FakeConnection) -> None:
    host.defineXML(PLAIN.format(name="plain"))
    host.defineXML(PLAIN.format(name="db").replace("<os>", f"{TAGS}<os>"))
    assert domains.read_tags(domains.require_domain(host, "plain")) == ()
    assert domains.read_tags(domains.require_domain(host, "db")) == ("big", "nightly")


def test_tag_of_the_running_domain_counts_as_that_of_its_definition(host: FakeConnection) -> None:
    domain = host.defineXML(PLAIN.format(name="db"))
    domain.create()
    places = (libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    for tag, place in zip(("now", "kept"), places, strict=True):
        element, space = libvirt.VIR_DOMAIN_METADATA_ELEMENT, "urn:tradewind:tags:1"
        domain.setMetadata(element, f"<tag>{tag}</tag>", "tradewind", space, place)
    assert domains.read_tags(domains.require_domain(host, "db")) == ("kept", "now")


def test_start_with_the_host(host: FakeConnection) -> None:
    domains.define(host, PLAIN.format(name="db"))
    domain = domains.require_domain(host, "db")
    assert not domains.starts_with_host(domain)
    for _ in range(2):
        domains.start_with_host(host, "db", wanted=True)
        assert domains.starts_with_host(domain)
    domains.start_with_host(host, "db", wanted=False)
    assert not domains.starts_with_host(domain)


def test_transient_domain_never_starts_with_its_host(host: FakeConnection) -> None:
    domains.start_transient(host, PLAIN.format(name="brief"))
    assert not domains.starts_with_host(domains.require_domain(host, "brief"))
