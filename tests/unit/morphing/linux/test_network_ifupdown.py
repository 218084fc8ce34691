# SPDX-License-Identifier: Apache-2.0
"""ifupdown's files, judged by the commands that ifup itself would run."""

from pathlib import Path

import pytest

from tests.fakes.debian import FakeDebian
from tests.unit.morphing.linux import network_readers
from tests.unit.morphing.linux.network_readers import needs_ifupdown
from tradewind.model.guest import GuestOS, MorphOptions
from tradewind.morphing.linux.network import ifupdown, ifupdown_sources
from tradewind.morphing.linux.network.ifupdown import MAIN
from tradewind.morphing.linux.network.survey import read
from tradewind.morphing.linux.steps import dhcp, interface_names

ASK = MorphOptions()
MAC = "52:54:00:aa:00:01"
RUNS = {"/sbin/ifup": "", "/sbin/dhclient": ""}
FIXED = "iface eth0 inet static\n    address 10.0.0.5/24\n    gateway 10.0.0.1\n"

INCLUDING = {
    "one more deep": {
        MAIN: "source interfaces.d/*.cfg\n",
        "/etc/network/interfaces.d/a.cfg": "source deep/*\n",
        "/etc/network/interfaces.d/deep/b": FIXED,
    },
    "several on a line": {
        MAIN: "source a.cfg /etc/network/b.cfg\n",
        "/etc/network/a.cfg": "auto eth0\n",
        "/etc/network/b.cfg": FIXED,
    },
    "quoted": {MAIN: "source 'a b.cfg'\n", "/etc/network/a b.cfg": FIXED},
    "a class": {MAIN: "source interfaces.d/[a-c]*\n", "/etc/network/interfaces.d/b": FIXED},
    "continued": {
        MAIN: "source x.cfg \\\n  /etc/network/b.cfg\n",
        "/etc/network/x.cfg": "auto eth0\n",
        "/etc/network/b.cfg": FIXED,
    },
    "folders": {MAIN: "source-directory d*\n", "/etc/network/d1/b": FIXED},
    "folder in a file": {
        MAIN: "source a.cfg\n",
        "/etc/network/a.cfg": "source-directory more\n",
        "/etc/network/more/b": FIXED,
    },
    "a wild folder": {MAIN: "source */b.cfg\n", "/etc/network/d1/b.cfg": FIXED},
    "above": {MAIN: "source ../net2/b\n", "/etc/net2/b": FIXED},
    "in a circle": {
        MAIN: "source a.cfg\n",
        "/etc/network/a.cfg": f"source a.cfg\n{FIXED}",
    },
}
NOT_INCLUDED = {
    "relative to its own file": {
        MAIN: "source interfaces.d/*.cfg\n",
        "/etc/network/interfaces.d/a.cfg": "source b\n",
        "/etc/network/b": FIXED,
    },
    "second word of a line": {
        MAIN: "source a.cfg b.cfg\n",
        "/etc/network/a.cfg": "auto eth0\n",
        "/etc/network/b.cfg": FIXED,
    },
    "hidden": {MAIN: "source interfaces.d/*\n", "/etc/network/interfaces.d/.b": FIXED},
    "no such name": {MAIN: "source-directory d\n", "/etc/network/d/b.cfg": FIXED},
}


@needs_ifupdown
@pytest.mark.parametrize("case", INCLUDING)
def test_included_files_are_found_and_ask(tmp_path: Path, found: GuestOS, case: str) -> None:
    one = found.model_copy(update={"macs": (MAC,)})
    guest = FakeDebian(tmp_path / "guest", RUNS | INCLUDING[case])
    assert interface_names.apply(guest, one, ASK).summary == f"eth0 is {MAC}"
    assert dhcp.apply(guest, one, ASK).changed
    if case != "in a circle":  # ifup itself goes round until it has no more descriptors
        commands = network_readers.ifup(tmp_path / "read", read(guest), "eth0")
        assert "ip addr add" not in commands
        assert "DHCP client" in commands or "dhclient" in commands


@needs_ifupdown
@pytest.mark.parametrize("case", NOT_INCLUDED)
def test_files_that_are_not_included_are_left_alone(tmp_path: Path, case: str) -> None:
    files = NOT_INCLUDED[case]
    guest = FakeDebian(tmp_path / "guest", RUNS | files)
    assert ifupdown.interfaces(read(guest)) == ()
    told = network_readers.ifup(
        tmp_path / "read", files | {MAIN: files[MAIN] + "auto eth0\n"}, "-a"
    )
    assert "unknown interface eth0" in told


