# SPDX-License-Identifier: Apache-2.0
"""Network files that nobody meant to be read: names that are paths, bombs, bytes, sizes."""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.chrooted import ChrootedGuest
from tests.fakes.debian import FakeDebian
from tradewind.errors import MorphingError
from tradewind.model.guest import GuestOS, MorphOptions
from tradewind.model.mac import read_mac
from tradewind.morphing import files
from tradewind.morphing.linux.network import (
    assignments,
    early_network,
    ifcfg,
    ifupdown,
    ifupdown_sources,
    name_pins,
    netplan,
    networkd,
    networkmanager,
    sections,
    wicked,
    yaml_document,
)
from tradewind.morphing.linux.network.program import GuestNic, NetworkProgram, is_name
from tradewind.morphing.linux.network.survey import PROGRAMS
from tradewind.morphing.linux.steps import dhcp, interface_names
from tradewind.units import MiB

OPTIONS = MorphOptions()
IFUP = {"/sbin/ifup": "", "/sbin/dhclient": ""}
PLAN = "/etc/netplan/a.yaml"


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../../etc/passwd", "a/b", "eth0\n", "e\x1b[1m", "$(id)", "x" * 16, "-v"],
)
def test_what_no_interface_is_called_is_no_name(name: str) -> None:
    assert not is_name(name)


@pytest.mark.parametrize("text", ["52:54:00:aa:00", "52:54:00:aa:00:0g", "../52:54:00:aa:00:01"])
def test_what_is_no_address_is_none(text: str) -> None:
    assert read_mac(text) == ""


def test_no_file_is_written_after_a_name_of_the_guest(tmp_path: Path, found: GuestOS) -> None:
    rules = 'ATTR{address}=="52:54:00:aa:00:01", NAME="../../../root/x"\n'
    stanza = "iface ../../root/y inet static\n    address 1.2.3.4/8\niface eth0;reboot inet dhcp\n"
    texts = IFUP | {name_pins.PERSISTENT_RULES: rules, ifupdown.MAIN: stanza}
    guest = FakeDebian(tmp_path / "guest", texts)
    before = set(guest.photograph())
    interface_names.apply(guest, found, OPTIONS)
    dhcp.apply(guest, found, OPTIONS)
    new = set(guest.photograph()) - before
    assert all(".." not in path for path in new)
    assert not list((tmp_path / "guest" / "root").glob("*"))
    assert "reboot" not in " ".join(c for c in guest.commands if c.startswith("ifquery"))


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 60)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS,
        "[" * 100_000,
        "a: " + "{b: " * 30 + "c" + "}" * 30,
        "network: {ethernets: {ens3: {<<: {addresses: [1.2.3.4/8]}}}}\n",
        "network: [\n",
        "network:\n\tethernets: {}\n",
        "network: !!python/object/apply:os.system [id]\nx: *unknown\n",
        "a: " + "x" * yaml_document.MAX_TEXT,
    ],
    ids=["laughs", "brackets", "deep", "merge", "open", "tab", "alias", "large"],
)
def test_yaml_that_is_none_or_a_bomb_is_refused(text: str) -> None:
    with pytest.raises(MorphingError, match=r"/etc/netplan/a\.yaml"):
        netplan.interfaces({PLAN: text})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a\n- b\n",
        "network: 7\n",
        "network: {ethernets: [a]}\n",
        "network: {ethernets: {ens3: 7, ens4: null, 5: {addresses: 3, match: 4}}}\n",
        "network: {bonds: {b: {interfaces: 5, parameters: [1]}}, vlans: {v: {link: {a: b}}}}\n",
    ],
)
def test_yaml_of_another_shape_is_no_network(text: str) -> None:
    netplan.interfaces({PLAN: text})
    netplan.to_dhcp({PLAN: text})


def test_an_anchor_is_kept_and_not_followed_forever() -> None:
    text = "network:\n  ethernets:\n    ens3: &x {addresses: [1.2.3.4/8]}\n    ens4: *x\n"
    new = netplan.to_dhcp({PLAN: text}).texts[PLAN]
    assert new == "network:\n  ethernets:\n    ens3: &x {dhcp4: true}\n    ens4: *x\n"


SAMPLES: dict[NetworkProgram, tuple[str, list[str]]] = {
    ifupdown: (ifupdown.MAIN, ["iface", "auto", "eth0", "inet", "static", "address", "\\", "use"]),
    networkmanager: (
        f"{networkmanager.FOLDER}/a",
        ["[connection]", "type=ethernet", "[ipv4]", "method=manual", "address1=", "route1=", "\\"],
    ),
    networkd: (
        f"{networkd.FOLDER}/a.network",
        ["[Match]", "Name=e*", "Name=eth0", "[Network]", "Address=1.2.3.4/8", "DHCP=no", "\\"],
    ),
    wicked: (
        f"{wicked.FOLDER}/ifcfg-eth0",
        ["BOOTPROTO='static'", "IPADDR='1.2.3.4/8'", "BRIDGE=yes", "STARTMODE=off", "x='"],
    ),
    ifcfg: (
        f"{ifcfg.FOLDER}/ifcfg-eth0",
        [
            "DEVICE=eth0",
            "IPADDR=1.2.3.4",
            "ONBOOT=no",
            "HWADDR=x",
            "IPV6ADDR=::1",
            'TYPE="',
            "VLAN=yes",
        ],
    ),
}


