# SPDX-License-Identifier: Apache-2.0
"""Files in /etc/sysconfig: the Red Hat family's ifcfg, and wicked's, after their documentation.

sysconfig.txt of the initscripts, nm-settings-ifcfg-rh(5), README.RHEL of Open vSwitch;
ifcfg(5), ifcfg-bridge(5), ifcfg-tunnel(5), ifrule(5) of wicked.
"""

from pathlib import Path

import pytest

from tests.fakes.debian import FakeDebian
from tradewind.model.guest import GuestOS, MorphOptions
from tradewind.morphing.linux.network import ifcfg, wicked
from tradewind.morphing.linux.network.program import NetworkProgram
from tradewind.morphing.linux.steps import dhcp, interface_names

ASK = MorphOptions()
MACS = ("52:54:00:aa:00:01", "52:54:00:aa:00:02")
RED_HAT = {"/usr/sbin/NetworkManager": ""}
SUSE = {"/usr/sbin/wicked": ""}


def red_hat(name: str) -> str:
    return f"{ifcfg.FOLDER}/ifcfg-{name}"


def suse(name: str) -> str:
    return f"{wicked.FOLDER}/ifcfg-{name}"


def guest_with(root: Path, files: dict[str, str]) -> FakeDebian:
    guest = FakeDebian(root, files)
    guest.unit_states |= {"NetworkManager.service": "enabled", "wicked.service": "enabled"}
    return guest


def described(program: NetworkProgram, texts: dict[str, str]) -> dict[str, tuple[bool, bool]]:
    return {i.name: (i.hardware, i.is_port_or_parent) for i in program.interfaces(texts)}


@pytest.mark.parametrize("slaves", [True, False])
def test_a_bond_whose_options_are_in_modprobe_is_no_nic(
    tmp_path: Path, found: GuestOS, *, slaves: bool
) -> None:
    port = "MASTER=bond0\nSLAVE=yes\n" if slaves else "MASTER=bond0\n"
    files = {
        "/etc/modprobe.d/bond.conf": "alias bond0 bonding\noptions bond0 mode=1 miimon=100\n",
        red_hat("bond0"): "DEVICE=bond0\nONBOOT=yes\nBOOTPROTO=none\nIPADDR=10.0.0.5\nPREFIX=24\n",
        red_hat("eth0"): f"DEVICE=eth0\n{port}",
        red_hat("eth1"): f"DEVICE=eth1\n{port}",
    }
    guest = guest_with(tmp_path, RED_HAT | files)
    assert (
        interface_names.apply(guest, found, ASK).summary == f"eth0 is {MACS[0]}, eth1 is {MACS[1]}"
    )
    dhcp.apply(guest, found, ASK)
    assert "BOOTPROTO=dhcp" in guest.read_text(red_hat("bond0"))
    assert guest.read_text(red_hat("eth0")) == files[red_hat("eth0")]
    assert guest.list(ifcfg.FOLDER) == ("ifcfg-bond0", "ifcfg-eth0", "ifcfg-eth1")


def test_a_bond_of_another_name_is_told_by_its_ports() -> None:
    files = {
        red_hat("uplink"): "DEVICE=uplink\nIPADDR=10.0.0.5\n",
        red_hat("eth0"): "DEVICE=eth0\nMASTER=uplink\nSLAVE=yes\n",
        red_hat("lan"): "DEVICE=lan\nIPADDR=10.1.0.5\n",
        red_hat("eth1"): "DEVICE=eth1\nBRIDGE=lan\n",
    }
    assert described(ifcfg, files) == {
        "uplink": (False, False), "eth0": (True, True), "lan": (False, False), "eth1": (True, True),
    }  # fmt: skip


