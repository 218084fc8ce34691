# SPDX-License-Identifier: Apache-2.0
"""Rules of udev, as far as they name NICs. Format: udev(7)."""

import fnmatch
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tradewind.morphing.linux.network.matching import addresses

_TOKEN: Final = re.compile(
    r"[\s,]*([A-Z_]+)(?:\{([^}]*)\})?\s*(==|!=|\+=|-=|:=|=)\s*([ei]?)\"((?:[^\"\\]|\\.)*)\""
)
_CONTINUED: Final = re.compile(r"\\\n(?:[ \t]*#[^\n]*\n)*")
# They match when the program ends well, whatever their operator.
_PROGRAMS: Final = {"PROGRAM", "IMPORT"}
_ADDRESS: Final = {("ATTR", "address"), ("ATTRS", "address"), ("SYSFS", "address")}
# What udev finds at a VirtIO NIC, and at the devices above it. A slot is not known beforehand.
_ABOVE: Final = {
    "DRIVERS": ("virtio_net", "virtio-pci"),
    "SUBSYSTEMS": ("virtio", "pci"),
    "BUS": ("virtio", "pci"),
}
_SLOTS: Final = ("0000:01:00.0", "0000:00:03.0")
_OWN: Final = {
    ("SUBSYSTEM", ""): "net", ("ACTION", ""): "add", ("ATTR", "type"): "1",
    ("ATTR", "dev_id"): "0x0", ("ATTR", "dev_port"): "0", ("SYSFS", "type"): "1",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class UdevToken:
    """One `KEY{attribute}=="value"` of a rule."""

    key: str
    attribute: str
    operator: str
    value: str
    any_case: bool

    @property
    def is_condition(self) -> bool:
        """Whether it has to hold; everything else is done when all that do, hold."""
        return self.operator in {"==", "!="} or self.key in _PROGRAMS

    @property
    def is_address(self) -> bool:
        """Whether it asks for the MAC address."""
        return self.operator == "==" and (self.key, self.attribute) in _ADDRESS

    def accepts(self, value: str) -> bool:
        """Whether a value fits one of the patterns; letters count, as udev compares them."""
        wanted, given = (
            (self.value.lower(), value.lower()) if self.any_case else (self.value, value)
        )
        return any(fnmatch.fnmatchcase(given, glob) for glob in wanted.split("|"))


@dataclass(frozen=True, slots=True)
class UdevRule:
    """One line, continued lines joined."""

    tokens: tuple[UdevToken, ...]

    def value(self, *keys: str) -> str | None:
        """Return what is assigned to one of these keys, the last."""
        found = [t.value for t in self.tokens if t.key in keys and not t.is_condition]
        return found[-1] if found else None

    @property
    def is_final(self) -> bool:
        """Whether no later rule may name the NIC."""
        return any(t.key == "NAME" and t.operator == ":=" for t in self.tokens)

    @property
    def by_address(self) -> bool:
        """Whether it asks for a MAC address."""
        return any(token.is_address for token in self.tokens)

    @property
    def macs(self) -> frozenset[str]:
        """The MAC addresses that it lists; patterns are left out."""
        words = (
            word for token in self.tokens if token.is_address for word in token.value.split("|")
        )
        return frozenset(word for word in words if addresses([word]))

    @property
    def asks_for_hardware(self) -> bool:
        """Whether it asks for what is above the NIC."""
        return any(t.key in {*_ABOVE, "KERNELS", "ID"} for t in self.tokens if t.is_condition)

    @property
    def by_slot_or_driver(self) -> bool:
        """Whether it asks for what only the old NIC has."""
        asked = (t for t in self.tokens if t.operator == "==")
        return any(
            t.key in {"KERNELS", "ID", "DRIVERS", "DEVPATH"}
            or (t.key in {"ATTRS", "SYSFS"} and t.attribute in {"device", "vendor"})
            for t in asked
            if not _holds_in_new_machine(t)
        )


@dataclass(frozen=True, slots=True)
class RuledNic:
    """A NIC as rules see it: its address, and what the kernel called it."""

    mac: str
    kernel_name: str

    def met(self, rule: UdevRule, name: str) -> bool:
        """Whether all conditions are certain to hold in the new machine."""
        return all(self._holds(token, name) for token in rule.tokens if token.is_condition)

    def was_met(self, rule: UdevRule, name: str) -> bool:
        """Whether they held in the old machine: of its hardware, all that the rule asks for."""
        if not rule.by_address:
            return self.met(rule, name) and not rule.asks_for_hardware
        asked = (token for token in rule.tokens if token.is_address or token.key == "NAME")
        return all(self._holds(t, name) for t in asked if t.is_condition)

    def _holds(self, token: UdevToken, name: str) -> bool:
        if token.key in _PROGRAMS:
            return True
        known = {"NAME": name, "KERNEL": self.kernel_name}
        own = self.mac if (token.key, token.attribute) in _ADDRESS else None
        value = own or known.get(token.key, _OWN.get((token.key, token.attribute)))
        if value is None:
            return _holds_in_new_machine(token)
        return token.accepts(value) == (token.operator == "==")


Met = Callable[[UdevRule, str], bool]


def read(text: str) -> tuple[UdevRule, ...]:
    """Read the rules of a file; udev ignores a line that it does not understand, as here."""
    joined = _CONTINUED.sub("", text)
    lines = (line.strip() for line in joined.splitlines())
    return tuple(
        UdevRule(tuple(_tokens(line))) for line in lines if line and not line.startswith("#")
    )


@dataclass(frozen=True, slots=True)
class AssignedName:
    """What a NIC is called so far; no later rule changes a name that is `final` (":=")."""

    name: str = ""
    final: bool = False


def walked(rules: Sequence[UdevRule], so_far: AssignedName, met: Met) -> AssignedName:
    """Walk rules as udev does, and return the name after them. A later rule wins."""
    place = 0
    while place < len(rules):
        rule = rules[place]
        place += 1
        if not met(rule, so_far.name):
            continue
        given = rule.value("NAME")
        if given is not None and not so_far.final:
            so_far = AssignedName(given, rule.is_final)
        place = _after(rules, place, rule.value("GOTO"))
    return so_far


def _after(rules: Sequence[UdevRule], place: int, label: str | None) -> int:
    if label is None:
        return place
    later = range(place, len(rules))
    return next((n for n in later if rules[n].value("LABEL") == label), place)


def _tokens(line: str) -> Iterator[UdevToken]:
    found = []
    place = 0
    while match := _TOKEN.match(line, place):
        key, attribute, operator, prefix, value = match.groups()
        plain = value.replace('\\"', '"')
        found.append(UdevToken(key, attribute or "", operator, plain, any_case=prefix == "i"))
        place = match.end()
    if not line[place:].strip(" \t,"):
        yield from found


def _holds_in_new_machine(token: UdevToken) -> bool:
    """Judge a condition on what is above the NIC; what cannot be known does not hold."""
    if token.key in _ABOVE:
        holds = any(token.accepts(value) for value in _ABOVE[token.key])
    elif token.key in {"KERNELS", "ID"}:
        holds = all(token.accepts(slot) for slot in _SLOTS)
    else:
        holds = False
    return holds == (token.operator == "==")
