# SPDX-License-Identifier: Apache-2.0
"""Networks as guests configure them: fixed addresses in, DHCP out, names kept."""

from pathlib import Path

import pytest

from tests.fakes.debian import FakeDebian
from tests.fakes.guest_tree import FakeGuestTree
from tradewind.errors import MorphingError
from tradewind.model.guest import GuestOS, MorphOptions
from tradewind.morphing.network import ifupdown, names, netplan
from tradewind.morphing.steps.linux import dhcp, interface_names

MACS = ("52:54:00:aa:00:01", "52:54:00:aa:00:02")
OPTIONS = MorphOptions()

STATIC = """\
auto lo eth0 eth0:1
iface lo inet loopback

# the office
iface eth0 inet static
    address 198.18.0.5
    netmask 255.255.255.0
    gateway 198.18.0.1
    dns-search a \\
        b
    up ip route add 203.0.113.0/24 via 198.18.0.9
    mtu 9000

iface eth0:1 inet static
    address 198.18.0.6/24

iface eth0 inet static
    address 198.18.0.7/24

iface eth0 inet6 static
    address 2001:db8::5/64
    gateway 2001:db8::1

auto br0
iface br0 inet static
    bridge_ports eth1
    address 198.18.1.5/24

iface eth1 inet manual
"""
ASKING = """\
auto lo eth0
iface lo inet loopback

# the office
iface eth0 inet dhcp
    up ip route add 203.0.113.0/24 via 198.18.0.9
    mtu 9000

iface eth0 inet6 auto

auto br0
iface br0 inet dhcp
    bridge_ports eth1

iface eth1 inet manual
"""


def test_fixed_addresses_become_questions() -> None:
    assert ifupdown.automatic(STATIC) == ASKING
    assert ifupdown.automatic(ASKING) == ASKING
    assert ifupdown.hooks(STATIC) == ("up ip route add 203.0.113.0/24 via 198.18.0.9",)


def test_included_files_are_found_as_ifupdown_finds_them(tmp_path: Path) -> None:
    guest = FakeGuestTree(
        tmp_path,
        {
            "/etc/network/interfaces": "source interfaces.d/*.cfg\nsource-directory more\n",
            "/etc/network/interfaces.d/a.cfg": "iface ens3 inet static\n",
            "/etc/network/interfaces.d/a.cfg.bak": "iface ens9 inet static\n",
            "/etc/network/more/office": "iface ens4 inet dhcp\niface vlan5 inet dhcp\n",
            "/etc/network/more/office.old": "iface ens8 inet dhcp\n",
        },
    )
    assert ifupdown.files(names.read(guest)) == (
        "/etc/network/interfaces",
        "/etc/network/interfaces.d/a.cfg",
        "/etc/network/more/office",
    )
    assert ifupdown.physical_names(names.read(guest)) == ("ens3", "ens4")


def test_what_udev_ties_comes_before_order(tmp_path: Path) -> None:
    guest = FakeGuestTree(
        tmp_path,
        {
            "/etc/network/interfaces": "iface wan inet dhcp\niface enp0s3 inet dhcp\n",
            names.PERSISTENT_RULES: (
                '# ATTR{address}=="52:54:00:aa:00:01", NAME="old"\n'
                'SUBSYSTEM=="net", ATTR{address}=="52:54:00:AA:00:01", NAME="wan"\n'
            ),
        },
    )
    assert names.named_nics(names.read(guest), MACS) == (
        names.NamedNic(MACS[0], "wan", known=True),
        names.NamedNic(MACS[1], "enp0s3", known=False),
    )


def test_names_are_given_out_in_natural_order(tmp_path: Path) -> None:
    files = {"/etc/network/interfaces": "iface enp10s0 inet dhcp\niface enp9s0 inet dhcp\n"}
    guest = FakeGuestTree(tmp_path, files)
    assert [nic.name for nic in names.named_nics(names.read(guest), MACS)] == ["enp9s0", "enp10s0"]


def test_more_names_than_nics_are_left_alone_and_told(tmp_path: Path, found: GuestOS) -> None:
    files = {"/etc/network/interfaces": "".join(f"iface eth{n} inet dhcp\n" for n in range(3))}
    guest = FakeGuestTree(tmp_path, files)
    outcome = interface_names.apply(guest, found, OPTIONS)
    assert not outcome.changed
    assert outcome.remedy == "eth0, eth1, eth2 are configured, but the machine has 2 NICs"


def test_a_guest_without_configuration_gets_one(tmp_path: Path, found: GuestOS) -> None:
    guest = FakeDebian(tmp_path, {"/sbin/ifup": "", "/sbin/dhclient": ""})
    assert dhcp.apply(guest, found, OPTIONS).changed
    text = guest.read_text("/etc/network/interfaces")
    assert "allow-hotplug lan0\niface lan0 inet dhcp\n" in text
    assert "iface lan1 inet dhcp" in text
    link = guest.read_text("/etc/systemd/network/10-tradewind-525400aa0002.link")
    assert "Name=lan1" in link
    assert not dhcp.apply(guest, found, OPTIONS).changed


