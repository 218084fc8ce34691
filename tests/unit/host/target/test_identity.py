# SPDX-License-Identifier: Apache-2.0
"""Names, MAC addresses and processors, judged by libvirt itself where it has an opinion."""

import libvirt
import pytest

from tests.fakes.described import source, topology
from tests.fakes.embedded_libvirt import EmbeddedConnection
from tests.fakes.libvirt_fakes import FakeConnection
from tradewind.domainxml import labels
from tradewind.domainxml.document import parse
from tradewind.domainxml.final import final_domain, shortfalls
from tradewind.errors import BadInputError
from tradewind.host import facts as facts_of
from tradewind.host.domain import domains
from tradewind.host.target import domain_plan, identity
from tradewind.host.target import preflight as target_preflight
from tradewind.model.deploy import FinalDomain, Suitability
from tradewind.model.finding import Severity
from tradewind.model.host import HostFacts
from tradewind.model.machine import Nic, VirtualMachine
from tradewind.model.options import ProviderOptions
from tradewind.model.requests import DeployRequest
from tradewind.model.run import Label

PLAIN = ProviderOptions.model_validate(
    {"cpu_mode": "host-passthrough", "cpu_features": "", "add_tpm_device": False}
)
NIC = """<interface type="network"><mac address="{mac}"/><source network="default"/>
<model type="virtio"/>{rest}</interface>"""
DOMAIN = """<domain type="qemu"><name>{name}</name><memory>65536</memory>
<os><type arch="x86_64" machine="q35">hvm</type></os><devices>{devices}</devices></domain>"""
MAC = "52:54:00:1a:2b:3c"


def libvirt_takes(destination: EmbeddedConnection, name: str = "db", devices: str = "") -> bool:
    """Ask libvirt itself."""
    try:
        domain = destination.defineXMLFlags(
            DOMAIN.format(name=name, devices=devices), libvirt.VIR_DOMAIN_DEFINE_VALIDATE
        )
    except libvirt.libvirtError:
        return False
    domain.undefine()
    return True


def checked(
    destination: EmbeddedConnection, machine: VirtualMachine, offered: HostFacts, name: str = "new"
) -> tuple[Suitability, FinalDomain]:
    request = DeployRequest(machine="ledger01", source="old", destination="kvm1", name=name)
    with_network = offered.model_copy(update={"networks": ("default",)})
    suits = domain_plan.check(destination, machine, request, PLAIN, with_network)
    return suits, domain_plan.twin(machine, request, PLAIN, with_network, suits)


@pytest.mark.parametrize("name", ["a/b", "/", ".", "..", "x" * 250, "a\nb"])
def test_name_that_libvirt_refuses(
    destination: EmbeddedConnection, offered: HostFacts, name: str
) -> None:
    assert not libvirt_takes(destination, name)
    machine = source().model_copy(update={"name": name})
    request = DeployRequest(machine="ledger01", source="old", destination="kvm1")
    with pytest.raises(BadInputError, match="name") as caught:
        domain_plan.check(destination, machine, request, PLAIN, offered)
    assert "`name` in the request" in str(caught.value)


@pytest.mark.parametrize("name", ["till 7", "büro", "a:b", "x" * 240, ".hidden", "a\tb"])
def test_name_that_libvirt_takes(
    destination: EmbeddedConnection, offered: HostFacts, name: str
) -> None:
    assert libvirt_takes(destination, name)
    checked(destination, source(), offered, name)


