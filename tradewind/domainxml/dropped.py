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
        " it becomes one on what the network map says."
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
        "The TPM's contents stay on the source. What is sealed in it asks for its recovery key:"
        " suspend BitLocker before the move (manage-bde -protectors -disable C:), or have its key;"
        " for LUKS have a passphrase, and enroll the new TPM afterwards (systemd-cryptenroll)."
        if _first(element, ("backend", "type")) == "emulator"
        else "The host's own TPM is not passed through."
    )


def _direct_boot(element: Element) -> str:
    kernel = (element.text or "").strip()
    return (
        f"The host boots this machine's kernel directly ({kernel}); the moved machine boots from"
        " its own disk: see that it has a kernel and a boot loader."
    )


def _emulator(element: Element) -> str:
    return f"The emulator {element.text} of its own is left out: the new host's is used."


def _model(element: Element) -> str:
    return f"The CPU model {element.text} is replaced by what cpu_mode says."


def _of_disk(sentence: str) -> Callable[[Element], str]:
    def say(element: Element) -> str:
        disk = next(element.iterancestors("disk"))
        return sentence.format(disk=_first(disk, ("target", "dev")))

    return say


def _of_nic(sentence: str) -> Callable[[Element], str]:
    def say(element: Element) -> str:
        nic = next(element.iterancestors("interface"))
        found = {
            "mac": _first(nic, ("mac", "address")),
            "tag": element.tag,
            "name": element.get("dev") or element.get("filter") or element.get("type") or "?",
        }
        return sentence.format(**found)

    return say


def _metadata(element: Element) -> str:
    return (
        f"What other programs noted of the machine ({etree.QName(element).namespace}) is left out."
    )


def _timer(element: Element) -> str:
    return f"The timer {element.get('name')} is left out."


def _feature(element: Element) -> str:
    return f"The feature {element.tag} is left out."


def _input(element: Element) -> str:
    path = _first(element, ("source", "evdev"), ("source", "dev"))
    return f"The host's input device {path} is not passed through."


_OTHER_CONTROLLER: Final = " and ".join(f"@type!='{kind}'" for kind in sorted(_OWN_CONTROLLERS))

_KEPT_CHANNELS: Final = "target/@name!='org.qemu.guest_agent.0'"

# Of <devices>: what a moved machine gets none of, each named in its sentence.
_SPECIAL: Final = (
    "shmem|redirdev|redirfilter|smartcard|parallel|sound|vsock|iommu|pstore|nvram|lease|crypto"
)
_FOREIGN_FEATURES: Final = (
    "viridian|pvspinlock|htm|hpt|nested-hv|ccf-assist|cfpc|sbbc|ibs|gic|xen|tcg|capabilities|"
    "privnet|async-teardown|ras|ps2|aia"
)
_TIMERS: Final = "@name='tsc' or @name='platform' or @name='armvtimer'"
# Where distributions put the emulator that libvirt uses of itself.
_USUAL_EMULATORS: Final = (
    "starts-with(., '/usr/bin/qemu-') or .='/usr/libexec/qemu-kvm' or .='/usr/bin/kvm'"
    " or .='/usr/bin/qemu-kvm'"
)
# Names that libvirt and its networks give to taps of themselves.
_USUAL_TAPS: Final = (
    "starts-with(@dev, 'vnet') or starts-with(@dev, 'macvtap') or starts-with(@dev, 'tap')"
)
_KEPT_METADATA: Final = (
    "namespace-uri()!='http://libosinfo.org/xmlns/libvirt/domain/1.0' and"
    " not(starts-with(namespace-uri(), 'urn:tradewind:'))"
)


def _named(names: str) -> str:
    return f"*[contains('|{names}|', concat('|', name(), '|'))]"