def test_ports_of_open_vswitch_stay_ports(tmp_path: Path, found: GuestOS) -> None:
    bridge = "DEVICE=ovsbr0\nDEVICETYPE=ovs\nTYPE=OVSBridge\nBOOTPROTO=static\nIPADDR=10.0.0.5\n"
    files = {
        red_hat("ovsbr0"): bridge,
        red_hat("eth0"): "DEVICE=eth0\nDEVICETYPE=ovs\nTYPE=OVSPort\nOVS_BRIDGE=ovsbr0\n",
        red_hat("ovsbond"): "DEVICE=ovsbond\nDEVICETYPE=ovs\nTYPE=OVSBond\nOVS_BRIDGE=ovsbr0\n"
        'BOND_IFACES="eth1"\n',
    }
    guest = guest_with(tmp_path, RED_HAT | files)
    assert (
        interface_names.apply(guest, found, ASK).summary == f"eth0 is {MACS[0]}, eth1 is {MACS[1]}"
    )
    outcome = dhcp.apply(guest, found, ASK)
    assert not outcome.changed
    assert outcome.remedy == "ovsbr0: addresses stay, since DHCP is not for such interfaces"


@pytest.mark.parametrize(
    "text",
    [
        "TYPE=WireGuard\n", "TYPE=Tunnel\n", "TYPE=GRE\n", "TYPE=IPIP\n", "TYPE=sit\n",
        "TYPE=dummy\n", "TYPE=InfiniBand\n", "TYPE=IPsec\n", "TYPE=xDSL\n", "TYPE=OVSIntPort\n",
        "TYPE=OVSTunnel\n", "TYPE=Wireless\n", "TYPE=Modem\n", "TYPE=macvlan\n", "TYPE=CIPE\n",
    ],
)  # fmt: skip
def test_other_types_keep_their_addresses(tmp_path: Path, found: GuestOS, text: str) -> None:
    one = found.model_copy(update={"macs": MACS[:1]})
    files = {
        red_hat("office"): f"DEVICE=office\n{text}IPADDR=10.9.0.1\n",
        f"{ifcfg.FOLDER}/route-office": "10.8.0.0/16 via 10.9.0.2\n",
        red_hat("eth0"): "DEVICE=eth0\nIPADDR=10.0.0.5\n",
    }
    guest = guest_with(tmp_path, RED_HAT | files)
    assert interface_names.apply(guest, one, ASK).summary == f"eth0 is {MACS[0]}"
    assert "office: addresses stay" in dhcp.apply(guest, one, ASK).remedy
    for path in (red_hat("office"), f"{ifcfg.FOLDER}/route-office"):
        assert guest.read_text(path) == files[path]
    assert guest.list(ifcfg.FOLDER) == ("ifcfg-eth0", "ifcfg-office", "route-office")


def test_rules_and_tables_go_with_the_addresses_of_networkmanagers_ifcfg() -> None:
    text = (
        "DEVICE=eth0\nBOOTPROTO=none\nIPADDR=10.0.0.5\nIPV4_ROUTE_TABLE=200\n"
        'ROUTING_RULE_1="priority 5 from 10.0.0.0/8 table 200"\nIPV6ADDR=2001:db8::5/64\n'
        "IPV6_AUTOCONF=no\nIPV6_ROUTE_TABLE=201\n"
    )
    assert ifcfg.to_dhcp({red_hat("eth0"): text}).texts == {
        red_hat("eth0"): "DEVICE=eth0\nBOOTPROTO=dhcp\nIPV6_AUTOCONF=yes\nONBOOT=yes\n"
    }


PORTS: list[tuple[NetworkProgram, dict[str, str]]] = [
    (
        wicked,
        {
            suse("br0"): "BRIDGE='yes'\nBRIDGE_PORTS='eth0'\nIPADDR='10.0.0.5/24'\n",
            suse("eth0"): "BOOTPROTO='none'\nSTARTMODE='auto'\nIPADDR='0.0.0.0/32'\n",
        },
    ),
    (
        wicked,
        {
            suse("bond0"): "BONDING_MASTER=yes\nBONDING_SLAVE0=eth0\nIPADDR=10.0.0.5/24\n",
            suse("eth0"): "BOOTPROTO=static\nIPADDR=0.0.0.0\nNETMASK=255.255.255.255\n",
        },
    ),
    (
        ifcfg,
        {
            red_hat("br0"): "DEVICE=br0\nTYPE=Bridge\nIPADDR=10.0.0.5\n",
            red_hat("eth0"): "DEVICE=eth0\nBRIDGE=br0\nIPADDR=0.0.0.0\n",
        },
    ),
]


