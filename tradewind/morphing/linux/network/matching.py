# SPDX-License-Identifier: Apache-2.0
"""Conditions on hardware, and whether a NIC of the new machine meets them.

Lists of shell patterns as systemd reads them: systemd.link(5), systemd.network(5). All conditions
of one [Match] section hold together.
"""

import fnmatch
import re
from collections.abc import Iterable, Sequence
from typing import Final

from tradewind.model.mac import read_mac
from tradewind.morphing.linux.network import sections
from tradewind.morphing.linux.network.sections import Section

DRIVER: Final = "virtio_net"
# The slot is not known here: a condition has to hold for any. Behind a PCIe port, and without one.
PATHS: Final = ("pci-0000:01:00.0", "pci-0000:00:03.0")
# What udev and the kernel call a NIC that nothing names.
PREDICTABLE: Final = ("enp1s0", "ens3")
BY_THE_KERNEL: Final = ("eth0", "eth1")

_TYPES: Final = ("ether",)
_TRUE: Final = {"1", "yes", "y", "true", "t", "on"}
_FALSE: Final = {"0", "no", "n", "false", "f", "off"}
_DOTTED: Final = re.compile(r"[0-9a-f]{4}(\.[0-9a-f]{4}){2}")
# Conditions on the host that a move changes, or that cannot be judged from outside.
_UNCERTAIN: Final = (
    "Property",
    "SSID",
    "BSSID",
    "WLANInterfaceType",
    "KernelVersion",
    "Credential",
)


def patterns(assignments: Iterable[str]) -> tuple[str, ...]:
    """Join the values of one key: an empty one forgets those before, "!" counts for its line."""
    found: list[str] = []
    for value in assignments:
        sign = "!" if value.startswith("!") else ""
        words = value.removeprefix("!").split()
        found = [*found, *(f"{sign}{word}" for word in words)] if words else []
    return tuple(found)


def accepts(globs: Sequence[str], value: str) -> bool:
    """Whether a value meets a list: one of its patterns, and none that begins with "!"."""
    matching = [g for g in globs if fnmatch.fnmatchcase(value, g.removeprefix("!"))]
    if any(glob.startswith("!") for glob in matching):
        return False
    return bool(matching) or all(glob.startswith("!") for glob in globs)


def addresses(words: Iterable[str]) -> tuple[str, ...]:
    """Read MAC addresses in the three ways that systemd knows; what is none is left out."""
    return tuple(filter(None, (read_mac(_with_colons(word.lower())) for word in words)))


def _with_colons(word: str) -> str:
    """Write "5254.0012.3456" as the others."""
    if not _DOTTED.fullmatch(word):
        return word
    digits = word.replace(".", "")
    return ":".join(digits[place : place + 2] for place in range(0, 12, 2))


def condition(parts: Sequence[Section], key: str) -> tuple[str, ...]:
    """Read the patterns of a condition from all [Match] sections."""
    return patterns(sections.values(parts, "Match", key))


def has_condition(parts: Sequence[Section]) -> bool:
    """Whether there is a condition at all: a file without one is ignored since systemd 243."""
    keys = {key for part in parts if part.name == "Match" for key in part.keys}
    return any(condition(parts, key) for key in keys)


def macs(parts: Sequence[Section]) -> tuple[str, ...] | None:
    """List the MAC addresses that a [Match] section allows; None when it asks for none."""
    keys = ("MACAddress", "PermanentMACAddress")
    asked = [words for key in keys if (words := condition(parts, key))]
    if not asked:
        return None
    allowed = [addresses(words) for words in asked]
    return tuple(mac for mac in allowed[0] if all(mac in those for those in allowed))


def unmet(parts: Sequence[Section]) -> str:
    """Name a condition that no NIC of the new machine is certain to meet, or ""."""
    for key, values in (("Driver", (DRIVER,)), ("Path", PATHS), ("Type", _TYPES)):
        globs = condition(parts, key)
        if globs and not all(accepts(globs, value) for value in values):
            return f"{key}="
    if not all(map(_virtualized, sections.values(parts, "Match", "Virtualization")[-1:])):
        return "Virtualization="
    return next((f"{key}=" for key in _UNCERTAIN if condition(parts, key)), "")


def _virtualized(value: str) -> bool:
    """Whether a condition on the hypervisor holds under KVM. Format: systemd.unit(5)."""
    if not value:
        return True
    word = value.removeprefix("!").strip().lower()
    holds = word in _TRUE or word in {"vm", "kvm"}
    return holds != value.startswith("!")
