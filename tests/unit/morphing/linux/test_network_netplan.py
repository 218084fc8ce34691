# SPDX-License-Identifier: Apache-2.0
"""Netplan's files, judged by what its own generator and NetworkManager's library make of them."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.fakes.debian import FakeDebian
from tests.fakes.guest_tree import completed
from tests.unit.morphing.linux import network_readers
from tests.unit.morphing.linux.network_readers import needs_libnm, needs_netplan
from tradewind.errors import MorphingError
from tradewind.model.guest import GuestOS, MorphOptions
from tradewind.morphing.linux.network import netplan
from tradewind.morphing.linux.steps import dhcp, interface_names

ASK = MorphOptions()
KEEP = MorphOptions(set_dhcp=False)
MAC = "52:54:00:aa:00:01"
PROFILE = "NM-2b0e1a86-5b9d-4e68-8b0a-0c9a2f5d2a11"
PATH = "/etc/netplan/90-NM-2b0e1a86-5b9d-4e68-8b0a-0c9a2f5d2a11.yaml"


def guest_with(root: Path, text: str) -> FakeDebian:
    programs = {netplan.GENERATORS[0]: "", "/usr/sbin/NetworkManager": ""}
    guest = FakeDebian(root, programs | {PATH: text})
    guest.unit_states["NetworkManager.service"] = "enabled"
    guest.on("netplan/generate", completed)
    return guest


def handed_on(passthrough: str, *, kind: str = "ethernets", more: str = "match: {}") -> str:
    return (
        f"network:\n  version: 2\n  renderer: NetworkManager\n  {kind}:\n    {PROFILE}:\n"
        f"      renderer: NetworkManager\n      {more}\n      networkmanager:\n"
        f"        uuid: 2b0e1a86-5b9d-4e68-8b0a-0c9a2f5d2a11\n        name: office\n"
        f"        passthrough:\n          {passthrough}\n"
    )


FIXED = (
    'ipv4.method: "manual"\n          ipv4.address1: "10.0.0.5/24,10.0.0.1"\n'
    '          ipv4.route1: "10.9.0.0/16,10.0.0.9"\n          ipv4.route-table: "200"\n'
    '          ipv4.routing-rule1: "priority 5 from 10.0.0.0/8 table 200"\n'
    '          connection.interface-name: "ens192"'
)


def asking(root: Path, text: str) -> dict[str, Any]:
    """What NetworkManager reads in the profile that Netplan makes of the rewritten file."""
    new = netplan.to_dhcp({PATH: text}).texts
    made = network_readers.netplan_generated(root, {PATH: text} | dict(new))
    return network_readers.keyfile(made[f"netplan-{PROFILE}.nmconnection"])


@needs_netplan
@needs_libnm
@pytest.mark.parametrize(
    "text",
    [
        handed_on(FIXED, more="match: {name: ens192}"),
        handed_on(FIXED, more="match: {}\n      addresses: [10.0.0.5/24]"),
        handed_on(FIXED, more="match: {}\n      dhcp4: true"),
        handed_on('ipv4.method: "manual"\n          ipv4.addresses: "10.0.0.5/24;"'),
        handed_on('ipv4.method: "disabled"'),
        handed_on('ipv4.method: "auto"\n          connection.autoconnect: "false"'),
        handed_on('connection.type: "bond"\n          ' + FIXED, kind="nm-devices", more="x: y")
        .replace("      x: y\n", ""),
    ],
)  # fmt: skip
def test_networkmanager_is_told_to_ask(tmp_path: Path, text: str) -> None:
    read = asking(tmp_path, text)
    assert read["ipv4"] == {
        "method": "auto", "addresses": [], "gateway": "", "routes": 0, "rules": 0, "table": 0,
    }  # fmt: skip
    new = netplan.to_dhcp({PATH: text}).texts
    assert netplan.to_dhcp(dict(new)).texts == {}


@needs_netplan
@needs_libnm
def test_fixed_ipv6_that_is_handed_on_becomes_advertised(tmp_path: Path) -> None:
    text = handed_on('ipv6.method: "manual"\n          ipv6.address1: "2001:db8::5/64"')
    assert asking(tmp_path, text)["ipv6"]["method"] == "auto"


def test_a_name_that_is_handed_on_is_tied(tmp_path: Path, found: GuestOS) -> None:
    one = found.model_copy(update={"macs": (MAC,)})
    guest = guest_with(tmp_path, handed_on(FIXED, more="match: {}"))
    assert interface_names.apply(guest, one, KEEP).summary == f"ens192 is {MAC}"
    dhcp.apply(guest, one, ASK)
    assert not guest.exists(netplan.OURS)
    assert 'ipv4.method: "auto"' in guest.read_text(PATH) or "ipv4.method: auto" in guest.read_text(
        PATH
    )


def test_a_port_that_is_handed_on_stays_a_port(tmp_path: Path, found: GuestOS) -> None:
    one = found.model_copy(update={"macs": (MAC,)})
    port = 'connection.interface-name: "ens3"\n          connection.master: "br0"'
    guest = guest_with(tmp_path, handed_on(port))
    interface_names.apply(guest, one, ASK)
    assert not dhcp.apply(guest, one, ASK).changed


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("tunnels", "mode: wireguard\n      key: abc"),
        ("tunnels", "mode: gre\n      local: 1.1.1.1\n      remote: 2.2.2.2"),
        ("vrfs", "table: 200"),
        ("dummy-devices", "mtu: 1400"),
        ("virtual-ethernets", "peer: b"),
        ("ethernets", "match: {name: lo}"),
    ],
)
def test_what_no_dhcp_server_serves_keeps_its_addresses(
    tmp_path: Path, found: GuestOS, kind: str, more: str
) -> None:
    one = found.model_copy(update={"macs": (MAC,)})
    text = f"network:\n  {kind}:\n    a0:\n      {more}\n      addresses: [10.9.0.1/24]\n"
    guest = guest_with(tmp_path, text)
    assert (
        interface_names.apply(guest, one, ASK).summary == "no interface is configured by its name"
    )
    dhcp.apply(guest, one, ASK)
    assert guest.read_text(PATH) == text
    assert guest.exists(netplan.OURS)


def test_loopback_is_no_nic(tmp_path: Path, found: GuestOS) -> None:
    one = found.model_copy(update={"macs": (MAC,)})
    text = "network:\n  ethernets:\n    lo: {addresses: [10.10.10.10/32]}\n"
    guest = guest_with(tmp_path, text)
    assert not interface_names.apply(guest, one, ASK).changed
    dhcp.apply(guest, one, ASK)
    assert guest.read_text(PATH) == text


@needs_netplan
@needs_libnm
@pytest.mark.parametrize("more", ["accept-ra: no", "accept-ra: false", "link-local: []"])
def test_advertisements_are_accepted_in_place_of_fixed_addresses(tmp_path: Path, more: str) -> None:
    text = (
        f"network:\n  ethernets:\n    ens3:\n      addresses: ['2001:db8::5/64']\n      {more}\n"
        "      routing-policy: [{from: 10.0.0.0/8, table: 200}]\n"
    )
    new = dict(netplan.to_dhcp({PATH: text}).texts)
    network = network_readers.netplan_generated(tmp_path, new)["10-netplan-ens3.network"]
    assert "IPv6AcceptRA=no" not in network
    assert "LinkLocalAddressing=ipv6" in network
    assert "DHCP=yes" in network
    assert "[RoutingPolicyRule]" not in network


@pytest.mark.parametrize("mode", ["off", "manual", "false"])
def test_what_is_kept_off_stays_off_and_is_told(tmp_path: Path, found: GuestOS, mode: str) -> None:
    one = found.model_copy(update={"macs": (MAC,)})
    text = f"network:\n  ethernets:\n    ens3: {{activation-mode: {mode}}}\n"
    guest = guest_with(tmp_path, text)
    interface_names.apply(guest, one, ASK)
    outcome = dhcp.apply(guest, one, ASK)
    assert guest.read_text(PATH) == text
    assert outcome.remedy.startswith("kept off, as they were: ens3 (activation-mode: ")


@pytest.mark.parametrize(
    ("match", "refused"),
    [
        ("{driver: vmxnet3}", True),
        (f"{{driver: vmxnet3, macaddress: '{MAC}'}}", True),
        ("{driver: [vmxnet3, 'e1000*']}", True),
        ("{driver: [vmxnet3, virtio_net]}", False),
        ("{driver: 'virtio*'}", False),
        ("{name: 'en*'}", False),
        ("{name: 'ens*'}", False),
        ("{name: 'en[op]*'}", True),
    ],
)
def test_conditions_on_the_old_hardware_are_refused(
    tmp_path: Path, found: GuestOS, match: str, *, refused: bool
) -> None:
    one = found.model_copy(update={"macs": (MAC,)})
    text = f"network:\n  ethernets:\n    a: {{match: {match}, addresses: [10.0.0.5/24]}}\n"
    guest = guest_with(tmp_path, text)
    if not refused:
        made_up = "ens1" in str(interface_names.apply(guest, one, KEEP).summary)
        assert made_up == ("ens*" in match)
        return
    with pytest.raises(MorphingError, match="by what the new NICs do not have"):
        interface_names.apply(guest, one, KEEP)


def test_patterns_of_which_none_fits_are_refused_even_with_dhcp(
    tmp_path: Path, found: GuestOS
) -> None:
    one = found.model_copy(update={"macs": (MAC,)})
    a, b, c = (f"{{match: {{name: '{n}'}}, dhcp4: true}}" for n in ("ens*", "eth*", "en*"))
    text = f"network:\n  ethernets:\n    a: {a}\n    b: {b}\n"
    with pytest.raises(MorphingError, match=r"the name ens\*"):
        interface_names.apply(guest_with(tmp_path / "a", text), one, KEEP)
    both = guest_with(tmp_path / "b", f"{text}    c: {c}\n")
    assert not interface_names.apply(both, one, KEEP).changed


@pytest.mark.parametrize(("match", "made_up"), [("{name: 'ens*'}", True), ("{name: 'en*'}", False)])
@pytest.mark.parametrize(
    "upper",
    [
        "bridges:\n    br0: {interfaces: [p], addresses: [10.0.0.5/24]}",
        "vlans:\n    v5: {id: 5, link: p, addresses: [10.0.0.5/24]}",
    ],
)
def test_ports_that_a_pattern_matches_stay_ports(
    tmp_path: Path, found: GuestOS, match: str, upper: str, *, made_up: bool
) -> None:
    one = found.model_copy(update={"macs": (MAC,)})
    guest = guest_with(tmp_path, f"network:\n  ethernets:\n    p: {{match: {match}}}\n  {upper}\n")
    assert ("ens1" in interface_names.apply(guest, one, ASK).summary) == made_up
    assert dhcp.apply(guest, one, ASK).changed
    assert not guest.exists(netplan.OURS)
    assert f"p: {{match: {match}}}" in guest.read_text(PATH)


def test_the_rewritten_file_is_yaml_of_the_same_shape() -> None:
    text = handed_on(FIXED, more="match: {name: ens192}")
    new = YAML(typ="safe").load(netplan.to_dhcp({PATH: text}).texts[PATH])
    definition = new["network"]["ethernets"][PROFILE]
    assert definition["match"] == {"name": "ens192"}
    assert definition["networkmanager"]["passthrough"] == {
        "ipv4.method": "auto",
        "connection.interface-name": "ens192",
    }
