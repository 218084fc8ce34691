# SPDX-License-Identifier: Apache-2.0
"""systemd-networkd's files: which NIC they match, what DHCP replaces, what is left alone."""

from pathlib import Path

import pytest

from tests.fakes.debian import FakeDebian
from tests.unit.morphing.linux import network_readers
from tests.unit.morphing.linux.network_readers import needs_networkd
from tradewind.errors import MorphingError
from tradewind.model.guest import GuestOS, MorphOptions
from tradewind.morphing.linux.network import networkd
from tradewind.morphing.linux.network.networkd import FOLDER
from tradewind.morphing.linux.steps import dhcp, interface_names

MACS = ("52:54:00:aa:00:01", "52:54:00:aa:00:02")
KEEP = MorphOptions(set_dhcp=False)
ASK = MorphOptions()
RUNS = {"/lib/systemd/systemd-networkd": ""}


def guest_with(root: Path, texts: dict[str, str]) -> FakeDebian:
    return FakeDebian(root, RUNS | {f"{FOLDER}/{name}": text for name, text in texts.items()})


def links(guest: FakeDebian) -> dict[str, str]:
    return {
        path.rpartition("-")[2]: text.rpartition("Name=")[2].strip()
        for path, text in guest.photograph().items()
        if path.startswith(f"{FOLDER}/10-tradewind-")
    }


def ours(guest: FakeDebian) -> list[str]:
    return [name for name in guest.list(FOLDER) if name.startswith("05-tradewind-")]


@pytest.mark.parametrize("options", [KEEP, ASK])
@pytest.mark.parametrize(
    ("match", "tied"),
    [
        (f"Name=ens192\nMACAddress={MACS[1]}\n", {"525400aa0002.link": "ens192"}),
        (f"Name = ens192\nMACAddress = {MACS[1].upper()}\n", {"525400aa0002.link": "ens192"}),
        ("Name=ens192\nMACAddress=5254.00aa.0002\n", {"525400aa0002.link": "ens192"}),
        (f"Name=ens192\nPermanentMACAddress={MACS[1]}\n", {"525400aa0002.link": "ens192"}),
        (f"Name=ens192\n[Match]\nMACAddress={MACS[1]}\n", {"525400aa0002.link": "ens192"}),
        (
            f"Name=ens192 ens224\nMACAddress={MACS[0]} {MACS[1]}\n",
            {"525400aa0001.link": "ens192", "525400aa0002.link": "ens224"},
        ),
        (f"Name=ens*\nMACAddress={MACS[1]}\n", {"525400aa0002.link": "ens1"}),
        (f"Name=en*\nMACAddress={MACS[1]}\n", {}),
        (f"MACAddress={MACS[1]}\n", {}),
    ],
)
def test_all_conditions_hold_together(
    tmp_path: Path, found: GuestOS, match: str, tied: dict[str, str], options: MorphOptions
) -> None:
    guest = guest_with(tmp_path, {"a.network": f"[Match]\n{match}[Network]\nAddress=10.0.0.5/24\n"})
    interface_names.apply(guest, found, options)
    assert links(guest) == tied
    if options.set_dhcp:
        dhcp.apply(guest, found, options)
        assert "DHCP=yes" in guest.read_text(f"{FOLDER}/a.network")
        assert "05-tradewind-525400aa0002.network" not in ours(guest)


@needs_networkd
@pytest.mark.parametrize(
    ("match", "name"),
    [
        (f"Name=ens192\nMACAddress={MACS[0]}", "ens192"),
        (f"Name=ens*\nMACAddress={MACS[0]}", "ens1"),
        ("Name=ens*", "ens1"),
        ("Name=!lo veth*", "enp1s0"),
        ("Virtualization=!vmware", "enp1s0"),
        ("Name=en*\nKind=!bridge", "enp1s0"),
    ],
)
def test_networkd_takes_the_file_that_we_say_it_takes(
    tmp_path: Path, found: GuestOS, match: str, name: str
) -> None:
    one = found.model_copy(update={"macs": MACS[:1]})
    text = f"[Match]\n{match}\n[Network]\nAddress=10.0.0.5/24\n"
    guest = guest_with(tmp_path / "guest", {"a.network": text})
    interface_names.apply(guest, one, KEEP)
    assert set(links(guest).values()) == ({name} - {"enp1s0"})
    dhcp.apply(guest, one, ASK)
    assert ours(guest) == []
    new = {f"{FOLDER}/a.network": guest.read_text(f"{FOLDER}/a.network")}
    taken = network_readers.networkd_files(tmp_path / "read", new, {name: MACS[0]})
    assert taken == {name: "a.network"}


