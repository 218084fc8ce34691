# SPDX-License-Identifier: Apache-2.0
"""A NIC stays in the port group that chose its VLAN, or it is told that it does not."""

import pytest

from tests.fakes.described import source
from tests.fakes.embedded_libvirt import EmbeddedConnection
from tradewind.domainxml.document import parse
from tradewind.domainxml.final import final_domain, shortfalls
from tradewind.errors import OptionError
from tradewind.host import facts as facts_of
from tradewind.host.target import domain_plan
from tradewind.host.target import preflight as target_preflight
from tradewind.model.deploy import CpuChoice, CpuMode, FinalNic, Suitability
from tradewind.model.host import HostFacts
from tradewind.model.network import NetworkMap, read_plug
from tradewind.model.options import ProviderOptions
from tradewind.model.requests import DeployRequest

NIC = """<interface type="network"><mac address="52:54:00:1a:2b:3c"/>
<source network="lan" portgroup="vlan-42"/><model type="virtio"/></interface>"""
MACHINE = source(devices=NIC)
SUITS = Suitability(cpu=CpuChoice(mode=CpuMode.HOST_PASSTHROUGH, migratable=True))
PLAIN = ProviderOptions.model_validate(
    {"cpu_mode": "host-passthrough", "cpu_features": "", "add_tpm_device": False}
)


@pytest.fixture
def grouped(offered: HostFacts) -> HostFacts:
    groups = ("lan/vlan-42", "office/vlan-42", "office/vlan-7")
    networks = ("lan", "office", "plain")
    return offered.model_copy(update={"networks": networks, "port_groups": groups})


@pytest.mark.parametrize(
    ("networks", "plug"),
    [
        (NetworkMap(), "network:lan/vlan-42"),
        (NetworkMap(networks={"lan": "office"}), "network:office/vlan-42"),
        (NetworkMap(default="office"), "network:office/vlan-42"),
        (NetworkMap(networks={"lan": "network:office/vlan-7"}), "network:office/vlan-7"),
        (
            NetworkMap(networks={"lan/vlan-42": "network:office/vlan-7", "lan": "plain"}),
            "network:office/vlan-7",
        ),
        (NetworkMap(networks={"lan/other": "plain", "lan": "office"}), "network:office/vlan-42"),
        (NetworkMap(nics={"52:54:00:1A:2B:3C": "bridge:br42"}), "bridge:br42"),
    ],
)
def test_port_group_is_kept(grouped: HostFacts, networks: NetworkMap, plug: str) -> None:
    assert MACHINE.nics[0].port_group == "vlan-42"
    assert domain_plan.map_nic(MACHINE.nics[0], networks, grouped).plug == read_plug(plug)


def test_kept_port_group_is_in_the_new_domain(grouped: HostFacts) -> None:
    request = DeployRequest(machine="a", source="b", destination="c")
    twin = domain_plan.twin(MACHINE, request, PLAIN, grouped, SUITS)
    found = parse(final_domain(MACHINE, twin)).find("devices/interface/source")
    assert found is not None
    assert (found.get("network"), found.get("portgroup")) == ("lan", "vlan-42")
    assert not any("port group" in line for line in shortfalls(MACHINE, twin))


def test_network_without_the_port_group_is_refused(grouped: HostFacts) -> None:
    poor = grouped.model_copy(update={"port_groups": ("lan/vlan-7",)})
    with pytest.raises(OptionError, match="“lan” of vm has no port group “vlan-42”") as caught:
        domain_plan.map_nic(MACHINE.nics[0], NetworkMap(), poor)
    assert "vlan-7" in caught.value.hint


def test_map_that_leaves_the_port_group_is_told(
    destination: EmbeddedConnection, grouped: HostFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts_of, "survey", lambda _connection: grouped)
    request = DeployRequest.model_validate(
        {
            "machine": "a",
            "source": "b",
            "destination": "c",
            "network_map": {"networks": {"lan": "plain"}},
        }
    )
    twin = domain_plan.twin(MACHINE, request, PLAIN, grouped, SUITS)
    assert twin.nics == (FinalNic(mac="52:54:00:1a:2b:3c", plug=read_plug("plain")),)
    (said,) = [line for line in shortfalls(MACHINE, twin) if "port group" in line]
    assert said.startswith(
        "NIC 52:54:00:1a:2b:3c was in port group vlan-42 of lan, and is on plain"
    )
    found = target_preflight.target(destination, MACHINE, request, PLAIN)
    assert said in [each.what for each in found]
