# SPDX-License-Identifier: Apache-2.0
"""Networks as guests configure them: fixed addresses in, DHCP out, names kept."""

from pathlib import Path

import pytest

from tests.fakes.debian import FakeDebian
from tradewind.errors import MorphingError
from tradewind.model.guest import Family, GuestOS, MorphOptions
from tradewind.morphing.linux.network import (
    ifcfg,
    ifupdown,
    ifupdown_sources,
    name_pins,
    names,
    networkmanager,
    wicked,
)
from tradewind.morphing.linux.network.names import Naming
from tradewind.morphing.linux.network.program import GuestNic, NetworkProgram
from tradewind.morphing.linux.network.survey import survey
from tradewind.morphing.linux.steps import dhcp, interface_names

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
    up /usr/local/sbin/greet 198.18.0.9
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
    up /usr/local/sbin/greet 198.18.0.9
    mtu 9000

iface eth0 inet6 auto

auto br0
iface br0 inet dhcp
    bridge_ports eth1

iface eth1 inet manual
"""


KEEP = MorphOptions(set_dhcp=False)
IFUP = {"/sbin/ifup": "", "/sbin/dhclient": ""}


def naming(guest: FakeDebian, found: GuestOS, *, guess: bool = False) -> Naming:
    return names.naming(survey(guest, found), guess=guess)


def test_fixed_addresses_become_questions() -> None:
    rewritten = ifupdown.to_dhcp({ifupdown.MAIN: STATIC})
    assert rewritten.texts == {ifupdown.MAIN: ASKING}
    assert rewritten.look == (
        "commands that may rely on the old addresses: up /usr/local/sbin/greet 198.18.0.9",
    )
    assert ifupdown.to_dhcp({ifupdown.MAIN: ASKING}).texts == {}


def test_included_files_are_found_as_ifupdown_finds_them(tmp_path: Path, found: GuestOS) -> None:
    files = {
        "/etc/network/interfaces": "source interfaces.d/*.cfg\nsource-directory more\n",
        "/etc/network/interfaces.d/a.cfg": "iface ens3 inet static\n",
        "/etc/network/interfaces.d/a.cfg.bak": "iface ens9 inet static\n",
        "/etc/network/more/office": "iface ens4 inet dhcp\niface vlan5 inet dhcp\n",
        "/etc/network/more/office.old": "iface ens8 inet dhcp\n",
    }
    network = survey(FakeDebian(tmp_path, files | IFUP), found)
    assert ifupdown_sources.files(network.texts) == (
        "/etc/network/interfaces",
        "/etc/network/interfaces.d/a.cfg",
        "/etc/network/more/office",
    )
    assert names.configured(network.interfaces) == ("ens3", "ens4")


def test_what_udev_ties_comes_before_order(tmp_path: Path, found: GuestOS) -> None:
    files = IFUP | {
        "/etc/network/interfaces": "iface wan inet dhcp\niface enp0s3 inet dhcp\n",
        name_pins.PERSISTENT_RULES: (
            '# ATTR{address}=="52:54:00:aa:00:01", NAME="old"\n'
            'SUBSYSTEM=="net", ATTR{address}=="52:54:00:aa:00:01", NAME="wan"\n'
        ),
    }
    paired = naming(FakeDebian(tmp_path, files), found)
    assert paired.tied == (GuestNic(MACS[0], "wan"),)
    assert paired.paired == (GuestNic(MACS[1], "enp0s3"),)


@pytest.mark.parametrize(
    ("configured", "ordered"),
    [
        (["enp10s0", "enp9s0"], ["enp9s0", "enp10s0"]),
        (["ens161", "ens256", "ens192"], ["ens192", "ens256", "ens161"]),
        (["ens4", "ens33", "ens192"], ["ens4", "ens33", "ens192"]),
    ],
)
def test_names_are_given_out_in_the_order_of_slots(
    tmp_path: Path, found: GuestOS, configured: list[str], ordered: list[str]
) -> None:
    text = "".join(f"iface {name} inet dhcp\n" for name in configured)
    macs = tuple(f"52:54:00:bb:00:0{number}" for number in range(len(configured)))
    machine = found.model_copy(update={"macs": macs})
    guest = FakeDebian(tmp_path, IFUP | {ifupdown.MAIN: text})
    assert [nic.name for nic in naming(guest, machine).nics] == ordered


def test_more_names_than_nics_are_told(tmp_path: Path, found: GuestOS) -> None:
    text = "".join(f"iface eth{n} inet dhcp\n" for n in range(3))
    guest = FakeDebian(tmp_path, IFUP | {ifupdown.MAIN: text})
    outcome = interface_names.apply(guest, found, OPTIONS)
    assert not outcome.changed
    assert "eth0, eth1, eth2 are configured, but the machine has 2 NICs" in outcome.remedy
    with pytest.raises(MorphingError, match="eth0, eth1, eth2, which nothing ties") as caught:
        interface_names.apply(guest, found, KEEP)
    assert "remove the configuration of interfaces that are gone" in caught.value.hint


def test_addresses_that_stay_are_not_given_to_a_nic_by_guess(
    tmp_path: Path, found: GuestOS
) -> None:
    guest = FakeDebian(tmp_path, IFUP | {ifupdown.MAIN: "iface eth0 inet static\n"})
    before = guest.photograph()
    with pytest.raises(MorphingError, match="has 2 NICs that these could be"):
        interface_names.apply(guest, found, KEEP)
    assert guest.photograph() == before
    assert interface_names.apply(guest, found, OPTIONS).changed


def test_a_condition_on_the_old_hardware_is_refused(tmp_path: Path, found: GuestOS) -> None:
    files = {
        "/etc/systemd/network/a.network": "[Match]\nDriver=vmxnet3\n[Network]\nAddress=1.2.3.4/8\n",
        "/lib/systemd/systemd-networkd": "",
    }
    guest = FakeDebian(tmp_path, files)
    with pytest.raises(MorphingError, match="Driver= of a NIC"):
        interface_names.apply(guest, found, KEEP)
    assert dhcp.apply(guest, found, OPTIONS).changed
    assert len(guest.list("/etc/systemd/network")) == 3


@pytest.mark.parametrize("of_systemd", [True, False])
def test_names_that_the_kernel_gives_out_are_traded(
    tmp_path: Path, found: GuestOS, *, of_systemd: bool
) -> None:
    rules = "".join(
        f'SUBSYSTEM=="net", ATTR{{address}}=="{mac}", NAME="eth{1 - number}"\n'
        for number, mac in enumerate(MACS)
    )
    files = IFUP | {
        name_pins.PERSISTENT_RULES: rules,
        ifupdown.MAIN: "iface eth0 inet dhcp\niface eth1 inet dhcp\n",
    }
    guest = FakeDebian(tmp_path, files)
    if not of_systemd:
        guest.remove("/usr/lib/udev/rules.d/80-net-setup-link.rules")
    assert interface_names.apply(guest, found, KEEP).changed
    lines = guest.read_text(name_pins.OUR_RULES).splitlines()[1:]
    giving = [line.split("address}==")[1].replace('"', "") for line in lines if "NAME=" in line]
    assert giving == [
        f"{MACS[1]}, ATTR{{type}}==1, NAME=eth0",
        f"{MACS[0]}, ATTR{{type}}==1, NAME=eth1",
    ]
    making_room = [line for line in lines if "ip link set dev $name name tw525400aa000" in line]
    assert len(making_room) == (2 if of_systemd else 0)
    assert guest.list("/etc/systemd/network") == ()
    assert not interface_names.apply(guest, found, KEEP).changed


def test_rules_take_the_place_of_links_that_udev_does_not_read(
    tmp_path: Path, found: GuestOS
) -> None:
    files = IFUP | {
        ifupdown.MAIN: "iface eth0 inet dhcp\niface eth1 inet dhcp\n",
        "/etc/udev/rules.d/80-net-setup-link.rules": "",
    }
    guest = FakeDebian(tmp_path, files)
    assert interface_names.apply(guest, found, KEEP).changed
    assert guest.list("/etc/systemd/network") == ()
    assert f'ATTR{{address}}=="{MACS[1]}"' in guest.read_text(name_pins.OUR_RULES)
    assert not interface_names.apply(guest, found, KEEP).changed


def test_two_nics_with_one_address_are_refused(tmp_path: Path, found: GuestOS) -> None:
    twins = found.model_copy(update={"macs": (MACS[0], MACS[0].upper())})
    with pytest.raises(MorphingError, match="do not tell them apart"):
        interface_names.apply(FakeDebian(tmp_path, IFUP), twins, OPTIONS)


def test_a_name_that_another_file_overrules_is_an_error(tmp_path: Path, found: GuestOS) -> None:
    one = found.model_copy(update={"macs": MACS[:1]})
    files = IFUP | {ifupdown.MAIN: "iface office inet dhcp\n"}
    guest = FakeDebian(tmp_path, files)
    guest.write_text("/etc/netplan/a.yaml", NETPLAN_SET_NAME)
    guest.write_text("/usr/libexec/netplan/generate", "")
    guest.write_text(
        "/etc/udev/rules.d/90-late.rules", f'ATTR{{address}}=="{MACS[0]}", NAME="other"\n'
    )
    with pytest.raises(MorphingError, match="gets the name other from another file"):
        interface_names.apply(guest, one, OPTIONS)


NETPLAN_SET_NAME = """\
network:
  ethernets:
    office:
      match: {macaddress: "52:54:00:aa:00:01"}
      set-name: office