@pytest.mark.parametrize(("program", "files"), PORTS)
def test_a_port_with_the_address_of_none_stays_a_port(
    tmp_path: Path, found: GuestOS, program: NetworkProgram, files: dict[str, str]
) -> None:
    one = found.model_copy(update={"macs": MACS[:1]})
    guest = guest_with(tmp_path, (SUSE if program is wicked else RED_HAT) | files)
    interface_names.apply(guest, one, ASK)
    assert dhcp.apply(guest, one, ASK).changed
    upper, port = files
    assert "dhcp" in guest.read_text(upper)
    assert guest.read_text(port) == files[port]
    assert not dhcp.apply(guest, one, ASK).changed


def test_a_nic_of_wicked_with_the_address_of_none_asks() -> None:
    files = {suse("eth0"): "BOOTPROTO='static'\nIPADDR='0.0.0.0/32'\n"}
    assert wicked.to_dhcp(files).texts == {suse("eth0"): "BOOTPROTO='dhcp'\n"}


@pytest.mark.parametrize(
    "text",
    [
        "TUNNEL='gre'\n", "TUNNEL='sit'\nTUNNEL_LOCAL_IPADDR='1.2.3.4'\n", "DUMMY='yes'\n",
        "INTERFACETYPE='dummy'\n", "MACVLAN_DEVICE='eth0'\n", "VXLAN='yes'\nVXLAN_ID='7'\n",
        "WIRELESS_ESSID='x'\n", "PPPMODE='pppoe'\n", "TUNNEL='tun'\n", "IPOIB_MODE='connected'\n",
        "OVS_BRIDGE='yes'\n",
    ],
)  # fmt: skip
def test_what_no_dhcp_server_serves_keeps_its_addresses_under_wicked(
    tmp_path: Path, found: GuestOS, text: str
) -> None:
    one = found.model_copy(update={"macs": MACS[:1]})
    files = {
        suse("office"): f"BOOTPROTO='static'\nIPADDR='10.9.0.1/24'\n{text}",
        suse("eth0"): "BOOTPROTO='static'\nIPADDR='10.0.0.5/24'\n",
        suse("lo"): "IPADDR='127.0.0.1/8'\n",
    }
    guest = guest_with(tmp_path, SUSE | files)
    assert interface_names.apply(guest, one, ASK).summary == f"eth0 is {MACS[0]}"
    assert "office: addresses stay" in dhcp.apply(guest, one, ASK).remedy
    assert guest.read_text(suse("office")) == files[suse("office")]


@pytest.mark.parametrize("name", ["wg0", "tun0", "dummy0", "ppp0", "sit1"])
@pytest.mark.parametrize("program", [ifcfg, wicked])
def test_names_of_interfaces_without_hardware_are_no_nics(
    program: NetworkProgram, name: str
) -> None:
    path = suse(name) if program is wicked else red_hat(name)
    texts = {path: "IPADDR=10.9.0.1\n"}
    assert described(program, texts) == {name: (False, False)}
    assert program.to_dhcp(texts).texts == {}


def test_rules_of_wicked_go_with_the_addresses() -> None:
    texts = {
        suse("eth0"): "BOOTPROTO='static'\nIPADDR='10.0.0.5/24'\n",
        f"{wicked.FOLDER}/ifrule-eth0": "ipv4 from 10.0.0.0/8 table 200\n",
        f"{wicked.FOLDER}/ifroute-eth0": "default 10.0.0.1 - - table 200\n",
        f"{wicked.FOLDER}/ifrule-eth1": "ipv4 from 10.1.0.0/16 table 201\n",
    }
    gone = wicked.to_dhcp(texts).gone
    assert gone == (f"{wicked.FOLDER}/ifroute-eth0", f"{wicked.FOLDER}/ifrule-eth0")
