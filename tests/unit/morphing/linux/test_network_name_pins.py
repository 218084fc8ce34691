# SPDX-License-Identifier: Apache-2.0
"""What .link files and udev rules call a NIC, judged by udev itself."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.debian import FakeDebian
from tests.unit.morphing.linux import network_readers
from tests.unit.morphing.linux.network_readers import needs_udev
from tradewind.errors import MorphingError
from tradewind.model.guest import GuestOS, MorphOptions
from tradewind.morphing.linux.network import ifupdown, name_pins
from tradewind.morphing.linux.network.name_pins import OUR_RULES
from tradewind.morphing.linux.steps import interface_names

KEEP = MorphOptions(set_dhcp=False)
MACS = ("52:54:00:aa:00:01", "52:54:00:aa:00:02")
NICS = {"eth0": MACS[0], "eth1": MACS[1]}
PRESENT = {"/usr/bin/udevadm", "/usr/lib/udev/rules.d/80-net-setup-link.rules"}
LINKS = "/etc/systemd/network"
RULES = "/etc/udev/rules.d"

LINK = "[Match]\nMACAddress={}\n[Link]\nName={}\n".format
FILES = {
    "blanks": {f"{LINKS}/10-a.link": f"[Match]\n  MACAddress = {MACS[0]} \n[Link]\n Name = lan\n"},
    "hyphens": {f"{LINKS}/10-a.link": LINK("52-54-00-AA-00-01", "lan")},
    "dots": {f"{LINKS}/10-a.link": LINK("5254.00aa.0001", "lan")},
    "list": {f"{LINKS}/10-a.link": LINK(f"00:00:00:00:00:09 {MACS[1]}", "lan")},
    "two lines": {f"{LINKS}/10-a.link": LINK(f"00:00:00:00:00:09\nMACAddress={MACS[1]}", "lan")},
    "forgotten": {f"{LINKS}/10-a.link": LINK(f"{MACS[0]}\nMACAddress=\nMACAddress={MACS[1]}", "a")},
    "drop-in": {
        f"{LINKS}/10-a.link": f"[Match]\nMACAddress={MACS[0]}\n",
        f"{LINKS}/10-a.link.d/name.conf": "[Link]\nName=lan\n",
    },
    "drop-in matches": {
        f"{LINKS}/10-a.link": "[Match]\nOriginalName=*\n[Link]\nName=lan\n",
        f"{LINKS}/10-a.link.d/mac.conf": f"[Match]\nMACAddress={MACS[1]}\n",
    },
    "other order": {f"{LINKS}/10-a.link": f"[Link]\nName=lan\n[Match]\nMACAddress={MACS[0]}\n"},
    "continued": {f"{LINKS}/10-a.link": LINK(f"00:00:00:00:00:09 \\\n  {MACS[0]}", "lan")},
    "first counts": {
        f"{LINKS}/10-a.link": LINK(MACS[0], "first"),
        f"{LINKS}/20-b.link": LINK(MACS[0], "second"),
    },
    "all, then one": {
        f"{LINKS}/10-a.link": "[Match]\nOriginalName=*\n[Link]\nMTUBytes=1400\n",
        f"{LINKS}/20-b.link": LINK(MACS[0], "lan"),
    },
    "no match": {
        f"{LINKS}/10-a.link": "[Link]\nName=all\n",
        f"{LINKS}/20-b.link": LINK(MACS[0], "lan"),
    },
    "commented": {f"{LINKS}/10-a.link": f"#{LINK(MACS[0], 'x')}; Name=y\n"},
    "kernel's name": {f"{LINKS}/10-a.link": "[Match]\nOriginalName=eth1\n[Link]\nName=lan\n"},
    "not the kernel's": {f"{LINKS}/10-a.link": "[Match]\nOriginalName=!eth0\n[Link]\nName=lan\n"},
    "old driver": {
        f"{LINKS}/10-a.link": f"[Match]\nMACAddress={MACS[0]}\nDriver=vmxnet3\n[Link]\nName=x\n",
        f"{LINKS}/20-b.link": LINK(MACS[0], "lan"),
    },
    "policy first": {
        f"{LINKS}/10-a.link": f"[Match]\nMACAddress={MACS[0]}\n[Link]\nNamePolicy=keep\nName=x\n"
    },
    "rule": {f"{RULES}/70-a.rules": f'SUBSYSTEM=="net", ATTR{{address}}=="{MACS[0]}", NAME="a"\n'},
    "rule, other order": {
        f"{RULES}/70-a.rules": f'NAME="lan", ATTR{{address}}=="{MACS[0]}", SUBSYSTEM=="net"\n'
    },
    "rule, blanks": {f"{RULES}/70-a.rules": f'ATTR{{address}} == "{MACS[0]}" , NAME = "lan"\n'},
    "rule, no commas": {f"{RULES}/70-a.rules": f'ATTR{{address}}=="{MACS[0]}" NAME="lan"\n'},
    "rule, capitals": {f"{RULES}/70-a.rules": f'ATTR{{address}}=="{MACS[0].upper()}", NAME="a"\n'},
    "rule, alternatives": {
        f"{RULES}/70-a.rules": f'ATTR{{address}}=="00:00:00:00:00:09|{MACS[1]}", NAME="lan"\n'
    },
    "rule, pattern": {f"{RULES}/70-a.rules": 'ATTR{address}=="52:54:*:02", NAME="lan"\n'},
    "rule, not": {f"{RULES}/70-a.rules": 'KERNEL=="eth*", ATTR{address}!="*:01", NAME="lan"\n'},
    "rule, continued": {
        f"{RULES}/70-a.rules": f'ATTR{{address}}=="{MACS[0]}", \\\n# why\n   NAME="lan"\n'
    },
    "rule, kernel's name": {f"{RULES}/70-a.rules": 'KERNEL=="eth1", NAME="lan"\n'},
    "rule, last": {
        f"{RULES}/70-a.rules": f'ATTR{{address}}=="{MACS[0]}", NAME="first"\n',
        f"{RULES}/71-b.rules": f'ATTR{{address}}=="{MACS[0]}", NAME="second"\n',
    },
    "rule, final": {
        f"{RULES}/70-a.rules": f'ATTR{{address}}=="{MACS[0]}", NAME:="first"\n',
        f"{RULES}/90-b.rules": f'ATTR{{address}}=="{MACS[0]}", NAME="second"\n',
    },
    "rule over link": {
        f"{RULES}/70-a.rules": f'ATTR{{address}}=="{MACS[0]}", NAME="ruled"\n',
        f"{LINKS}/10-a.link": LINK(MACS[0], "linked"),
    },
    "late rule over link": {
        f"{RULES}/90-a.rules": f'ATTR{{address}}=="{MACS[0]}", NAME="ruled"\n',
        f"{LINKS}/10-a.link": LINK(MACS[0], "linked"),
    },
    "rule, unless named": {
        f"{RULES}/70-a.rules": f'ATTR{{address}}=="{MACS[0]}", NAME="first"\n'
        'SUBSYSTEM=="net", NAME=="", KERNEL=="eth*", NAME="second"\n'
    },
    "rule, jump": {
        f"{RULES}/70-a.rules": 'SUBSYSTEM!="net", GOTO="end"\nKERNEL=="eth0", GOTO="end"\n'
        'KERNEL=="eth*", NAME="lan"\nLABEL="end"\n'
    },
    "rule, broken": {
        f"{RULES}/70-a.rules": f'ATTR{{address}}=="{MACS[0]}", NAME=lan\nKERNEL=="eth1", NAME="b"\n'
    },
    "rule, comment": {f"{RULES}/70-a.rules": f'# ATTR{{address}}=="{MACS[0]}", NAME="lan"\n'},
    "rule, old slot": {f"{RULES}/70-a.rules": 'KERNELS=="0000:0b:00.0", NAME="lan"\n'},
}


def given_names(texts: dict[str, str]) -> dict[str, str]:
    names = name_pins.assigned(texts, PRESENT, MACS)
    return {mac: names.get(mac, kernel) for kernel, mac in NICS.items()}


@needs_udev
@pytest.mark.parametrize("case", FILES)
def test_udev_names_a_nic_as_we_say(tmp_path: Path, case: str) -> None:
    assert network_readers.udev_names(tmp_path, FILES[case], NICS) == given_names(FILES[case])


CONDITIONS = st.sampled_from(
    [f"MACAddress={MACS[0]}", f"MACAddress = {MACS[1].upper()}", "MACAddress=", "OriginalName=eth*",
     "OriginalName=!eth0", "OriginalName=eth1 ens*", "Driver=vmxnet3", "Type=ether",
     "Virtualization=vmware"]
)  # fmt: skip
LINK_FILES = st.builds(
    lambda match, name: "[Match]\n" + "\n".join(match) + f"\n[Link]\n{name}\n",
    st.lists(CONDITIONS, min_size=1, max_size=3),
    st.sampled_from(
        ["Name=lan", "Name = wan", "MTUBytes=1400", "NamePolicy=kernel database\nName=q"]
    ),
)
RULE_TOKENS = st.sampled_from(
    ['SUBSYSTEM=="net"', 'ACTION=="add|change"', f'ATTR{{address}}=="{MACS[0]}"', 'KERNEL=="eth1"',
     'KERNEL!="eth0"', 'NAME=="?*"', 'ATTR{address}=="*:0[12]"', 'ATTR{type}=="1"', 'GOTO="end"']
)  # fmt: skip
RULE_LINES = st.builds(
    lambda tokens, name, comma: comma.join([*tokens, name]),
    st.lists(RULE_TOKENS, min_size=1, max_size=3, unique=True),
    st.sampled_from(['NAME="r1"', 'NAME:="r2"', 'NAME = "r3"']),
    st.sampled_from([", ", " ", ","]),
)


@needs_udev
@given(
    links=st.lists(LINK_FILES, max_size=2),
    rules=st.lists(RULE_LINES, max_size=3),
    number=st.sampled_from(["70", "90"]),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_udev_names_a_nic_as_we_say_whatever_is_written(
    tmp_path_factory: pytest.TempPathFactory, links: list[str], rules: list[str], number: str
) -> None:
    texts = {f"{LINKS}/{n}0-a.link": text for n, text in enumerate(links, 1)}
    texts[f"{RULES}/{number}-a.rules"] = "\n".join([*rules, 'LABEL="end"', ""])
    said = network_readers.udev_names(tmp_path_factory.mktemp("udev"), texts, {"eth0": MACS[0]})
    names = name_pins.assigned(texts, PRESENT, MACS)
    assert said == {MACS[0]: names.get(MACS[0], "eth0")}


@pytest.mark.parametrize(
    "texts",
    [
        {f"{LINKS}/10-a.link": f"[Match]\nMACAddress = {MACS[1]}\n[Link]\nName = ens1\n"},
        {f"{LINKS}/10-a.link": LINK(MACS[1].replace(":", "-"), "ens1")},
        {f"{RULES}/70-a.rules": f'NAME="ens1", ATTR{{address}}=="{MACS[1]}"\n'},
        {
            f"{LINKS}/10-a.link": f"[Match]\nMACAddress={MACS[1]}\n[Link]\nName=ens1\n",
            f"{LINKS}/10-a.link.d/a.conf": "[Match]\nPath=pci-0000:0b:00.0\n",
        },
        {f"{RULES}/70-a.rules": f'KERNELS=="0000:0b:00.0", ATTR{{address}}=="{MACS[1]}", '
         'NAME="ens1"\n'},
    ],
)  # fmt: skip
def test_nics_are_not_swapped_against_the_guests_own_files(
    tmp_path: Path, found: GuestOS, texts: dict[str, str]
) -> None:
    stanzas = {ifupdown.MAIN: "iface ens1 inet static\niface ens2 inet static\n", "/sbin/ifup": ""}
    guest = FakeDebian(tmp_path, stanzas | texts)
    outcome = interface_names.apply(guest, found, KEEP)
    assert outcome.summary == f"ens1 is {MACS[1]}, ens2 is {MACS[0]}"
    assert not interface_names.apply(guest, found, KEEP).changed


def test_where_a_link_for_all_comes_first_a_rule_gives_the_name(
    tmp_path: Path, found: GuestOS
) -> None:
    texts = {
        ifupdown.MAIN: "iface ens1 inet static\niface ens2 inet static\n",
        "/sbin/ifup": "",
        f"{LINKS}/00-all.link": "[Match]\nOriginalName=*\n[Link]\nMTUBytes=1400\n",
    }
    guest = FakeDebian(tmp_path, texts)
    assert interface_names.apply(guest, found, KEEP).changed
    assert 'NAME="ens2"' in guest.read_text(OUR_RULES)
    assert guest.list(LINKS) == ("00-all.link",)


def test_a_later_rule_of_the_guest_is_an_error(tmp_path: Path, found: GuestOS) -> None:
    texts = {
        ifupdown.MAIN: "iface ens1 inet static\niface ens2 inet static\n",
        "/sbin/ifup": "",
        f"{RULES}/90-late.rules": 'SUBSYSTEM == "net", DRIVERS == "virtio_net", NAME = "other"\n',
    }
    with pytest.raises(MorphingError, match="gets the name other from another file"):
        interface_names.apply(FakeDebian(tmp_path, texts), found, KEEP)


@pytest.mark.parametrize(
    "kept",
    [
        {f"{RULES}/70-a.rules": 'ATTR{address}=="00:50:56:00:00:09", NAME="eth0"\n'},
        {f"{LINKS}/10-a.link": LINK("00-50-56-00-00-09", "eth0")},
    ],
)
def test_a_name_of_a_nic_that_is_gone_is_given_to_no_other(
    tmp_path: Path, found: GuestOS, kept: dict[str, str]
) -> None:
    stanzas = "".join(f"iface eth{number} inet dhcp\n" for number in range(3))
    guest = FakeDebian(tmp_path, {"/sbin/ifup": "", ifupdown.MAIN: stanzas} | kept)
    assert (
        interface_names.apply(guest, found, KEEP).summary == f"eth1 is {MACS[0]}, eth2 is {MACS[1]}"
    )