def test_what_only_a_shell_could_name_is_told(tmp_path: Path, found: GuestOS) -> None:
    one = found.model_copy(update={"macs": (MAC,)})
    guest = FakeDebian(tmp_path, RUNS | {MAIN: f"source $HOME/net ~/x `ls`\n{FIXED}"})
    interface_names.apply(guest, one, ASK)
    remedy = dhcp.apply(guest, one, ASK).remedy
    assert f"{MAIN}: source $HOME/net; {MAIN}: source ~/x" in remedy
    assert ifupdown_sources.files(read(guest)) == (MAIN,)


@needs_ifupdown
def test_what_starts_an_alias_in_another_file_goes_with_it(tmp_path: Path) -> None:
    texts = {
        MAIN: "auto lo eth0 eth0:1\niface lo inet loopback\nsource interfaces.d/*\n",
        "/etc/network/interfaces.d/a": FIXED + "iface eth0:1 inet static\n  address 10.0.0.6\n",
        "/etc/network/interfaces.d/b": "iface eth0 inet static\n  address 10.0.0.7/24\n",
    }
    new = texts | dict(ifupdown.to_dhcp(texts).texts)
    assert new[MAIN].startswith("auto lo eth0\n")
    commands = network_readers.ifup(tmp_path, new, "-a")
    assert "unknown interface" not in commands
    assert "ip addr add 10." not in commands
    assert commands.count("DHCP client") + commands.count("dhclient -4") >= 1
    assert "iface" not in new["/etc/network/interfaces.d/b"]
    assert ifupdown.to_dhcp(new).texts == {}


@needs_ifupdown
@pytest.mark.parametrize(
    "route",
    [
        "ip -family inet6 route add 2001:db8::/32 via 2001:db8:1::1",
        "ip -f inet route add 10.9.0.0/16 via 10.0.0.9",
        "ip -6 r a default via 2001:db8::1 || true",
        "/sbin/ip -4 -s route replace default via 10.0.0.1 >/dev/null 2>&1 || :",
        "ip rule add from 10.0.0.0/8 table 200",
        "ip ru del from 10.0.0.0/8 table 200",
        "route -A inet6 add default gw 2001:db8::1",
        "ip -n blue route add default via 10.0.0.1",
    ],
)
def test_commands_for_routes_alone_go_with_the_addresses(tmp_path: Path, route: str) -> None:
    rewritten = ifupdown.to_dhcp({MAIN: f"{FIXED}    up {route}\n    up echo kept\n"})
    assert rewritten.look == ("commands that may rely on the old addresses: up echo kept",)
    commands = network_readers.ifup(tmp_path, rewritten.texts, "eth0")
    assert route not in commands
    assert "echo kept" in commands


@pytest.mark.parametrize(
    "command",
    [
        "ip route add default via 10.0.0.1 && /usr/local/sbin/tell",
        "ip route add default via 10.0.0.1; /usr/local/sbin/tell",
        "ip route show | /usr/local/sbin/tell",
        "ip route add default via `cat /etc/gateway`",
        "ip link set eth0 mtu 9000",
        "/usr/local/sbin/route-everything now",
        "ip route add default via 10.0.0.1 || /usr/local/sbin/tell",
    ],
)
def test_commands_that_do_more_stay_and_are_told(command: str) -> None:
    rewritten = ifupdown.to_dhcp({MAIN: f"{FIXED}    up {command}\n"})
    assert f"up {command}" in rewritten.texts[MAIN]
    assert f"up {command}" in rewritten.look[0]


@pytest.mark.parametrize(
    "stanza",
    [
        "iface wg0 inet static\n  address 10.9.0.1/24\n",
        "iface office inet static\n  address 10.9.0.1/24\n  pre-up ip link add office type dummy\n",
        "iface office inet static\n  address 10.9.0.1/24\n  pre-up ip -d link add dev office "
        "type wireguard\n",
        "iface office inet tunnel\n  mode gre\n  address 10.9.0.1\n  endpoint 1.2.3.4\n",
        "iface office inet6 v4tunnel\n  address 2001:db8::2\n  endpoint 1.2.3.4\n",
        "iface office inet static\n  address 10.9.0.1/24\n  vrf-table 200\n",
        "iface office inet static\n  address 10.9.0.1/24\n  vxlan-id 7\n",
        "iface office\n  use wireguard\n  address 10.9.0.1/24\n",
        "iface dummy0 inet static\n  address 10.9.0.1/24\n",
        "iface tun0 inet static\n  address 10.9.0.1/24\n",
    ],
)
def test_what_no_dhcp_server_serves_keeps_its_addresses(
    tmp_path: Path, found: GuestOS, stanza: str
) -> None:
    one = found.model_copy(update={"macs": (MAC,)})
    guest = FakeDebian(tmp_path, RUNS | {MAIN: stanza + FIXED})
    assert interface_names.apply(guest, one, ASK).summary == f"eth0 is {MAC}"
    dhcp.apply(guest, one, ASK)
    assert guest.read_text(MAIN).startswith(stanza)
    assert "iface eth0 inet dhcp" in guest.read_text(MAIN)


