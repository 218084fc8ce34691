# SPDX-License-Identifier: Apache-2.0
"""What .link files call a NIC. Of all files that match one only counts, the first by name.

Format: systemd.link(5). Drop-ins (x.link.d/*.conf) add to the file they are called after; a file in
/etc takes the place of one of that name elsewhere.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tradewind.morphing.linux.network import matching, sections
from tradewind.morphing.linux.network.sections import Section

FOLDER: Final = "/etc/systemd/network"
# In the order in which they count.
_FOLDERS: Final = (
    FOLDER,
    "/usr/local/lib/systemd/network",
    "/usr/lib/systemd/network",
    "/lib/systemd/network",
)
PATTERNS: Final = tuple(
    f"{folder}/{pattern}" for folder in _FOLDERS for pattern in ("*.link", "*.link.d/*.conf")
)
# Policies that give no name to a NIC: Name= is taken then. "keep" keeps what udev gave it in the
# initial RAM disk, if that was there.
_WITHOUT_NAME: Final = {"kernel", "database"}
_WITHOUT_NAME_AT_FIRST: Final = {*_WITHOUT_NAME, "keep"}


@dataclass(frozen=True, slots=True)
class LinkFile:
    """One .link file with its drop-ins; `name` is that of the file."""

    name: str
    parts: tuple[Section, ...]

    @property
    def macs(self) -> tuple[str, ...] | None:
        """The addresses that it allows; None when it asks for none."""
        return matching.macs(self.parts)

    def former(self, mac: str, kernel_name: str) -> str | None:
        """Name this NIC as in the old machine, whose hardware met what stands beside an address.

        None: it does not match; "": it does, and leaves the name to others.
        """
        matched = self.matches(mac, kernel_name) if self.macs is None else mac in self.macs
        return self._name(_WITHOUT_NAME_AT_FIRST) if matched else None

    def future(self, mac: str, kernel_name: str) -> str | None:
        """Name this NIC as is certain in the new machine; None and "" as above."""
        return self._name(_WITHOUT_NAME) if self.matches(mac, kernel_name) else None

    def _name(self, without_name: set[str]) -> str:
        policies = " ".join(sections.values(self.parts, "Link", "NamePolicy")[-1:]).split()
        own = sections.value(self.parts, "Link", "Name")
        return own if set(policies) <= without_name else ""

    def matches(self, mac: str, kernel_name: str) -> bool:
        """Whether it is certain to match this NIC in the new machine."""
        if self.macs is not None and mac not in self.macs:
            return False
        originals = matching.condition(self.parts, "OriginalName")
        named = not originals or matching.accepts(originals, kernel_name)
        return named and not matching.unmet(self.parts)


def read(texts: Mapping[str, str]) -> tuple[LinkFile, ...]:
    """Read all files that say what they match, in the order in which they are tried."""
    main: dict[str, str] = {}
    for folder in reversed(_FOLDERS):
        main |= {name: text for name, text in _in(texts, folder) if name.endswith(".link")}
    found = [
        LinkFile(name, tuple(part for text in (main[name], *_drop_ins(texts, name)) for part in
                             sections.parse(text)))
        for name in sorted(main)
    ]  # fmt: skip
    return tuple(file for file in found if matching.has_condition(file.parts))


def _in(texts: Mapping[str, str], folder: str) -> Iterator[tuple[str, str]]:
    start = f"{folder}/"
    for path, text in texts.items():
        if path.startswith(start):
            yield path.removeprefix(start), text


def _drop_ins(texts: Mapping[str, str], name: str) -> list[str]:
    found: dict[str, str] = {}
    for folder in reversed(_FOLDERS):
        found |= dict(_in(texts, f"{folder}/{name}.d"))
    return [found[drop_in] for drop_in in sorted(found) if drop_in.endswith(".conf")]
