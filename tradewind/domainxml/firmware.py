# SPDX-License-Identifier: Apache-2.0
"""The <os> of a created domain: machine type, firmware, and what SMBIOS says of it.

Format: https://libvirt.org/formatdomain.html#operating-system-booting.
"""

from copy import deepcopy
from typing import Final

from tradewind.domainxml.document import E, Element, attribute, parse
from tradewind.model.deploy import FinalDomain
from tradewind.model.machine import Firmware, FirmwareKind

# What new machines have, and what runs all of it that it ever ran: a processor of x86_64 starts in
# the modes of its predecessors. As a machine type of its own QEMU has no KVM for the latter.
ARCHITECTURE: Final = "x86_64"
NARROW: Final = "i686"
_KEPT: Final = ("bootmenu", "bios")


def os_element(firmware: Firmware, source: Element, plan: FinalDomain) -> Element:
    """Describe how the machine starts."""
    os = _started(firmware, source, plan)
    os.extend(deepcopy(kept) for name in _KEPT for kept in source.iterfind(f"os/{name}"))
    if has_own_smbios(source):
        os.append(E.smbios(mode="sysinfo"))
    return os


def _started(firmware: Firmware, source: Element, plan: FinalDomain) -> Element:
    type_ = E.type("hvm", arch=ARCHITECTURE, machine=plan.machine_type)
    if firmware.kind is FirmwareKind.BIOS:
        return E.os(type_)
    # Libvirt picks the firmware from the features; keys are enrolled exactly when they are used.
    answer = "yes" if firmware.secure_boot else "no"
    os = E.os(
        type_,
        E.firmware(
            E.feature(enabled=answer, name="enrolled-keys"),
            E.feature(enabled=answer, name="secure-boot"),
        ),
        firmware="efi",
    )
    if firmware.secure_boot:  # libvirt 9.0 takes the attribute beside the features only as "yes"
        os.append(E.loader(secure="yes"))
    if plan.nvram is not None:  # libvirt starts with a file that is there already as it is
        os.append(E.nvram(plan.nvram, **_format(plan.nvram_format)))
    return os


def _format(name: str) -> dict[str, str]:
    """Say a store's format where it is not raw: libvirt knows no other before 9.2."""
    return {} if name == "raw" else {"format": name}


def architecture(description: str | None) -> str:
    """Name the processor that a source describes; ours where it does not say."""
    found = attribute(parse(description), "os/type", "arch") if description else None
    return found or ARCHITECTURE


def has_own_smbios(source: Element) -> bool:
    """Return whether the guest sees the strings of <sysinfo>."""
    asked = attribute(source, "os/smbios", "mode") == "sysinfo"
    return asked and source.find("sysinfo[@type='smbios']") is not None


def sysinfo(source: Element, uuid: str | None) -> list[Element]:
    """Keep the SMBIOS strings. Libvirt insists that a UUID among them is the domain's own."""
    if not has_own_smbios(source):
        return []
    kept = [deepcopy(strings) for strings in source.iterfind("sysinfo[@type='smbios']")]
    for entry in [entry for each in kept for entry in each.iterfind("system/entry[@name='uuid']")]:
        parent = entry.getparent()
        if uuid is not None:
            entry.text = uuid
        elif parent is not None:
            parent.remove(entry)
    return kept