@pytest.mark.parametrize(
    "mac", ["01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "52:54:0:1a:2b:3c", "525400", ""]
)
def test_address_that_libvirt_refuses(
    destination: EmbeddedConnection, offered: HostFacts, mac: str
) -> None:
    assert not libvirt_takes(destination, devices=NIC.format(mac=mac, rest=""))
    machine = source().model_copy(update={"nics": (Nic(mac=mac, network="default"),)})
    with pytest.raises(BadInputError, match=r"NIC 1 of ledger01.*libvirt refuses it") as caught:
        checked(destination, machine, offered)
    assert "52:54:00" in caught.value.hint


@pytest.mark.parametrize("mac", [MAC, MAC.upper(), "02:00:00:00:00:01", "00:00:00:00:00:00"])
def test_address_that_libvirt_takes(
    destination: EmbeddedConnection, offered: HostFacts, mac: str
) -> None:
    assert libvirt_takes(destination, devices=NIC.format(mac=mac, rest=""))
    checked(destination, source(devices=NIC.format(mac=mac, rest="")), offered)


def test_two_nics_of_one_address_keep_what_each_had(
    destination: EmbeddedConnection, offered: HostFacts
) -> None:
    first = NIC.format(mac=MAC, rest="<boot order='2'/><mtu size='9000'/>")
    second = NIC.format(mac=MAC, rest="<boot order='3'/><link state='down'/>")
    machine = source(devices=first + second)
    _suits, twin = checked(destination, machine, offered)
    nics = parse(final_domain(machine, twin)).findall("devices/interface")
    orders = [nic.find("boot") for nic in nics]
    assert [None if each is None else each.get("order") for each in orders] == ["2", "3"]
    assert [nic.find("mtu") is not None for nic in nics] == [True, False]
    assert [nic.find("link") is not None for nic in nics] == [False, True]


def test_boot_from_every_nic_although_two_have_one_address(
    destination: EmbeddedConnection, offered: HostFacts
) -> None:
    machine = source(devices=2 * NIC.format(mac=MAC, rest=""))
    asked = {"machine": "a", "source": "b", "destination": "c"}
    request = DeployRequest.model_validate(
        {**asked, "name": "new", "hardware": {"boot_order": "network,sda"}}
    )
    with_network = offered.model_copy(update={"networks": ("default",)})
    suits = domain_plan.check(destination, machine, request, PLAIN, with_network)
    domain = parse(
        final_domain(machine, domain_plan.twin(machine, request, PLAIN, with_network, suits))
    )
    assert [each.get("order") for each in domain.iterfind("devices/interface/boot")] == ["1", "2"]
    assert [each.get("order") for each in domain.iterfind("devices/disk/boot")] == ["3"]


def test_address_of_another_machine_there_is_told(
    destination: EmbeddedConnection,
    offered: HostFacts,
    label: Label,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = source(devices=NIC.format(mac=MAC.upper(), rest=""))
    domains.define(destination, DOMAIN.format(name="db", devices=NIC.format(mac=MAC, rest="")))
    soon_gone = DOMAIN.format(name="rehearsed", devices=NIC.format(mac=MAC, rest=""))
    metadata = f"<metadata>{labels.to_text(label)}</metadata>"
    metadata = metadata.replace("<label ", f'<label xmlns="{labels.NAMESPACE}" ')
    domains.define(destination, soon_gone.replace("<memory>", f"{metadata}<memory>", 1))
    same = DOMAIN.format(name="me", devices=NIC.format(mac=MAC, rest=""))
    domains.define(destination, same.replace("<memory>", f"<uuid>{machine.id}</uuid><memory>", 1))
    with_network = offered.model_copy(update={"networks": ("default",)})
    monkeypatch.setattr(facts_of, "survey", lambda _connection: with_network)
    try:
        request = DeployRequest(machine="ledger01", source="old", destination="kvm1", name="new")
        found = target_preflight.target(destination, machine, request, PLAIN)
        (said,) = [each for each in found if "has a NIC of the same address" in each.what]
        assert said.severity is Severity.WARNING
        assert said.what.startswith(f"NIC {MAC}: machine db on")
        assert identity.shared_addresses(destination, machine) == (said.what,)
    finally:
        for name in ("db", "me", "rehearsed"):
            domains.destroy(destination, name)


def test_addresses_of_its_own_are_nobodys(host: FakeConnection) -> None:
    assert identity.shared_addresses(host, source(devices=NIC.format(mac=MAC, rest=""))) == ()


def test_i686_becomes_x86_64_and_is_told(
    destination: EmbeddedConnection, offered: HostFacts
) -> None:
    machine = source(arch="i686")
    _suits, twin = checked(destination, machine, offered)
    made = parse(final_domain(machine, twin)).find("os/type")
    assert made is not None
    assert made.get("arch") == "x86_64"
    assert any("one of i686" in line for line in shortfalls(machine, twin))
    assert not any("i686" in line for line in shortfalls(source(), twin))


@pytest.mark.parametrize("arch", ["aarch64", "ppc64le", "s390x", "riscv64", "armv7l"])
def test_another_processor_is_refused(
    destination: EmbeddedConnection, offered: HostFacts, arch: str
) -> None:
    with pytest.raises(BadInputError, match=f"ledger01 is a machine of architecture {arch}"):
        checked(destination, source(arch=arch), offered)


def test_more_than_255_vcpus_have_their_iommu(
    destination: EmbeddedConnection, offered: HostFacts
) -> None:
    wide = "<iommu model='intel'><driver intremap='on' eim='on' caching_mode='on'/></iommu>"
    machine = source(vcpu="<vcpu>256</vcpu>", devices=wide, features="<ioapic driver='qemu'/>")
    _suits, twin = checked(destination, machine, offered)
    assert any("a plain Intel one" in line for line in shortfalls(machine, twin))
    few = source(vcpu="<vcpu>255</vcpu>", devices=wide)
    _suits, twin = checked(destination, few, offered)
    assert "<iommu" not in final_domain(few, twin)
    assert "The iommu device is left out." in shortfalls(few, twin)


def test_vcpus_that_can_be_plugged_in_count(
    destination: EmbeddedConnection, offered: HostFacts
) -> None:
    machine = source(
        vcpu="<vcpu current='4'>288</vcpu>", cpu=topology(sockets=1, dies=1, cores=288, threads=1)
    )
    _suits, twin = checked(destination, machine, offered)
    text = final_domain(machine, twin)
    assert '<vcpu placement="static" current="4">288</vcpu>' in text
    assert '<topology sockets="1" dies="1" cores="288" threads="1"/>' in text