# fmt: off
RULES: Final = (
    Rule("os/kernel", _direct_boot),
    Rule("os/acpi | os/smbios[@mode='host'] | sysinfo[@type='fwcfg']",
         _say("Firmware tables that the old host gave the machine (ACPI, SMBIOS, fw_cfg) are left"
              " out; licences tied to them may ask again.")),
    Rule("cputune | numatune | vcpu[@cpuset]", _say("CPU and NUMA pinning belongs to the old host,"
                                                    " and is left out.")),
    Rule("iothreads | iothreadids | defaultiothread", _say("I/O threads are left out.")),
    Rule("vcpus/vcpu[@hotpluggable='yes' and @enabled='no']",
         _say("Which vCPUs can be plugged in is left to libvirt.")),
    Rule("cpu/model", _model),
    Rule("cpu/numa", _say("The NUMA cells of the guest are left out.")),
    Rule("cpu/cache | cpu/maxphysaddr", _say("Cache and address width of the CPU are left to the"
                                             " CPU mode.")),
    Rule("cpu/feature[@policy='force' or @policy='disable' or @policy='forbid']",
         _say("CPU features that the source forced or hid are left to cpu_features.")),
    Rule("memoryBacking", _say("Huge pages and other memory backing are left out.")),
    Rule("maxMemory | devices/memory", _say("Memory hot-plug and DIMMs are left out; the machine"
                                            " gets its memory at boot.")),
    Rule("sysinfo[@type='smbios'][not(../os/smbios[@mode='sysinfo'])]",
         _say("The SMBIOS strings are left out: the guest did not see them.")),
    Rule("genid", _say("The generation ID is a new one: the guest is told that it is a copy.")),
    Rule("launchSecurity", _say("Memory encryption (launchSecurity) is left out.")),
    Rule("keywrap", _say("The wrapping of keys (keywrap) is left out.")),
    Rule("blkiotune | memtune | resource", _say("Limits of CPU shares, memory and I/O are left"
                                                " out.")),
    Rule("on_reboot[normalize-space()!='restart']",
         lambda element: f"A reboot restarts the moved machine; on the source it meant"
                         f" {(element.text or '').strip()}."),
    Rule("on_lockfailure", _say("What happens when the lock of a disk is lost (on_lockfailure) is"
                                " left to the new host.")),
    Rule("idmap", _say("The user ID mapping is left out.")),
    Rule("seclabel[@type='static' or @type='none' or @relabel='no']",
         _say("The security label belongs to the old host, and is left out.")),
    Rule("qemu:commandline | qemu:capabilities | qemu:override | qemu:deprecation",
         _say("QEMU options outside libvirt's description are left out.")),
    Rule(f"metadata/*[{_KEPT_METADATA}]", _metadata),
    Rule(f"features/{_named(_FOREIGN_FEATURES)}", _feature),
    Rule(f"clock/timer[{_TIMERS}]", _timer),
    Rule(f"devices/emulator[not({_USUAL_EMULATORS})]", _emulator),
    Rule("devices/hostdev", _hostdev),
    Rule("devices/filesystem", _filesystem),
    Rule("devices/disk[@device='cdrom' or @device='floppy']"
         "[source[@file or @dev or @volume or @name]]", _media),
    Rule("devices/disk[@device='lun']", _lun),
    Rule("devices/disk/iotune | devices/disk/throttlefilters",
         _say("I/O limits of disks are left out.")),
    Rule("devices/disk[not(@device) or @device='disk']/shareable",
         _of_disk("Disk {disk} is shared between machines on the source; the moved machine has a"
                  " copy of its own.")),
    Rule("devices/disk/transient", _of_disk("Disk {disk} forgot on the source what was written to"
                                            " it; the moved machine's disk keeps it.")),
    Rule("devices/disk/encryption | devices/disk/source/encryption",
         _of_disk("Disk {disk} is encrypted by its host on the source; its copy is as the guest"
                  " sees it, in the clear unless the pool encrypts it.")),
    Rule("devices/interface[@type!='network' and @type!='bridge']", _network),
    Rule("devices/interface/bandwidth", _say("Bandwidth limits of NICs are left out.")),
    Rule("devices/interface/vlan", _say("VLAN tags of NICs are left out: the network map"
                                        " decides.")),
    Rule("devices/interface/virtualport[@type!='openvswitch']",
         _of_nic("The {name} port of NIC {mac} is left out: the network map decides.")),
    Rule("devices/interface/filterref",
         _of_nic("The filter {name} of NIC {mac} is left out: define it on the new host, and add"
                 " it.")),
    Rule("devices/interface/coalesce | devices/interface/tune | devices/interface/rom |"
         " devices/interface/teaming | devices/interface/script | devices/interface/downscript |"
         " devices/interface/backend[@type] | devices/interface/portForward",
         _of_nic("The setting {tag} of NIC {mac} is left out.")),
    Rule(f"devices/interface/target[@dev and not({_USUAL_TAPS})]",
         _of_nic("The host's name {name} for NIC {mac} is left out.")),
    Rule("devices/tpm", _tpm),
    Rule("devices/graphics", _graphics),
    Rule(f"devices/controller[{_OTHER_CONTROLLER}]", _controller),
    Rule(f"devices/channel[{_KEPT_CHANNELS}]", _channel),
    Rule("devices/serial[position()>1]", _say("Serial ports other than the first are left out.")),
    Rule("devices/input[@type='passthrough' or @type='evdev']", _input),
    # Libvirt 9.1 gives every q35 domain an itco watchdog, and describes it.
    Rule("devices/watchdog[@model!='itco' and @model!='i6300esb' and @model!='ib700']", _special),
    Rule("devices/panic[@model!='isa']", _special),
    Rule(f"devices/{_named(_SPECIAL)}", _special),
    Rule("devices/video/model/acceleration", _say("3D acceleration is left out.")),
)
# fmt: on
