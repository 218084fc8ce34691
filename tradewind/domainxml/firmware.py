# SPDX-License-Identifier: Apache-2.0
"""The <os> of a created domain: machine type, firmware, and what SMBIOS says of it.

Format: https://libvirt.org/formatdomain.html#operating-system-booting.
"""

from copy import deepcopy
from typing import Final

from tradewind.domainxml.document import E, Element, attribute
from tradewind.model.deploy import FinalDomain
from tradewind.model.machine import Firmware, FirmwareKind

_KEPT: Final = ("bootmenu", "bios")


def os_element(firmware: Firmware, source: Element, plan: FinalDomain) -> Element:
    """Describe how the machine starts."""
    os = _started(firmware, source, plan)
    os.extend(deepcopy(kept) for name in _KEPT for kept in source.iterfind(f"os/{name}"))
    if has_own_smbios(source):
        os.append(E.smbios(mode="sysinfo"))
    return os


def _started(firmware: Firmware, source: Element, plan: FinalDomain) -> Element:
    type_ = E.type("hvm", arch=_architecture(source), machine=plan.machine_type)
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
        os.append(E.nvram(plan.nvram))
    return os


def _architecture(source: Element) -> str:
    type_ = source.find("os/type")
    return "x86_64" if type_ is None else type_.get("arch", "x86_64")


def has_own_smbios(source: Element) -> bool:
    """Say whether the guest sees the strings of <sysinfo>."""
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