@pytest.mark.parametrize("program", SAMPLES, ids=lambda program: str(program.NAME))
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_whatever_is_rewritten_is_rewritten_once(
    program: NetworkProgram, data: st.DataObject
) -> None:
    path, pieces = SAMPLES[program]
    odd = st.text(alphabet="=[]'\"#\\ \t\r\x0b\x85é\x00x", max_size=8)
    lines = data.draw(st.lists(st.one_of(st.sampled_from(pieces), odd), max_size=12))
    separator = data.draw(st.sampled_from(["\n", "\n    ", " "]))
    texts = {path: separator.join(lines)}
    once = texts | dict(program.to_dhcp(texts).texts)
    assert program.to_dhcp(once).texts == {}
    assert not any(i.static for i in program.interfaces(once))
    for interface in program.interfaces(texts):
        assert interface.name == "" or is_name(interface.name)


@given(st.text(alphabet="[]=a \\\n\r\x0b#", max_size=60))
def test_sections_are_the_text(text: str) -> None:
    whole = text if not text or text.endswith("\n") else text + "\n"
    assert sections.joined(sections.parse(text)) == whole


@given(st.text(alphabet="A='\" \\\n\r#", max_size=60))
def test_assignments_are_read_whatever_they_are(text: str) -> None:
    assert all(isinstance(value, str) for value in assignments.values(text).values())


def test_files_with_null_bytes_stay_apart(tmp_path: Path, chroot_template: Path) -> None:
    texts = {"/etc/net/a": b"one\0/etc/passwd\0two", "/etc/net/b": b"three"}
    guest = ChrootedGuest(tmp_path / "root", chroot_template, texts)
    read = files.read(guest, "/etc/net/*")
    assert read == {"/etc/net/a": "one/etc/passwdtwo", "/etc/net/b": "three"}


def test_many_files_are_too_large_together(tmp_path: Path, chroot_template: Path) -> None:
    texts = {f"/etc/net/{number}": b"\xc3\xa9" * (MiB // 2) for number in range(9)}
    guest = ChrootedGuest(tmp_path / "root", chroot_template, texts)
    with pytest.raises(MorphingError, match="larger than 8 MiB together"):
        files.read(guest, "/etc/net/*")


def test_every_program_has_a_sample() -> None:
    assert {*SAMPLES, netplan} == set(PROGRAMS)


def test_a_link_of_the_guest_itself_is_enough() -> None:
    own = "[Match]\nMACAddress=52:54:00:AA:00:01\n[Link]\nName=lan\nMTUBytes=9000\n"
    nic = GuestNic("52:54:00:aa:00:01", "lan")
    path = "/etc/systemd/network/10-lan.link"
    present = {"/usr/lib/udev/rules.d/80-net-setup-link.rules", "/usr/bin/udevadm"}
    assert name_pins.written({path: own}, present, [nic]) == {}
    by_path = own.replace("[Link]", "Path=pci-0000:0b:00.0\n[Link]")
    assert len(name_pins.written({path: by_path}, present, [nic])) == 1


PIECES = [
    "[Match]", "MACAddress=", "52-54-00-aa-00-01", "Name=", "*", "[a", "!", "source", "$HOME", "/",
    "..", "ATTR{address}==", '"', "\\", "\n", "NAME", ":=", "GOTO=", 'LABEL="a"', "ip=", "[", "::",
    "ifname=", "\x00", "'", "{", "|",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
@settings(deadline=None, max_examples=300)
def test_whatever_is_written_is_read(text: str) -> None:
    texts = {
        "/etc/systemd/network/10-a.link": text,
        "/etc/udev/rules.d/70-a.rules": text,
        "/etc/systemd/network/a.network": text,
        ifupdown.MAIN: text,
    }
    macs = ["52:54:00:aa:00:01"]
    for name in (*name_pins.assigned(texts, (), macs).values(), *early_network.names([text])):
        assert is_name(name)
    for pattern in ifupdown_sources.patterns(texts):
        assert pattern.startswith("/")
        assert "\x00" not in pattern
    for word in early_network.with_dhcp(text).split():
        assert early_network.with_dhcp(word) == word
    networkd.interfaces(texts)


@pytest.mark.parametrize(
    "text",
    [
        "iface a inet static\n up ip " + "-n a " * 5000 + "x\n",
        "iface a inet static\n up ip route " + "1>/dev/null " * 5000 + ";\n",
        "source " + "*" * 5000 + "\n",
        "source " + "[a-z]*" * 800 + "x\n",
    ],
    ids=["options", "redirections", "stars", "classes"],
)
def test_what_is_slow_to_match_is_not(text: str) -> None:
    started = time.process_time()
    ifupdown.to_dhcp({ifupdown.MAIN: text, "/etc/network/" + "a" * 200: ""})
    assert time.process_time() - started < 5


def test_a_pattern_of_many_stars_is_not_slow() -> None:
    started = time.process_time()
    match = f"[Match]\nName={'a*' * 2000}b\nDriver={'*v' * 2000}\nPath={'*0' * 2000}x\n"
    networkd.interfaces({"/etc/systemd/network/a.network": match + "[Network]\nDHCP=yes\n"})
    rule = f'ATTR{{address}}=="{"*5" * 2000}x", NAME="a"\n'
    name_pins.assigned({"/etc/udev/rules.d/70-a.rules": rule}, (), ["52:54:00:aa:00:01"])
    assert time.process_time() - started < 5