@pytest.mark.parametrize("serving", ["Bridge=br0", "Bond=bond0", "VLAN=vlan5"])
@pytest.mark.parametrize("pattern", ["en*", "ens*", "e*"])
def test_ports_that_a_pattern_matches_stay_ports(
    tmp_path: Path, found: GuestOS, serving: str, pattern: str
) -> None:
    files = {
        "10-port.network": f"[Match]\nName={pattern}\n[Network]\n{serving}\n",
        "20-br0.netdev": "[NetDev]\nName=br0\nKind=bridge\n",
        "30-br0.network": "[Match]\nName=br0\n[Network]\nAddress=10.0.0.5/24\n",
    }
    guest = guest_with(tmp_path, files)
    interface_names.apply(guest, found, ASK)
    dhcp.apply(guest, found, ASK)
    assert ours(guest) == []
    assert guest.read_text(f"{FOLDER}/10-port.network") == files["10-port.network"]
    assert "DHCP=yes" in guest.read_text(f"{FOLDER}/30-br0.network")
    made_up = ["ens1", "ens2"] if pattern == "ens*" else []
    assert sorted(links(guest).values()) == made_up
    assert not dhcp.apply(guest, found, ASK).changed


def test_a_port_that_only_the_old_hardware_was_is_refused(tmp_path: Path, found: GuestOS) -> None:
    port = "[Match]\nDriver=vmxnet3\n[Network]\nBridge=br0\n"
    guest = guest_with(tmp_path, {"10-port.network": port})
    with pytest.raises(MorphingError, match=r"finds its NIC by Driver=, which no new NIC has"):
        dhcp.apply(guest, found, ASK)
    assert ours(guest) == []


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("Driver=vmxnet3", "Driver="),
        ("Driver=e1000* vmx*", "Driver="),
        ("Path=pci-0000:0b:00.0", "Path="),
        ("Property=ID_MODEL_ID=0x07b0", "Property="),
        ("Virtualization=vmware", "Virtualization="),
        ("Virtualization=!kvm", "Virtualization="),
        ("Virtualization=no", "Virtualization="),
        ("Name=eno?\n[Match]\nName=eth[0-9]", "the name eno? eth[0-9]"),
    ],
)
def test_a_condition_that_only_the_old_hardware_meets_is_found(
    tmp_path: Path, found: GuestOS, condition: str, said: str
) -> None:
    text = f"[Match]\n{condition}\n[Network]\nAddress=10.0.0.5/24\n"
    guest = guest_with(tmp_path, {"a.network": text})
    with pytest.raises(MorphingError, match="by what the new NICs do not have") as caught:
        interface_names.apply(guest, found, KEEP)
    assert said in str(caught.value)
    dhcp.apply(guest, found, ASK)
    assert len(ours(guest)) == 2


@pytest.mark.parametrize(
    "condition",
    ["Driver=virtio*", "Driver=!veth", "Path=pci-*", "Virtualization=kvm", "Virtualization=vm",
     "Virtualization=!vmware", "Type=ether", "Kind=!*", "Name=en* eth*", "Name=!lo"],
)  # fmt: skip
def test_a_condition_that_the_new_hardware_meets_is_none(
    tmp_path: Path, found: GuestOS, condition: str
) -> None:
    text = f"[Match]\n{condition}\n[Network]\nAddress=10.0.0.5/24\n"
    guest = guest_with(tmp_path, {"a.network": text})
    interface_names.apply(guest, found, KEEP)
    dhcp.apply(guest, found, ASK)
    assert ours(guest) == []


@pytest.mark.parametrize(("word", "fits"), [("net.ifnames=0", True), ("", False)])
def test_names_of_the_kernel_are_met_where_it_gives_them(
    tmp_path: Path, found: GuestOS, word: str, *, fits: bool
) -> None:
    text = "[Match]\nName=eth?\n[Network]\nAddress=10.0.0.5/24\n"
    guest = guest_with(tmp_path, {"a.network": text})
    guest.write_text("/boot/grub/grub.cfg", f"linux /vmlinuz root=/dev/vda1 {word}\n")
    if fits:
        interface_names.apply(guest, found, KEEP)
        return
    with pytest.raises(MorphingError, match="the name eth"):
        interface_names.apply(guest, found, KEEP)


