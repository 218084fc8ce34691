# SPDX-License-Identifier: Apache-2.0
"""The network in the initial RAM disk: what is changed, what is told, what cloud-init believes."""

from pathlib import Path

import pytest

from tests.fakes.debian import FakeDebian
from tradewind.model.guest import Family, GuestOS, MorphOptions
from tradewind.morphing.linux.cloudinit import dropin
from tradewind.morphing.linux.network import early_network, ifupdown
from tradewind.morphing.linux.steps import cloud_init, cloud_network, dhcp, interface_names

ASK = MorphOptions()
KEEP = MorphOptions(set_dhcp=False)
MAC = "52:54:00:aa:00:01"
FIXED = "ip=10.0.0.5::10.0.0.1:255.255.255.0:web:ens192:none"
GRUB = "/boot/grub/grub.cfg"
DEFAULTS = "/etc/default/grub"


def guest_with(root: Path, words: str, more: dict[str, str] | None = None) -> FakeDebian:
    files = {
        "/sbin/ifup": "",
        "/sbin/dhclient": "",
        ifupdown.MAIN: "auto ens192\niface ens192 inet dhcp\n",
        GRUB: f"linux /vmlinuz-6.1 root=/dev/vda1 {words} quiet\n",
        DEFAULTS: f'GRUB_CMDLINE_LINUX_DEFAULT="{words} quiet"\nGRUB_CMDLINE_LINUX=""\n',
    }
    return FakeDebian(root, files | (more or {}))


@pytest.mark.parametrize(
    ("word", "asking"),
    [
        (FIXED, "ip=::::web:ens192:dhcp"),
        ("ip=10.0.0.5::10.0.0.1:255.255.255.0::ens192:off:10.0.0.2", "ip=:::::ens192:dhcp"),
        ("ip=10.0.0.5:::::ens192", "ip=:::::ens192:dhcp"),
        ("ip=10.0.0.5::10.0.0.1:255.255.255.0", "ip=dhcp"),
        ("ip=10.0.0.5", "ip=dhcp"),
        ("ip=dhcp", "ip=dhcp"),
        ("ip=ens192:dhcp", "ip=ens192:dhcp"),
        ("ip=:::::ens192:dhcp", "ip=:::::ens192:dhcp"),
        ("ip=off", "ip=off"),
        ("ip=ibft", "ip=ibft"),
        ("ip=[2001:db8::5]::[2001:db8::1]:64:web:ens192:none",) * 2,
        ("vip=10.0.0.5", "vip=10.0.0.5"),
    ],
)
def test_fixed_addresses_become_questions(word: str, asking: str) -> None:
    assert (
        early_network.with_dhcp(f"root=/dev/vda1 {word} quiet") == f"root=/dev/vda1 {asking} quiet"
    )
    assert early_network.with_dhcp(f'X="{word}"') == f'X="{asking}"'


def test_the_command_line_asks_and_the_name_is_tied(tmp_path: Path, found: GuestOS) -> None:
    one = found.model_copy(update={"macs": (MAC,)})
    guest = guest_with(tmp_path, FIXED)
    assert interface_names.apply(guest, one, ASK).summary == f"ens192 is {MAC}"
    assert GRUB in dhcp.apply(guest, one, ASK).summary
    for path in (GRUB, DEFAULTS):
        assert "ip=::::web:ens192:dhcp quiet" in guest.read_text(path)
        assert FIXED in guest.read_text(f"/var/backups/tradewind{path}")
    assert not dhcp.apply(guest, one, ASK).changed


def test_a_kept_address_is_told(tmp_path: Path, found: GuestOS) -> None:
    one = found.model_copy(update={"macs": (MAC,)})
    guest = guest_with(tmp_path, f"{FIXED} rd.znet=qeth,0.0.0600,0.0.0601,0.0.0602,layer2=1")
    remedy = interface_names.apply(guest, one, KEEP).remedy
    assert f"the kernel's command line gives a fixed address: {FIXED}" in remedy
    assert "names NICs of a mainframe: rd.znet=qeth,0.0.0600" in remedy
    assert FIXED in guest.read_text(GRUB)


