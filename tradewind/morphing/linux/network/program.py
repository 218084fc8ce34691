# SPDX-License-Identifier: Apache-2.0
"""What the programs that configure a guest's network have in common.

One module for each program satisfies `NetworkProgram`. All of them are pure: texts in, texts out.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from tradewind.morphing.linux.network import matching

# The kernel allows 15 bytes, and almost any character; what configures it allows these.
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}")


@dataclass(frozen=True, slots=True)
class GuestNic:
    """A NIC of the new machine, and the name it has in the guest ("" when nothing names it)."""

    mac: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface that the guest configures.

    `name` is "" when it is told by its address, `mac` is "" when it is told by its name.
    With both, the NIC of that address has that name. `pattern` are shell patterns for names, with
    blanks between. `hardware` is false for bonds, bridges, VLANs and whatever else is built upon
    others. `static`: addresses are written down that DHCP can replace; `dhcp`: it gets them so;
    `is_port_or_parent`: it is part of another interface or carries one, and needs no address of its
    own. `unmet_match` is a condition that the new machine does not meet, like the driver of the
    old NIC. `off` is what keeps it off on purpose. `keeps_addresses`: they are written down, and
    stay (loopback, tunnels).
    """

    name: str = ""
    mac: str = ""
    hardware: bool = True
    static: bool = False
    dhcp: bool = False
    is_port_or_parent: bool = False
    pattern: str = ""
    unmet_match: str = ""
    off: str = ""
    keeps_addresses: bool = False


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What has to change: new texts by path, files that go, and what a person should look at."""

    texts: Mapping[str, str] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    look: tuple[str, ...] = ()


class NetworkProgram(Protocol):
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

    def to_dhcp(self, texts: Mapping[str, str]) -> Rewritten:
        """Turn fixed addresses into DHCP, in place; what is built of what stays."""
        ...

    def dhcp_config(self, texts: Mapping[str, str], nics: Sequence[GuestNic]) -> dict[str, str]:
        """Configure NICs that nothing configures yet."""
        ...


def is_name(text: str) -> bool:
    """Whether an interface can have this name: no path, no pattern, nothing that is not printed."""
    return bool(_NAME.fullmatch(text)) and text not in {".", "..", "all", "default"}


def is_zero(text: str) -> bool:
    """Whether an address stands for none: 0.0.0.0 or ::, with or without a length."""
    return text.strip().partition("/")[0] in {"0.0.0.0", "::"}  # noqa: S104 - nothing is bound


def compact(mac: str) -> str:
    """Write a MAC address so that a file name can hold it."""
    return mac.replace(":", "")


def mentioned(names: Iterable[str], configured: Iterable[Interface]) -> tuple[Interface, ...]:
    """Describe NICs that only others name, as their member or as what carries them."""
    known = {interface.name for interface in configured}
    return tuple(
        Interface(name=name, is_port_or_parent=True)
        for name in sorted(set(names) - known)
        if is_name(name) and "." not in name
    )


def configures(interface: Interface, nic: GuestNic, unnamed: Sequence[str]) -> bool:
    """Whether this is the configuration of that NIC; all that tells it has to fit.

    `unnamed` are names that a NIC may get when nothing names it.
    """
    if not interface.hardware or interface.unmet_match:
        return False
    if interface.mac and interface.mac != nic.mac:
        return False
    if interface.name:
        return interface.name == nic.name
    return fits(interface.pattern, nic, unnamed) if interface.pattern else bool(interface.mac)


def fits(pattern: str, nic: GuestNic, unnamed: Sequence[str]) -> bool:
    """Whether a NIC meets the patterns, whatever its name will be."""
    candidates = [nic.name] if nic.name else unnamed
    return all(matching.accepts(pattern.split(), name) for name in candidates)