KINDS = ["wireguard", "tun", "tap", "dummy", "vrf", "macsec", "gre", "sit", "vxlan", "veth"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_no_dhcp_server_serves_keeps_its_addresses(
    tmp_path: Path, found: GuestOS, kind: str
) -> None:
    text = "[Match]\nName=inner\n[Network]\nAddress=10.9.0.1/24\n"
    netdev = f"[NetDev]\nName=inner\nKind={kind}\n"
    guest = guest_with(tmp_path, {"a.netdev": netdev, "a.network": text})
    outcome = dhcp.apply(guest, found, ASK)
    assert guest.read_text(f"{FOLDER}/a.network") == text
    assert "inner: addresses stay" in outcome.remedy
    assert len(ours(guest)) == 2


@pytest.mark.parametrize(
    "match", ["Name=lo", "Type=loopback", "Name=wg0", "Name=docker*", "Kind=wireguard"]
)
def test_an_interface_without_hardware_is_no_nic(
    tmp_path: Path, found: GuestOS, match: str
) -> None:
    one = found.model_copy(update={"macs": MACS[:1]})
    text = f"[Match]\n{match}\n[Network]\nAddress=10.10.10.10/32\n"
    guest = guest_with(tmp_path, {"a.network": text})
    interface_names.apply(guest, one, ASK)
    assert links(guest) == {}
    dhcp.apply(guest, one, ASK)
    assert guest.read_text(f"{FOLDER}/a.network") == text


def test_a_file_for_loopback_and_a_nic_is_refused(tmp_path: Path, found: GuestOS) -> None:
    one = found.model_copy(update={"macs": MACS[:1]})
    text = "[Match]\nName=lo ens3\n[Network]\nAddress=10.10.10.10/32\n"
    guest = guest_with(tmp_path, {"a.network": text})
    interface_names.apply(guest, one, ASK)
    with pytest.raises(MorphingError, match="nothing makes ens3 ask for its address"):
        dhcp.apply(guest, one, ASK)
    assert guest.read_text(f"{FOLDER}/a.network") == text


def test_rules_and_refused_advertisements_go_with_the_addresses() -> None:
    text = (
        "[Match]\nName=ens3\n[Network]\nAddress=2001:db8::5/64\nGateway=2001:db8::1\n"
        "IPv6AcceptRA=no\nLinkLocalAddressing=no\n[RoutingPolicyRule]\nFrom=10.0.0.0/8\nTable=200\n"
    )
    path = f"{FOLDER}/a.network"
    assert networkd.to_dhcp({path: text}).texts == {
        path: "[Match]\nName=ens3\n[Network]\nDHCP=yes\n"
    }


def test_what_dhcp_may_not_set_goes_with_the_addresses() -> None:
    text = (
        "[Match]\nName=ens3\n[Network]\nDHCP=ipv4\nAddress=10.0.0.5/24\nGateway=10.0.0.1\n"
        "[DHCPv4]\nUseRoutes=no\nRouteTable=200\nClientIdentifier=mac\n"
    )
    path = f"{FOLDER}/a.network"
    assert networkd.to_dhcp({path: text}).texts == {
        path: "[Match]\nName=ens3\n[Network]\nDHCP=yes\n[DHCPv4]\nClientIdentifier=mac\n"
    }


@pytest.mark.parametrize(
    "link", ["Unmanaged=yes", "ActivationPolicy=down", "ActivationPolicy=always-down"]
)
def test_what_is_kept_off_stays_off_and_is_told(tmp_path: Path, found: GuestOS, link: str) -> None:
    one = found.model_copy(update={"macs": MACS[:1]})
    text = f"[Match]\nName=ens3\n[Link]\n{link}\n"
    guest = guest_with(tmp_path, {"a.network": text})
    interface_names.apply(guest, one, ASK)
    outcome = dhcp.apply(guest, one, ASK)
    assert guest.read_text(f"{FOLDER}/a.network") == text
    assert outcome.remedy == f"kept off, as they were: ens3 ({link})"
    assert ours(guest) == []


@needs_networkd
def test_a_file_without_a_condition_matches_nothing(tmp_path: Path, found: GuestOS) -> None:
    one = found.model_copy(update={"macs": MACS[:1]})
    texts = {"a.network": "[Match]\nName=\n[Network]\nDHCP=yes\n"}
    read = {f"{FOLDER}/a.network": texts["a.network"]}
    assert network_readers.networkd_files(tmp_path / "r", read, {"ens3": MACS[0]}) == {"ens3": ""}
    guest = guest_with(tmp_path / "guest", texts)
    dhcp.apply(guest, one, ASK)
    assert ours(guest) == ["05-tradewind-525400aa0001.network"]