def test_what_cannot_ask_is_told(tmp_path: Path, found: GuestOS) -> None:
    one = found.model_copy(update={"macs": (MAC,)})
    word = "ip=[2001:db8::5]::[2001:db8::1]:64:web:ens192:none"
    conf = {"/etc/initramfs-tools/conf.d/net": "IP=[2001:db8::5]::[2001:db8::1]:64::ens192:off\n"}
    guest = guest_with(tmp_path, word, conf)
    interface_names.apply(guest, one, ASK)
    remedy = dhcp.apply(guest, one, ASK).remedy
    assert f"the kernel's command line gives a fixed address: {word}" in remedy
    assert "/etc/initramfs-tools/conf.d/net gives a fixed address in the initial RAM disk" in remedy


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_the_file_of_initramfs_tools_asks_too(tmp_path: Path, found: GuestOS, quote: str) -> None:
    one = found.model_copy(update={"macs": (MAC,)})
    path = "/etc/initramfs-tools/initramfs.conf"
    text = (
        f"DEVICE=\nIP={quote}10.0.0.5::10.0.0.1:255.255.255.0::ens192:off{quote} # for dropbear\n"
    )
    guest = guest_with(tmp_path, "", {path: text})
    interface_names.apply(guest, one, ASK)
    outcome = dhcp.apply(guest, one, ASK)
    assert guest.read_text(path) == f"DEVICE=\nIP={quote}:::::ens192:dhcp{quote} # for dropbear\n"
    assert path in outcome.summary
    assert "fixed address" not in outcome.remedy
    assert not dhcp.apply(guest, one, ASK).changed


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("ip=ens3:dhcp", ("ens3",)),
        ("bond=bond0:ens3,ens4:mode=1 ip=bond0:dhcp", ("ens3", "ens4")),
        ("vlan=ens3.5:ens3 ip=ens3.5:dhcp", ("ens3",)),
        ("bridge=br0:ens3 bootdev=ens4", ("ens3", "ens4")),
        ("ip=dhcp", ()),
        ("ip=10.0.0.5:10.0.0.6", ()),
    ],
)
def test_names_of_the_initial_ram_disk_are_kept(words: str, names: tuple[str, ...]) -> None:
    assert early_network.names([words]) == names


def test_ifname_ties_a_name(tmp_path: Path, found: GuestOS) -> None:
    words = f"ifname=lan:{found.macs[1].upper()} ip=lan:dhcp"
    stanzas = {ifupdown.MAIN: "iface lan inet static\niface wan inet static\n"}
    guest = guest_with(tmp_path, words, stanzas)
    summary = interface_names.apply(guest, found, KEEP).summary
    assert summary == f"lan is {found.macs[1]}, wan is {found.macs[0]}"


@pytest.mark.parametrize("words", ["ip=dhcp", "ip6=auto", FIXED, "network-config=e30=", ""])
def test_cloud_init_does_not_take_the_network_from_the_start(
    tmp_path: Path, found: GuestOS, words: str
) -> None:
    guest = guest_with(tmp_path, words)
    cloud_init.apply(guest, found, KEEP)
    assert guest.exists(dropin.NO_NETWORK) == bool(words)
    assert not cloud_init.apply(guest, found, KEEP).changed


def test_an_unknown_family_keeps_its_network_from_cloud_init(
    tmp_path: Path, found: GuestOS
) -> None:
    other = found.model_copy(update={"family": Family.UNKNOWN})
    assert cloud_network.applies_to(other, ASK)
    assert not cloud_network.applies_to(found, ASK)
    guest = guest_with(tmp_path, "ip=dhcp", {"/etc/cloud/cloud.cfg": "users: [default]\n"})
    assert cloud_network.apply(guest, other, ASK).changed
    assert "network: {config: disabled}" in guest.read_text(dropin.FILE)
    assert guest.exists(dropin.NO_NETWORK)
    assert not cloud_network.apply(guest, other, ASK).changed
    assert not any("apt" in command or "systemctl" in command for command in guest.commands)


def test_an_unknown_family_without_cloud_init_gets_none(tmp_path: Path, found: GuestOS) -> None:
    other = found.model_copy(update={"family": Family.UNKNOWN})
    guest = guest_with(tmp_path, "")
    assert cloud_network.apply(guest, other, ASK).summary == "there is no cloud-init"
    assert guest.list("/etc/cloud") == ()