@pytest.mark.parametrize(
    "stanza",
    [
        "  pre-up ip link add br0 type bridge\n",
        "  pre-up brctl addbr br0\n",
        "  bridge-ports eth0\n",
    ],
)
def test_what_commands_build_upon_nics_asks(stanza: str) -> None:
    text = f"iface lan inet static\n  address 10.0.0.5/24\n{stanza}"
    assert ifupdown.to_dhcp({MAIN: text}).texts[MAIN] == f"iface lan inet dhcp\n{stanza}"
    assert not any(i.hardware for i in ifupdown.interfaces({MAIN: text}) if i.name == "lan")


@pytest.mark.parametrize("zero", ["0.0.0.0", "0.0.0.0/0"])
def test_a_port_with_the_address_of_none_stays_a_port(zero: str) -> None:
    text = (
        f"iface eth0 inet static\n  address {zero}\n"
        "iface br0 inet static\n  bridge_ports eth0\n  address 10.0.0.5/24\n"
    )
    new = ifupdown.to_dhcp({MAIN: text}).texts[MAIN]
    assert new.startswith(f"iface eth0 inet static\n  address {zero}\niface br0 inet dhcp\n")
    alone = ifupdown.to_dhcp({MAIN: f"iface eth0 inet static\n  address {zero}\n"}).texts[MAIN]
    assert alone == "iface eth0 inet dhcp\n"


STARTED = {
    "by name": "auto eth0\n",
    "in another file": "source more\n",
    "when it is there": "allow-hotplug eth1 eth0\n",
    "by a pattern": "auto /eth*\n",
    "by another name": "auto lan=eth0\n",
}


@needs_ifupdown
@pytest.mark.parametrize("case", [*STARTED, "not at all"])
def test_a_nic_that_nothing_starts_is_told(tmp_path: Path, found: GuestOS, case: str) -> None:
    one = found.model_copy(update={"macs": (MAC,)})
    texts = {MAIN: STARTED.get(case, "auto lo\n") + FIXED, "/etc/network/more": "auto eth0\n"}
    guest = FakeDebian(tmp_path / "guest", RUNS | texts)
    interface_names.apply(guest, one, ASK)
    remedy = dhcp.apply(guest, one, ASK).remedy
    told = "kept off, as they were: eth0 (no auto or allow-hotplug)"
    assert remedy == (told if case == "not at all" else "")
    assert "iface eth0 inet dhcp" in guest.read_text(MAIN)
    if case in {"by name", "in another file", "not at all"}:
        commands = network_readers.ifup(tmp_path / "read", read(guest), "-a")
        assert ("DHCP client" in commands or "dhclient" in commands) == (case != "not at all")


LOGICAL = {
    "named where it starts": f"auto eth0=office\n{FIXED.replace('eth0', 'office')}",
    "chosen by a script": (
        "auto eth0\nmapping eth0\n    script /bin/echo\n    map 52:54:00:aa:00:01 office\n"
        + FIXED.replace("eth0", "office")
    ),
}


@pytest.mark.parametrize("text", LOGICAL.values(), ids=LOGICAL)
def test_a_logical_interface_is_no_name_of_a_nic(tmp_path: Path, found: GuestOS, text: str) -> None:
    """Its NIC is tied to the name that is started; to be called "office" would leave it out."""
    one = found.model_copy(update={"macs": (MAC,)})
    guest = FakeDebian(tmp_path, RUNS | {MAIN: text})
    assert interface_names.apply(guest, one, ASK).summary == f"eth0 is {MAC}"
    dhcp.apply(guest, one, ASK)
    changed = guest.read_text(MAIN)
    assert "iface office inet dhcp" in changed
    assert "iface eth0" not in changed
    assert not dhcp.apply(guest, one, ASK).changed


@needs_ifupdown
def test_ifup_configures_the_nic_of_a_logical_interface(tmp_path: Path) -> None:
    texts = {MAIN: LOGICAL["named where it starts"]}
    commands = network_readers.ifup(tmp_path, texts, "-a")
    assert "dev eth0 label eth0" in commands
    (configured,) = ifupdown.interfaces(texts)
    assert (configured.name, configured.static, configured.off) == ("eth0", True, "")