def test_a_missing_dhcp_client_is_installed(tmp_path: Path, found: GuestOS) -> None:
    files = {"/sbin/ifup": "", "/etc/network/interfaces": "iface eth0 inet static\n"}
    guest = FakeDebian(tmp_path, files)
    dhcp.apply(guest, found, OPTIONS)
    assert "isc-dhcp-client" in guest.installed


def test_a_guest_that_ifupdown_cannot_read_is_refused(tmp_path: Path, found: GuestOS) -> None:
    files = {"/sbin/ifup": "", "/sbin/dhclient": "", ifupdown.MAIN: "iface eth0 inet static\n"}
    guest = FakeDebian(tmp_path, files)
    guest.on(
        "ifquery eth0", lambda argv: guest.run(["dpkg-query", "", "", "", "none"], check=False)
    )
    with pytest.raises(MorphingError, match="ifquery eth0"):
        dhcp.apply(guest, found, OPTIONS)


def test_no_network_program_is_said(tmp_path: Path, found: GuestOS) -> None:
    with pytest.raises(MorphingError, match="nothing in the guest configures its network"):
        dhcp.apply(FakeDebian(tmp_path, {}), found, OPTIONS)


def test_networkd_gets_a_file_that_comes_first(tmp_path: Path, found: GuestOS) -> None:
    old = "[Match]\nName=enp0s3\n[Network]\nAddress=198.18.0.5/24\n"
    guest = FakeDebian(tmp_path, {"/etc/systemd/network/10-static.network": old})
    guest.unit_states["systemd-networkd.service"] = "enabled"
    assert names.configured_names(names.read(guest)) == ("enp0s3",)
    assert dhcp.apply(guest, found, OPTIONS).changed
    ours = guest.read_text("/etc/systemd/network/05-tradewind-525400aa0001.network")
    assert "MACAddress=52:54:00:aa:00:01" in ours
    assert "DHCP=yes" in ours
    assert not dhcp.apply(guest, found, OPTIONS).changed


def test_what_is_built_on_nics_is_left_to_the_operator(tmp_path: Path, found: GuestOS) -> None:
    files = {"/etc/systemd/network/a.network": "[Match]\nName=enp0s3\n[Network]\nBridge=br0\n"}
    guest = FakeDebian(tmp_path / "a", files)
    guest.unit_states["systemd-networkd.service"] = "enabled"
    assert "Bridge br0" in dhcp.apply(guest, found, OPTIONS).remedy
    plan = "network:\n  version: 2\n  ethernets:\n    ens3: {}\n  bonds:\n    bond0: {}\n"
    other = FakeDebian(tmp_path / "b", {"/etc/netplan/01.yaml": plan})
    outcome = dhcp.apply(other, found, OPTIONS)
    assert not outcome.changed
    assert "bonds" in outcome.remedy


NETPLAN = """\
# by hand
network:
  version: 2
  renderer: NetworkManager
  ethernets:
    ens3:
      addresses: [198.18.0.5/24]
      nameservers:
        addresses: [198.18.0.1]
    "enp1s0":
      dhcp4: false
  wifis:
    wlan0: {}
"""


def test_netplan_is_replaced_as_a_whole(tmp_path: Path, found: GuestOS) -> None:
    guest = FakeDebian(tmp_path, {"/etc/netplan/01-static.yaml": NETPLAN})
    assert netplan.physical_names(names.read(guest)) == ("ens3", "enp1s0")
    assert dhcp.apply(guest, found, OPTIONS).changed
    assert guest.list("/etc/netplan") == ("90-tradewind.yaml",)
    ours = guest.read_text("/etc/netplan/90-tradewind.yaml")
    assert "renderer: NetworkManager" in ours
    assert 'match: {macaddress: "52:54:00:aa:00:02"}' in ours
    assert guest.read_text("/var/backups/tradewind/etc/netplan/01-static.yaml") == NETPLAN
    assert not dhcp.apply(guest, found, OPTIONS).changed


@pytest.mark.parametrize("method", ["manual", "auto"])
def test_networkmanager_gets_profiles_only_if_addresses_are_fixed(
    tmp_path: Path, found: GuestOS, method: str
) -> None:
    profile = f"[connection]\ntype=ethernet\n\n[ipv4]\nmethod={method}\n"
    folder = "/etc/NetworkManager/system-connections"
    guest = FakeDebian(tmp_path, {f"{folder}/office.nmconnection": profile})
    assert dhcp.apply(guest, found, OPTIONS).changed is (method == "manual")
    ours = [name for name in guest.list(folder) if name.startswith("tradewind-")]
    assert len(ours) == (2 if method == "manual" else 0)
    for name in ours:
        assert (guest.root / folder.lstrip("/") / name).stat().st_mode & 0o777 == 0o600
    assert not dhcp.apply(guest, found, OPTIONS).changed
