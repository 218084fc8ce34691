# SPDX-License-Identifier: Apache-2.0
"""What of a source's devices a moved machine does not get, in sentences."""

from collections.abc import Callable
from typing import Final

from tradewind.domainxml.document import Element
from tradewind.domainxml.sentences import Rule, first, named, say

# Everything a virtio-only machine on the destination replaces by its own.
_OWN_CONTROLLERS: Final = frozenset({"pci", "usb", "ide", "sata", "scsi", "fdc", "virtio-serial"})


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
    shared = first(element, ("source", "dir"), ("source", "name"), ("source", "file"))
    return f"The shared folder {shared} (“{first(element, ('target', 'dir'))}”) is not shared."


def _media(element: Element) -> str:
    path = first(element, ("source", "file"), ("source", "dev"), ("source", "volume"))
    return f"The {element.get('device')} medium {path} stays on the source."


def _lun(element: Element) -> str:
    return f"The SCSI LUN {first(element, ('source', 'dev'))} is passed through, and not moved."


def _network(element: Element) -> str:
    mac = first(element, ("mac", "address"))
    return (
        f"The NIC {mac} is of type {element.get('type')} on the source;"
        " it becomes one on what the network map says."
    )


def _passed_half(element: Element) -> str:
    nic = element.getparent()
    mac = "?" if nic is None else first(nic, ("mac", "address"))
    return (
        f"NIC {mac} was a pair (teaming): its passed-through half is left out, and the guest goes"
        " on with the virtual one."
    )


def _graphics(element: Element) -> str:
    return f"The {element.get('type')} display is replaced by what enable_vm_vnc_console says."


def _controller(element: Element) -> str:
    return f"The {element.get('type')} controller is left out."


def _channel(element: Element) -> str:
    return f"The channel {first(element, ('target', 'name'))} is left out."


def _special(element: Element) -> str:
    return f"The {element.tag} device is left out."


def _tpm(element: Element) -> str:
    return (
        "The TPM's contents stay on the source. What is sealed in it asks for its recovery key:"
        " suspend BitLocker before the move (manage-bde -protectors -disable C:), or have its key;"
        " for LUKS have a passphrase, and enroll the new TPM afterwards (systemd-cryptenroll)."
        if first(element, ("backend", "type")) == "emulator"
        else "The host's own TPM is not passed through."
    )


def _emulator(element: Element) -> str:
    return f"The emulator {element.text} of its own is left out: the new host's is used."


def _of_disk(sentence: str) -> Callable[[Element], str]:
    def say(element: Element) -> str:
        disk = next(element.iterancestors("disk"))
        return sentence.format(disk=first(disk, ("target", "dev")))

    return say


def _of_nic(sentence: str) -> Callable[[Element], str]:
    def say(element: Element) -> str:
        nic = next(element.iterancestors("interface"))
        found = {
            "mac": first(nic, ("mac", "address")),
            "tag": element.tag,
            "name": element.get("dev") or element.get("filter") or element.get("type") or "?",
        }
        return sentence.format(**found)

    return say


def _port(element: Element) -> str:
    place = first(element, ("source", "path"), ("source", "host"), ("source[@service]", "service"))
    service = first(element, ("source[@service]", "service"))
    where = place if service in {"?", place} else f"{place}:{service}"
    return (
        f"The first serial port was connected to {element.get('type')} {where} on the source; the"
        " moved machine's is a console of its host."
    ).replace(" ? ", " ")


def _port_model(element: Element) -> str:
    return (
        f"The first serial port was a device of kind {element.get('type')}; the moved machine's is"
        " a plain one (ttyS0, COM1)."
    )


def _console(element: Element) -> str:
    return (
        f"The {element.get('type')} console is left out: what the guest writes to it (console=hvc0)"
        " is to go to its serial port (console=ttyS0)."
    )


def _input(element: Element) -> str:
    path = first(element, ("source", "evdev"), ("source", "dev"))
    return f"The host's input device {path} is not passed through."


_OTHER_CONTROLLER: Final = " and ".join(f"@type!='{kind}'" for kind in sorted(_OWN_CONTROLLERS))

_KEPT_CHANNELS: Final = "target/@name!='org.qemu.guest_agent.0'"

