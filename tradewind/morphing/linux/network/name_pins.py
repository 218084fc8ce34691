# SPDX-License-Identifier: Apache-2.0
"""What ties the name of an interface to the MAC address of its NIC: .link files, or udev rules.

A NIC that moves from one PCI slot to another (enp0s3 → enp1s0) or gets another driver is renamed
by udev, and every file that names it is void. Formats: systemd.link(5), udev(7).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final

from tradewind.morphing.linux.network import link_files, udev_rules
from tradewind.morphing.linux.network.link_files import LinkFile
from tradewind.morphing.linux.network.program import GuestNic, compact, is_name
from tradewind.morphing.linux.network.udev_rules import AssignedName, RuledNic, UdevRule

PERSISTENT_RULES: Final = "/etc/udev/rules.d/70-persistent-net.rules"
RULES: Final = "/etc/udev/rules.d"
OUR_RULES: Final = f"{RULES}/70-tradewind-net.rules"
OUR_LINKS: Final = f"{link_files.FOLDER}/10-tradewind-"
DRACUT: Final = "/etc/dracut.conf.d/90-tradewind-network.conf"
PATTERNS: Final = (f"{RULES}/*.rules", *link_files.PATTERNS, DRACUT)

_SETUP_LINK: Final = "80-net-setup-link.rules"
_MASK: Final = f"{RULES}/{_SETUP_LINK}"
_SETUP_LINKS: Final = (f"/usr/lib/udev/rules.d/{_SETUP_LINK}", f"/lib/udev/rules.d/{_SETUP_LINK}")
_DRACUTS: Final = ("/usr/bin/dracut", "/usr/sbin/dracut", "/sbin/dracut")
_UDEVS: Final = (
    "/usr/bin/udevadm", "/bin/udevadm", "/usr/sbin/udevadm", "/sbin/udevadm", "/sbin/udevd",
)  # fmt: skip
FACTS: Final = (_MASK, *_SETUP_LINKS, *_DRACUTS, *_UDEVS)

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


def known(
    texts: Mapping[str, str], present: Collection[str], macs: Sequence[str]
) -> dict[str, str]:
    """Map MAC addresses to the names that udev gave them in the old machine, by rule or .link.

    Conditions on the old hardware beside an address held there.
    """
    return _named(texts, present, macs, RuledNic.was_met, LinkFile.former)


def assigned(
    texts: Mapping[str, str], present: Collection[str], macs: Sequence[str]
) -> dict[str, str]:
    """Map MAC addresses to the names that udev is certain to give them in the new machine."""
    return _named(texts, present, macs, RuledNic.met, LinkFile.future)


def pinned(
    texts: Mapping[str, str], present: Collection[str], macs: Sequence[str]
) -> dict[str, str]:
    """Map MAC addresses to names that are certain: udev's, or the kernel's where there is none."""
    if any(path in present for path in _UDEVS):
        return known(texts, present, macs)
    return {mac: f"eth{number}" for number, mac in enumerate(macs)}


def foreign(
    texts: Mapping[str, str], present: Collection[str], macs: Sequence[str]
) -> frozenset[str]:
    """Name what udev keeps for NICs that this machine has not, as after a clone of the original."""
    rules = [r for path, text in texts.items() if path.endswith(".rules")
             for r in udev_rules.read(text)]  # fmt: skip
    listed = {mac for rule in rules for mac in rule.macs}
    listed |= {mac for file in link_files.read(texts) for mac in file.macs or ()}
    return frozenset(known(texts, present, sorted(listed - set(macs))).values())


def by_links(texts: Mapping[str, str], present: Collection[str]) -> bool:
    """Whether the guest's udev reads .link files: it is of systemd, and nobody switched that off.

    /etc/udev/rules.d/80-net-setup-link.rules as a link to /dev/null does that.
    """
    switched_off = _MASK in present and "net_setup_link" not in texts.get(_MASK, "")
    return not switched_off and any(path in present for path in _SETUP_LINKS)


def needless(texts: Mapping[str, str], nic: GuestNic, kernel_name: str) -> bool:
    """Whether a .link file of the guest itself gives this name, on conditions that stay true.

    Of all files that fit only one counts, and ours would come before what the guest's says of MTU
    or queues as well.
    """
    own = {path: text for path, text in texts.items() if not path.startswith(OUR_LINKS)}
    first = _first(own, nic.mac, kernel_name)
    return first is not None and first.future(nic.mac, kernel_name) == nic.name


def unmet_match(texts: Mapping[str, str]) -> tuple[str, ...]:
    """Name the files with rules that name a NIC by what the new one does not have."""
    return tuple(
        path
        for path, text in texts.items()
        if path.endswith(".rules") and any(map(_is_void, udev_rules.read(text)))
    )


def _is_void(rule: UdevRule) -> bool:
    return rule.by_slot_or_driver and rule.value("NAME") is not None


def _first(texts: Mapping[str, str], mac: str, kernel_name: str) -> LinkFile | None:
    fitting = (file for file in link_files.read(texts) if file.matches(mac, kernel_name))
    return next(fitting, None)


def _comes_first(texts: Mapping[str, str], nic: GuestNic, kernel_name: str) -> bool:
    """Whether a .link file of the guest is taken in place of ours."""
    first = _first(texts, nic.mac, kernel_name)
    ours = f"{OUR_LINKS}{compact(nic.mac)}.link".rpartition("/")[2]
    return first is not None and first.name < ours


def _named(
    texts: Mapping[str, str],
    present: Collection[str],
    macs: Sequence[str],
    met: Callable[[RuledNic, UdevRule, str], bool],
    name_of: Callable[[LinkFile, str, str], str | None],
) -> dict[str, str]:
    """Walk rules up to those that ask for the .link files, these, and the rest."""
    paths = sorted(path for path in texts if path.endswith(".rules"))
    rules = {path: udev_rules.read(texts[path]) for path in paths}
    early = [rule for path in paths if path < _MASK for rule in rules[path]]
    late = [rule for path in paths if path > _MASK for rule in rules[path]]
    of_links = by_links(texts, present)
    files = link_files.read(texts) if of_links else ()
    found = {}
    for number, mac in enumerate(macs):
        nic = RuledNic(mac, f"eth{number}")
        judge = partial(met, nic)
        names = (name_of(file, mac, nic.kernel_name) for file in files)
        fitting = (name for name in names if name is not None)
        ruled = udev_rules.walked(early, AssignedName(), judge)
        linked = ruled if ruled.name else AssignedName(next(fitting, ""))
        # Where neither names it, udev goes on with a name of its own making, or the kernel's.
        some = linked if linked.name or not of_links else AssignedName(nic.kernel_name)
        last = udev_rules.walked(late, some, judge)
        found[mac] = linked.name if last is some else last.name
    return {mac: name for mac, name in found.items() if is_name(name)}


def written(
    texts: Mapping[str, str],
    present: Collection[str],
    nics: Sequence[GuestNic],
    macs: Sequence[str] = (),
) -> dict[str, str]:
    """Write what ties each NIC to its name, in the way that the guest's udev understands.

    `macs` are all NICs in the machine's order.
    """
    if not any(path in present for path in _UDEVS):
        return {}
    kernel_names = {mac: f"eth{number}" for number, mac in enumerate(macs)}
    needed = [n for n in nics if not needless(texts, n, kernel_names.get(n.mac, ""))]
    if by_links(texts, present):
        beaten = {n for n in needed if _comes_first(texts, n, kernel_names.get(n.mac, ""))}
        rules = {*trading(nics, macs), *beaten}
    else:
        rules = set(nics)
    links = {
        f"{OUR_LINKS}{compact(nic.mac)}.link": _LINK.format(mac=nic.mac, name=nic.name)
        for nic in needed
        if nic not in rules
    }
    dracut = links and any(path in present for path in _DRACUTS)
    drop_in = {DRACUT: _DRACUT_FILE.format(paths=" ".join(sorted(links)))} if dracut else {}
    return links | drop_in | _rule_file(rules, trading(nics, macs), present)


def trading(nics: Sequence[GuestNic], macs: Sequence[str]) -> tuple[GuestNic, ...]:
    """List NICs that trade names which the kernel gives out; none when all have theirs already.

    The kernel counts eth0, eth1 and so on in the order of the NICs.
    """
    first = {f"eth{number}": mac for number, mac in enumerate(macs)}
    own = [nic for nic in nics if nic.name in first]
    return tuple(own) if any(first[nic.name] != nic.mac for nic in own) else ()


def _rule_file(
    nics: Collection[GuestNic], traded: Collection[GuestNic], present: Collection[str]
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
