# SPDX-License-Identifier: Apache-2.0
"""What of a source's description a moved machine does not get, in sentences."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from lxml import etree

from tradewind.domainxml.document import Element

QEMU: Final = "http://libvirt.org/schemas/domain/qemu/1.0"

# Everything a virtio-only machine on the destination replaces by its own.
_OWN_CONTROLLERS: Final = frozenset({"pci", "usb", "ide", "sata", "scsi", "fdc", "virtio-serial"})


class Rule(NamedTuple):
    """An XPath, and the sentence for each element that it finds."""

    path: str
    sentence: Callable[[Element], str]


def dropped(document: Element) -> tuple[str, ...]:
    """Say what stays behind, each thing once, in the order of the rules."""
    sentences = (rule.sentence(found) for rule in RULES for found in _elements(document, rule))
    return tuple(dict.fromkeys(sentences))


def _elements(document: Element, rule: Rule) -> Iterator[Element]:
    found = document.xpath(rule.path, namespaces={"qemu": QEMU})
    if isinstance(found, list):
        yield from (item for item in found if isinstance(item, etree._Element))


def _say(sentence: str) -> Callable[[Element], str]:
    return lambda _element: sentence


def _first(element: Element, *choices: tuple[str, str]) -> str:
    """Return the first attribute there is of (path, name) pairs."""
    for path, name in choices:
        found = element.find(path)
        if found is not None and found.get(name):
            return str(found.get(name))
    return "?"


def _hostdev(element: Element) -> str:
    kind = element.get("type") or element.get("mode") or "device"
    return f"The host's {kind} device {_device_address(element)} is not passed through."


def _device_address(element: Element) -> str:
    address = element.find("source/address")
    if address is not None:
        numbers = [str(value) for value in address.attrib.values()]
    else:
        numbers = [
            item.get("id") or item.get("name") or "" for item in element.iterfind("source/*")
        ]
    return ":".join(number.removeprefix("0x") for number in numbers)


def _filesystem(element: Element) -> str:
    shared = _first(element, ("source", "dir"), ("source", "name"), ("source", "file"))
    return f"The shared folder {shared} (“{_first(element, ('target', 'dir'))}”) is not shared."


def _media(element: Element) -> str:
    path = _first(element, ("source", "file"), ("source", "dev"), ("source", "volume"))
    return f"The {element.get('device')} medium {path} stays on the source."


def _lun(element: Element) -> str:
    return f"The SCSI LUN {_first(element, ('source', 'dev'))} is passed through, and not moved."


def _network(element: Element) -> str:
    mac = _first(element, ("mac", "address"))
    return (
        f"The NIC {mac} is of type {element.get('type')} on the source;"
        " it becomes a virtio NIC on a libvirt network."
    )


def _graphics(element: Element) -> str:
    return f"The {element.get('type')} display is replaced by what enable_vm_vnc_console says."


def _controller(element: Element) -> str:
    return f"The {element.get('type')} controller is left out."


def _channel(element: Element) -> str:
    return f"The channel {_first(element, ('target', 'name'))} is left out."


def _special(element: Element) -> str:
    return f"The {element.tag} device is left out."


def _tpm(element: Element) -> str:
    return (
        "The TPM's contents stay on the source: have the recovery keys of what is sealed in it."
        if _first(element, ("backend", "type")) == "emulator"
        else "The host's own TPM is not passed through."
    )


_OTHER_CONTROLLER: Final = " and ".join(f"@type!='{kind}'" for kind in sorted(_OWN_CONTROLLERS))

_KEPT_CHANNELS: Final = "target/@name!='org.qemu.guest_agent.0'"

_SPECIAL: Final = (
    "shmem|redirdev|smartcard|parallel|sound|vsock|iommu|pstore|panic|nvram|lease|crypto"
)

# fmt: off
RULES: Final = (
    Rule("os/kernel", _say("The host boots this machine's kernel directly; the moved machine"
                           " boots from its own disk.")),
    Rule("os/nvram", _say("The UEFI variables (boot entries) stay behind; the machine starts"
                          " from the fallback path of its EFI partition.")),
    Rule("os/boot[1][@dev!='hd']", _say("The machine booted from something other than its disk"
                                        " first; the moved machine boots from its disk.")),
    Rule("cputune | numatune | vcpu[@cpuset]", _say("CPU and NUMA pinning belongs to the old host,"
                                                    " and is left out.")),
    Rule("cpu/numa", _say("The NUMA cells of the guest are left out.")),
    Rule("memoryBacking", _say("Huge pages and other memory backing are left out.")),
    Rule("maxMemory | devices/memory", _say("Memory hot-plug and DIMMs are left out; the machine"
                                            " gets its memory at boot.")),
    Rule("sysinfo", _say("The SMBIOS strings are left out; licences tied to them may ask again.")),
    Rule("genid", _say("The generation ID is left out; the guest sees a new machine.")),
    Rule("launchSecurity", _say("Memory encryption (launchSecurity) is left out.")),
    Rule("blkiotune | memtune | resource", _say("Limits of CPU shares, memory and I/O are left"
                                                " out.")),
    Rule("idmap", _say("The user ID mapping is left out.")),
    Rule("qemu:commandline | qemu:capabilities | qemu:override",
         _say("QEMU options outside libvirt's description are left out.")),
    Rule("clock[@offset='timezone'] | clock[@offset='absolute']",
         _say("The clock's own time zone or start is left out; it counts UTC or local time.")),
    Rule("devices/hostdev", _hostdev),
    Rule("devices/filesystem", _filesystem),
    Rule("devices/disk[@device='cdrom'][source] | devices/disk[@device='floppy'][source]", _media),
    Rule("devices/disk[@device='lun']", _lun),
    Rule("devices/disk/iotune", _say("I/O limits of disks are left out.")),
    Rule("devices/interface[@type!='network' and @type!='bridge']", _network),
    Rule("devices/interface/bandwidth", _say("Bandwidth limits of NICs are left out.")),
    Rule("devices/interface/vlan", _say("VLAN tags of NICs are left out: the network on the"
                                        " destination decides.")),
    Rule("devices/tpm", _tpm),
    Rule("devices/graphics", _graphics),
    Rule(f"devices/controller[{_OTHER_CONTROLLER}]", _controller),
    Rule(f"devices/channel[{_KEPT_CHANNELS}]", _channel),
    # Libvirt 9.1 gives every q35 domain an itco watchdog, and describes it.
    Rule("devices/watchdog[@model!='itco']", _special),
    Rule(f"devices/*[contains('|{_SPECIAL}|', concat('|', name(), '|'))]", _special),
    Rule("devices/video/model/acceleration", _say("3D acceleration is left out.")),
)
# fmt: on