# Of <devices>: what a moved machine gets none of, each named in its sentence.
_SPECIAL: Final = (
    "shmem|redirdev|redirfilter|smartcard|parallel|sound|vsock|pstore|nvram|lease|crypto"
)
# Where distributions put the emulator that libvirt uses of itself.
_USUAL_EMULATORS: Final = (
    "starts-with(., '/usr/bin/qemu-') or .='/usr/libexec/qemu-kvm' or .='/usr/bin/kvm'"
    " or .='/usr/bin/qemu-kvm'"
)
# Names that libvirt and its networks give to taps of themselves.
_USUAL_TAPS: Final = (
    "starts-with(@dev, 'vnet') or starts-with(@dev, 'macvtap') or starts-with(@dev, 'tap')"
)

LUNS: Final = (Rule("devices/disk[@device='lun']", _lun),)

# fmt: off
DEVICES: Final = (
    Rule(f"devices/emulator[not({_USUAL_EMULATORS})]", _emulator),
    Rule("devices/hostdev", _hostdev),
    Rule("devices/filesystem", _filesystem),
    Rule("devices/disk[@device='cdrom' or @device='floppy']"
         "[source[@file or @dev or @volume or @name]]", _media),
    *LUNS,
    Rule("devices/disk/iotune | devices/disk/throttlefilters",
         say("I/O limits of disks are left out.")),
    Rule("devices/disk[not(@device) or @device='disk']/shareable",
         _of_disk("Disk {disk} is shared between machines on the source; the moved machine has a"
                  " copy of its own.")),
    Rule("devices/disk/transient", _of_disk("Disk {disk} forgot on the source what was written to"
                                            " it; the moved machine's disk keeps it.")),
    Rule("devices/disk/encryption | devices/disk/source/encryption",
         _of_disk("Disk {disk} is encrypted by its host on the source; its copy is as the guest"
                  " sees it, in the clear unless the pool encrypts it.")),
    Rule("devices/interface[@type!='network' and @type!='bridge']"
         "[not(teaming/@type='transient')]", _network),
    Rule("devices/interface/teaming[@type='transient']", _passed_half),
    Rule("devices/interface/bandwidth", say("Bandwidth limits of NICs are left out.")),
    Rule("devices/interface/vlan", say("VLAN tags of NICs are left out: the network map"
                                        " decides.")),
    Rule("devices/interface/virtualport[@type!='openvswitch']",
         _of_nic("The {name} port of NIC {mac} is left out: the network map decides.")),
    Rule("devices/interface/filterref",
         _of_nic("The filter {name} of NIC {mac} is left out: define it on the new host, and add"
                 " it.")),
    Rule("devices/interface/coalesce | devices/interface/tune | devices/interface/rom |"
         " devices/interface/teaming[@type='persistent'] | devices/interface/script |"
         " devices/interface/downscript | devices/interface/backend[@type] |"
         " devices/interface/portForward",
         _of_nic("The setting {tag} of NIC {mac} is left out.")),
    Rule(f"devices/interface/target[@dev and not({_USUAL_TAPS})]",
         _of_nic("The host's name {name} for NIC {mac} is left out.")),
    Rule("devices/tpm", _tpm),
    Rule("devices/graphics", _graphics),
    Rule(f"devices/controller[{_OTHER_CONTROLLER}]", _controller),
    Rule(f"devices/channel[{_KEPT_CHANNELS}]", _channel),
    Rule("devices/serial[1][@type!='pty']", _port),
    Rule("devices/serial[1]/target[@type!='isa-serial']", _port_model),
    Rule("devices/console/target[@type!='serial']", _console),
    Rule("devices/serial[position()>1]", say("Serial ports other than the first are left out.")),
    Rule("devices/input[@type='passthrough' or @type='evdev']", _input),
    # Libvirt 9.1 gives every q35 domain an itco watchdog, and describes it.
    Rule("devices/watchdog[@model!='itco' and @model!='i6300esb' and @model!='ib700']", _special),
    Rule("devices/panic[@model!='isa']", _special),
    Rule(f"devices/{named(_SPECIAL)}", _special),
    Rule("devices/video/model/acceleration", say("3D acceleration is left out.")),
)
# fmt: on
