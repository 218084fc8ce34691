# SPDX-License-Identifier: Apache-2.0
"""What a new domain can do without, of its source's description and of ours, by pieces. Pure.

A libvirt may be older than the source's, and refuse an element or an attribute that it does not
know. Which one is said in no field of its errors: the schema names the whole <devices>. So the
domain is tried without any of these pieces, and they are added again one by one.

A piece is named by its place in the domain, as lxml writes it: "features/hyperv/xmm_input",
"cpu/topology/@clusters".
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import combinations
from typing import Final

from lxml import etree

from tradewind.domainxml.document import Element, attribute, find, parse, to_text
from tradewind.model.deploy import Omission

# Not here: what the guest could not be without, such as the sector size of a disk, <readonly/>,
# memory, firmware and the disks themselves.
_OPTIONAL: Final = (
    "title",
    "features/*[not(self::acpi or self::apic or self::smm or self::ioapic)]",
    "cpu/@migratable",
    "cpu/topology",
    "clock/timer",
    "pm",
    "sysinfo",
    "os/smbios",
    "os/firmware",
    "os/bootmenu",
    "os/bios",
    "metadata/*[local-name()='libosinfo']",
    "devices/disk/*[self::serial or self::wwn or self::vendor or self::product or self::geometry]",
    "devices/disk/target/@rotation_rate",
    "devices/disk/driver/@error_policy",
    "devices/disk/driver/@rerror_policy",
    "devices/interface/*[self::link or self::mtu or self::driver or self::port]",
    "devices/tpm/backend/@persistent_state",
    "devices/watchdog",
    "devices/panic",
)
# What says the same as not being there: one die or cluster, a feature that is off.
_NEUTRAL: Final = frozenset({("dies", "1"), ("clusters", "1"), ("state", "off"), ("enabled", "no")})
# What says which thing an element is: without it another one, so that the element goes.
_IDENTITY: Final = frozenset({"name", "type", "model"})
# An attribute that an older libvirt does not know came alone or with one other so far
# (<topology dies= clusters=>).
_MOST_ATTRIBUTES: Final = 2

Accepts = Callable[[str], bool]


def without(domain: Element, omitted: Iterable[str]) -> None:
    """Take pieces out of a domain, named by their places in it."""
    # All are looked up before any goes: the places count the siblings that are there.
    found = [(domain.find(path), name) for path, name in map(_split, omitted)]
    for element, name in found:
        if element is not None:
            _take(element, name)


def refused(xml: str, accepts: Accepts) -> tuple[Omission, ...] | None:
    """Name the pieces without which a refused domain is accepted, and no more than these.

    None: it is refused without any of them as well.
    """
    search = _Search(parse(xml), accepts)
    if not search.is_accepted():
        return None
    for root in list(search.omitted):
        search.add(root)
    return tuple(_omission(search.domain, path) for path in search.omitted)


class _Search:
    """A domain, and the places of what is left out of it at the moment."""

    def __init__(self, domain: Element, accepts: Accepts) -> None:
        self.domain = domain
        self.omitted = dict.fromkeys(_roots(domain))
        self._accepts = accepts

    def is_accepted(self) -> bool:
        tried = parse(to_text(self.domain))
        without(tried, self.omitted)
        return self._accepts(to_text(tried))

    def add(self, path: str) -> None:
        """Add a piece, or as much of it as is accepted."""
        self._put_back([path])
        if self.is_accepted():
            return
        children, attributes = self._parts(path)
        self._leave_out(children)
        if self._is_accepted_without_some(attributes):
            for child in children:
                self.add(child)
        else:
            self._put_back(children)
            self._leave_out([path])

    def _is_accepted_without_some(self, attributes: list[str]) -> bool:
        """Try with all attributes, then without one or two of them; those stay left out."""
        for count in range(_MOST_ATTRIBUTES + 1):
            for some in combinations(attributes, count):
                self._leave_out(some)
                if self.is_accepted():
                    return True
                self._put_back(some)
        return False

    def _parts(self, path: str) -> tuple[list[str], list[str]]:
        place, name = _split(path)
        if name:
            return [], []
        element = find(self.domain, place)
        children = [_place(self.domain, child) for child in element]
        names = [str(name) for name in element.attrib if name not in _IDENTITY]
        return children, [f"{place}/@{name}" for name in names]

    def _leave_out(self, paths: Iterable[str]) -> None:
        self.omitted |= dict.fromkeys(paths)

    def _put_back(self, paths: Iterable[str]) -> None:
        for path in paths:
            del self.omitted[path]


def _roots(domain: Element) -> Iterator[str]:
    for optional in _OPTIONAL:
        path, name = _split(optional)
        found = domain.xpath(f"{path}[@{name}]" if name else path)
        for element in found if isinstance(found, list) else ():
            if isinstance(element, etree._Element):
                place = _place(domain, element)
                yield f"{place}/@{name}" if name else place


def _place(domain: Element, element: Element) -> str:
    return str(domain.getroottree().getelementpath(element))


def _split(path: str) -> tuple[str, str]:
    place, _, name = path.partition("/@")
    return place, name


def _take(element: Element, name: str) -> None:
    parent = element.getparent()
    if name:
        element.attrib.pop(name, "")
    elif parent is not None:
        parent.remove(element)


def _omission(domain: Element, path: str) -> Omission:
    place, name = _split(path)
    element = find(domain, place)
    what = "" if _is_neutral(element, name) else f"{_tag(element, name)}{_owner(element)}"
    return Omission(path=path, what=what)


def _is_neutral(element: Element, name: str) -> bool:
    if name:
        return (name, element.get(name)) in _NEUTRAL
    said = {(str(key), str(value)) for key, value in element.attrib.items() if key != "name"}
    if len(element):
        return not said and all(_is_neutral(child, "") for child in element)
    return bool(said) and said <= _NEUTRAL


def _tag(element: Element, name: str) -> str:
    pairs = ((str(key), str(value)) for key, value in element.attrib.items())
    said = [f'{key}="{value}"' for key, value in pairs if name in ("", key)]
    return f"<{' '.join([etree.QName(element).localname, *said])}>"


def _owner(element: Element) -> str:
    """Return whose a piece is: of which disk, NIC or other element."""
    disk = next(element.iterancestors("disk"), None)
    nic = next(element.iterancestors("interface"), None)
    parent = element.getparent()
    if disk is not None:
        return f" of disk {attribute(disk, 'target', 'dev')}"
    if nic is not None:
        return f" of NIC {attribute(nic, 'mac', 'address')}"
    within = "" if parent is None else etree.QName(parent).localname
    return "" if within in {"", "domain", "devices"} else f" of {within}"
