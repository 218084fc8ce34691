# SPDX-License-Identifier: Apache-2.0
"""What the programs that configure a guest's network have in common.

One module for each program satisfies `Program`. All of them are pure: texts in, texts out.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

# The kernel allows 15 bytes, and almost any character; what configures it allows these.
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}")
_MAC: Final = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


@dataclass(frozen=True, slots=True)
class Nic:
    """A NIC of the new machine, and the name it has in the guest ("" when nothing names it)."""

    mac: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface that the guest configures.

    `name` is "" when it is told by its address, `mac` is "" when it is told by its name.
    `hardware` is false for bonds, bridges, VLANs and whatever else is built upon others. `fixed`:
    addresses are written down; `asks`: it gets them by DHCP; `serves`: it is part of another
    interface or carries one, and needs no address of its own. `void` is a condition that the new
    machine does not meet, like the driver of the old NIC.
    """

    name: str = ""
    mac: str = ""
    hardware: bool = True
    fixed: bool = False
    asks: bool = False
    serves: bool = False
    pattern: str = ""
    void: str = ""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What has to change: new texts by path, files that go, and what a person should look at."""

    texts: Mapping[str, str] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    look: tuple[str, ...] = ()


class Program(Protocol):
    """A program that configures NICs, as far as its files tell."""

    @property
    def NAME(self) -> str:  # noqa: N802 - modules satisfy it with a constant
        """What its users call it."""
        ...

    @property
    def PATTERNS(self) -> tuple[str, ...]:  # noqa: N802
        """Where its files are."""
        ...

    @property
    def NEEDS(self) -> tuple[tuple[str, ...], ...]:  # noqa: N802
        """Paths without which it does not run: one of each group."""
        ...

    @property
    def UNIT(self) -> str:  # noqa: N802
        """The unit that has to be enabled; "" when something else starts it."""
        ...

    @property
    def MODE(self) -> int:  # noqa: N802
        """The mode of a file of its configuration."""
        ...

    def interfaces(self, texts: Mapping[str, str]) -> tuple[Interface, ...]:
        """List what is configured."""
        ...

    def asking(self, texts: Mapping[str, str]) -> Rewritten:
        """Turn fixed addresses into DHCP, in place; what is built of what stays."""
        ...

    def fresh(self, texts: Mapping[str, str], nics: Sequence[Nic]) -> dict[str, str]:
        """Configure NICs that nothing configures yet."""
        ...


def is_name(text: str) -> bool:
    """Whether an interface can have this name: no path, no pattern, nothing that is not printed."""
    return bool(_NAME.fullmatch(text)) and text not in {".", "..", "all", "default"}


def address(text: str) -> str:
    """Read a MAC address as the kernel writes it; "" when it is none."""
    mac = text.strip().strip("\"'").lower().replace("-", ":")
    return mac if _MAC.fullmatch(mac) else ""


def compact(mac: str) -> str:
    """Write a MAC address so that a file name can hold it."""
    return mac.replace(":", "")


def mentioned(names: Iterable[str], configured: Iterable[Interface]) -> tuple[Interface, ...]:
    """Describe NICs that only others name, as their member or as what carries them."""
    known = {interface.name for interface in configured}
    return tuple(
        Interface(name=name, serves=True)
        for name in sorted(set(names) - known)
        if is_name(name) and "." not in name
    )


def configures(interface: Interface, nic: Nic) -> bool:
    """Whether this is the configuration of that NIC."""
    if not interface.hardware or interface.void:
        return False
    if interface.mac:
        return interface.mac == nic.mac
    if interface.name:
        return interface.name == nic.name
    return bool(interface.pattern) and _fits(interface.pattern, nic)


def _fits(pattern: str, nic: Nic) -> bool:
    # A NIC without a name of its own gets one of these from udev or the kernel.
    candidates = [nic.name] if nic.name else ["enp1s0", "ens3", "eth0"]
    matching = [re.compile(_regular(word)) for word in pattern.split()]
    return all(any(m.fullmatch(name) for m in matching) for name in candidates)


def _regular(glob: str) -> str:
    """Translate a pattern of at most two wild cards; more are nobody's, and slow to try."""
    if glob.count("*") > 2:
        return r"(?!)"
    return "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in glob)