"""


def test_a_guest_without_configuration_gets_one(tmp_path: Path, found: GuestOS) -> None:
    guest = FakeDebian(tmp_path, IFUP | {ifupdown.MAIN: "auto lo\niface lo inet loopback\n"})
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
    other = FakeDebian(tmp_path / "other", files)
    alpine = found.model_copy(update={"family": Family.UNKNOWN})
    outcome = dhcp.apply(other, alpine, OPTIONS)
    assert "without a DHCP client no address comes" in outcome.remedy
    assert not outcome.done


def test_a_guest_that_ifupdown_cannot_read_is_refused(tmp_path: Path, found: GuestOS) -> None:
    guest = FakeDebian(tmp_path, IFUP | {ifupdown.MAIN: "iface eth0 inet static\n"})
    guest.on(
        "ifquery eth0", lambda argv: guest.run(["dpkg-query", "", "", "", "none"], check=False)
    )
    with pytest.raises(MorphingError, match="ifquery eth0"):
        dhcp.apply(guest, found, OPTIONS)


def test_no_network_program_is_said(tmp_path: Path, found: GuestOS) -> None:
    with pytest.raises(MorphingError, match="nothing in the guest configures its network"):
        dhcp.apply(FakeDebian(tmp_path, {}), found, OPTIONS)


def test_files_of_programs_that_do_not_run_are_left_alone(tmp_path: Path, found: GuestOS) -> None:
    old = "network:\n  ethernets:\n    ens3: {addresses: [198.18.0.5/24]}\n"
    files = IFUP | {"/etc/netplan/01.yaml": old, ifupdown.MAIN: "iface eth0 inet static\n"}
    guest = FakeDebian(tmp_path, files)
    dhcp.apply(guest, found, OPTIONS)
    assert guest.read_text("/etc/netplan/01.yaml") == old


def test_what_the_old_hardware_alone_could_do_is_told(tmp_path: Path, found: GuestOS) -> None:
    one = found.model_copy(update={"macs": MACS[:1]})
    rules = 'SUBSYSTEM=="net", KERNELS=="0000:0b:00.0", NAME="lan"\n'
    text = "iface lan inet dhcp\n    up ethtool -K $IFACE lro off\n"
    files = IFUP | {"/etc/udev/rules.d/50-own.rules": rules, ifupdown.MAIN: text}
    outcome = interface_names.apply(FakeDebian(tmp_path, files), one, KEEP)
    assert outcome.summary == f"lan is {MACS[0]}"
    assert outcome.remedy == (
        "/etc/udev/rules.d/50-own.rules names a NIC by its old slot or driver; "
        "/etc/network/interfaces sets what VirtIO may not know (ethtool)"
    )


def test_without_udev_names_are_the_kernels(tmp_path: Path, found: GuestOS) -> None:
    text = "iface eth0 inet dhcp\niface eth1 inet dhcp\niface wlan0 inet dhcp\n"
    guest = FakeDebian(tmp_path, IFUP | {ifupdown.MAIN: text})
    guest.remove("/usr/bin/udevadm")
    outcome = interface_names.apply(guest, found, KEEP)
    assert outcome.summary == f"eth0 is {MACS[0]}, eth1 is {MACS[1]}"
    assert not outcome.changed
    guest.write_text(ifupdown.MAIN, "iface lan inet dhcp\n")
    with pytest.raises(MorphingError, match="configures lan, which nothing ties"):
        interface_names.apply(guest, found, KEEP)


MEMBERS: dict[NetworkProgram, dict[str, str]] = {
    ifupdown: {
        "/sbin/ifup": "",
        "/sbin/dhclient": "",
        ifupdown.MAIN: "iface bond0 inet static\n  address 1.2.3.4/8\n  bond-slaves ens3 ens4\n",
    },
    wicked: {
        "/usr/sbin/wicked": "",
        "/etc/sysconfig/network/ifcfg-bond0": "BONDING_MASTER=yes\nIPADDR=1.2.3.4/8\n"
        "BONDING_SLAVE_0=ens3\nBONDING_SLAVE_1=ens4\n",
    },
    networkmanager: {
        "/usr/sbin/NetworkManager": "",
        f"{networkmanager.FOLDER}/v3": "[connection]\ntype=vlan\ninterface-name=v3\n[vlan]\n"
        "parent=ens3\n[ipv4]\naddress1=1.2.3.4/8\nmethod=manual\n",
        f"{networkmanager.FOLDER}/v4": "[connection]\ntype=vlan\ninterface-name=v4\n[vlan]\n"
        "parent=ens4\n[ipv4]\nmethod=auto\n",
    },
    ifcfg: {
        "/usr/sbin/NetworkManager": "",
        "/etc/sysconfig/network-scripts/ifcfg-ens3.5": "DEVICE=ens3.5\nVLAN=yes\nIPADDR=1.2.3.4\n",
        "/etc/sysconfig/network-scripts/ifcfg-v4": "DEVICE=v4\nVLAN=yes\nPHYSDEV=ens4\n",
    },
}


@pytest.mark.parametrize("program", MEMBERS, ids=lambda program: str(program.NAME))
def test_a_nic_that_only_others_name_keeps_its_name_and_its_place(
    tmp_path: Path, found: GuestOS, program: NetworkProgram
) -> None:
    guest = FakeDebian(tmp_path, MEMBERS[program])
    outcome = interface_names.apply(guest, found, KEEP)
    assert outcome.summary == f"ens3 is {MACS[0]}, ens4 is {MACS[1]}"
    before = set(guest.photograph())
    assert dhcp.apply(guest, found, OPTIONS).changed
    new = set(guest.photograph()) - before
    assert [path for path in new if not path.startswith("/var/backups/")] == []
    assert not any("ens3" in command for command in guest.commands if command.startswith("ifquery"))
    assert "iface ens3" not in (guest.photograph().get(ifupdown.MAIN) or "")
