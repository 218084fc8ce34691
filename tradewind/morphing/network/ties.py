# SPDX-License-Identifier: Apache-2.0
"""What ties the name of an interface to the MAC address of its NIC: .link files, or udev rules.

A NIC that moves from one PCI slot to another (enp0s3 → enp1s0) or gets another driver is renamed
by udev, and every file that names it is void. Formats: systemd.link(5), udev(7).
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from tradewind.morphing.network import sections
from tradewind.morphing.network.program import Nic, address, compact, is_name
from tradewind.morphing.network.sections import Section

PERSISTENT_RULES: Final = "/etc/udev/rules.d/70-persistent-net.rules"
RULES: Final = "/etc/udev/rules.d"
LINKS: Final = "/etc/systemd/network"
OUR_RULES: Final = f"{RULES}/70-tradewind-net.rules"
OUR_LINKS: Final = f"{LINKS}/10-tradewind-"
DRACUT: Final = "/etc/dracut.conf.d/90-tradewind-network.conf"
PATTERNS: Final = (f"{RULES}/*.rules", f"{LINKS}/*.link", DRACUT)

_SETUP_LINK: Final = "80-net-setup-link.rules"
_MASK: Final = f"{RULES}/{_SETUP_LINK}"
_SETUP_LINKS: Final = (f"/usr/lib/udev/rules.d/{_SETUP_LINK}", f"/lib/udev/rules.d/{_SETUP_LINK}")
_DRACUTS: Final = ("/usr/bin/dracut", "/usr/sbin/dracut", "/sbin/dracut")
_UDEVS: Final = (
    "/usr/bin/udevadm", "/bin/udevadm", "/usr/sbin/udevadm", "/sbin/udevadm", "/sbin/udevd",
)  # fmt: skip
FACTS: Final = (_MASK, *_SETUP_LINKS, *_DRACUTS, *_UDEVS)

# Conditions of .link files that hold for a NIC of the new machine as well.
_LASTING: Final = {"MACAddress", "PermanentMACAddress", "Type", "Host", "Architecture"}
# ATTR{address}=="52:54:00:…", …, NAME="eth0"
_RULE: Final = re.compile(
    r'(?:ATTR|SYSFS)\{address\}=="([0-9a-fA-F:]{17})"[^\n]*\bNAME:?="([^"%$]+)"'
)
_LINK_MAC: Final = re.compile(r"^(?:Permanent)?MACAddress=([0-9a-fA-F:]{17})\s*$", re.MULTILINE)
_LINK_NAME: Final = re.compile(r"^Name=(\S+)", re.MULTILINE)

# Path: interfaces without hardware (bonds, bridges, VLANs) have the same address and no bus path.
# One pattern for "pci-0000:01:00.0" and what udev before 230 wrote, "virtio-pci-0000:01:00.0":
# lists of patterns are newer than .link files.
# PermanentMACAddress= would say so too, but a systemd before 245 ignores it and matches everything.
_LINK: Final = """\
# Written by Tradewind: the NIC keeps its name, whatever its slot and driver.
[Match]
MACAddress={mac}
Path=*pci-*

[Link]
Name={name}
"""
# DRIVERS: as with Path above.
_RULE_FILE: Final = "# Written by Tradewind: a NIC keeps its name, whatever its slot and driver.\n"
_RULE_LINE: Final = (
    'SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{{address}}=="{mac}", ATTR{{type}}=="1", '
    'NAME="{name}"\n'
)
# systemd's udev renames no NIC to a name that is in use ("File exists", seen with 252): eth0 and
# eth1 cannot trade places, whatever files say. Here each gives up its name first and waits for the
# other to do so, as older udevs did by themselves; with this rule they were seen to trade.
# initramfs-tools puts such rules into its images, where there may be no `ip`: nothing waits then.
_MAKE_ROOM: Final = (
    'SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{{address}}=="{mac}", ATTR{{type}}=="1", '
    'KERNEL!="{name}", PROGRAM="/bin/sh -c \'PATH=/usr/sbin:/usr/bin:/sbin:/bin; '
    "ip link set dev $name name tw{hex} && n=0 && while [ -e /sys/class/net/{name} ] && "
    "[ $$n -lt 100 ]; do sleep 0.1; n=$$((n + 1)); done'\"\n"
)
# udev in the initial RAM disk names NICs first, and before systemd 240 nobody renames them again.
_DRACUT_FILE: Final = """\
# Written by Tradewind: NICs have their names from the start.
install_items+=" {paths} "
"""


def known(texts: Mapping[str, str]) -> dict[str, str]:
    """Map MAC addresses to the names that udev gives them (maybe by a file of ours)."""
    tied: dict[str, str] = {}
    # Of .link files the first that fits counts; of rules, the last.
    for path in sorted((p for p in texts if p.endswith(".link")), reverse=True):
        mac, name = _LINK_MAC.search(texts[path]), _LINK_NAME.search(texts[path])
        if mac and name:
            tied[address(mac[1])] = name[1]
    for path in sorted(p for p in texts if p.endswith(".rules")):
        tied |= dict(_rules(texts[path]))
    return {mac: name for mac, name in tied.items() if mac and is_name(name)}


def given(
    texts: Mapping[str, str], present: Collection[str], macs: Sequence[str]
) -> dict[str, str]:
    """Map MAC addresses to names that are certain: udev's, or the kernel's where there is none."""
    if any(path in present for path in _UDEVS):
        return known(texts)
    return {mac: f"eth{number}" for number, mac in enumerate(macs)}


def by_links(texts: Mapping[str, str], present: Collection[str]) -> bool:
    """Whether the guest's udev reads .link files: it is of systemd, and nobody switched that off.

    /etc/udev/rules.d/80-net-setup-link.rules as a link to /dev/null does that.
    """
    switched_off = _MASK in present and "net_setup_link" not in texts.get(_MASK, "")
    return not switched_off and any(path in present for path in _SETUP_LINKS)


def needless(texts: Mapping[str, str], nic: Nic) -> bool:
    """Whether a .link file of the guest itself gives this name, on conditions that stay true.

    Of all files that fit only one counts, and ours would come before what the guest's says of MTU
    or queues as well.
    """
    return any(
        path.endswith(".link")
        and not path.startswith(OUR_LINKS)
        and _ties(sections.parse(texts[path]), nic)
        for path in texts
    )


def _ties(parts: Sequence[Section], nic: Nic) -> bool:
    conditions = {key for part in parts if part.name == "Match" for key in part.keys}
    macs = [
        address(mac)
        for key in ("MACAddress", "PermanentMACAddress")
        for value in sections.values(parts, "Match", key)
        for mac in value.split()
    ]
    named = sections.value(parts, "Link", "Name") == nic.name
    return named and nic.mac in macs and conditions <= _LASTING


def void(texts: Mapping[str, str]) -> tuple[str, ...]:
    """Name the files with rules that name a NIC by what the new one does not have."""
    return tuple(
        path
        for path, text in texts.items()
        if path.endswith(".rules") and any(map(_is_void, text.splitlines()))
    )


def _is_void(line: str) -> bool:
    by_hardware = re.search(r'\b(KERNELS|DRIVERS|ATTRS\{device\})=="(?!\?\*")', line)
    naming = re.search(r'\bNAME:?="', line) and '"net"' in line
    return bool(by_hardware and naming) and not line.lstrip().startswith("#")


def written(
    texts: Mapping[str, str],
    present: Collection[str],
    nics: Sequence[Nic],
    macs: Sequence[str] = (),
) -> dict[str, str]:
    """Write what ties each NIC to its name, in the way that the guest's udev understands.

    `macs` are all NICs in the machine's order.
    """
    if not any(path in present for path in _UDEVS):
        return {}
    rules = set(nics) if not by_links(texts, present) else set(trading(nics, macs))
    links = {
        f"{OUR_LINKS}{compact(nic.mac)}.link": _LINK.format(mac=nic.mac, name=nic.name)
        for nic in nics
        if nic not in rules and not needless(texts, nic)
    }
    dracut = links and any(path in present for path in _DRACUTS)
    drop_in = {DRACUT: _DRACUT_FILE.format(paths=" ".join(sorted(links)))} if dracut else {}
    return links | drop_in | _rule_file(rules, trading(nics, macs), present)


def trading(nics: Sequence[Nic], macs: Sequence[str]) -> tuple[Nic, ...]:
    """List NICs that trade names which the kernel gives out; none when all have theirs already.

    The kernel counts eth0, eth1 and so on in the order of the NICs.
    """
    first = {f"eth{number}": mac for number, mac in enumerate(macs)}
    own = [nic for nic in nics if nic.name in first]
    return tuple(own) if any(first[nic.name] != nic.mac for nic in own) else ()


def _rule_file(
    nics: Collection[Nic], traded: Collection[Nic], present: Collection[str]
) -> dict[str, str]:
    if not nics:
        return {}
    # Older than systemd's, udev trades names by itself.
    of_systemd = any(path in present for path in _SETUP_LINKS)
    lines = []
    for nic in sorted(nics, key=lambda nic: nic.name):
        if of_systemd and nic in traded:
            lines.append(_MAKE_ROOM.format(mac=nic.mac, name=nic.name, hex=compact(nic.mac)))
        lines.append(_RULE_LINE.format(mac=nic.mac, name=nic.name))
    return {OUR_RULES: _RULE_FILE + "".join(lines)}


def _rules(text: str) -> Iterator[tuple[str, str]]:
    for line in text.replace("\\\n", "").splitlines():
        match = _RULE.search(line)
        if match and not line.lstrip().startswith("#"):
            yield address(match[1]), match[2]
