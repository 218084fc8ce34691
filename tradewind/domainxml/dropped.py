# SPDX-License-Identifier: Apache-2.0
"""What of a source's description a moved machine does not get, in sentences."""

from typing import Final

from lxml import etree

from tradewind.domainxml.document import Element
from tradewind.domainxml.dropped_devices import DEVICES, LUNS
from tradewind.domainxml.memory import MEMORY, STORED
from tradewind.domainxml.sentences import QEMU, Rule, named, said, say

__all__ = ["QEMU", "RULES", "dropped", "stored"]


def dropped(document: Element) -> tuple[str, ...]:
    """Return what stays behind, each thing once, in the order of the rules."""
    return said(document, RULES)


def stored(document: Element) -> tuple[str, ...]:
    """Return what that the guest stored data in is not moved; all of it is in `dropped`, too."""
    return said(document, (*STORED, *LUNS))


def _direct_boot(element: Element) -> str:
    kernel = (element.text or "").strip()
    return (
        f"The host boots this machine's kernel directly ({kernel}); the moved machine boots from"
        " its own disk: see that it has a kernel and a boot loader."
    )


def _model(element: Element) -> str:
    return f"The CPU model {element.text} is replaced by what cpu_mode says."


def _metadata(element: Element) -> str:
    return (
        f"What other programs noted of the machine ({etree.QName(element).namespace}) is left out."
    )


def _timer(element: Element) -> str:
    return f"The timer {element.get('name')} is left out."


def _feature(element: Element) -> str:
    return f"The feature {element.tag} is left out."


_FOREIGN_FEATURES: Final = (
    "viridian|pvspinlock|htm|hpt|nested-hv|ccf-assist|cfpc|sbbc|ibs|gic|xen|tcg|capabilities|"
    "privnet|async-teardown|ras|ps2|aia"
)
_TIMERS: Final = "@name='tsc' or @name='platform' or @name='armvtimer'"
_KEPT_METADATA: Final = (
    "namespace-uri()!='http://libosinfo.org/xmlns/libvirt/domain/1.0' and"
    " not(starts-with(namespace-uri(), 'urn:tradewind:'))"
)


# fmt: off
RULES: Final = (
    Rule("os/kernel", _direct_boot),
    Rule("os/acpi | os/smbios[@mode='host'] | sysinfo[@type='fwcfg']",
         say("Firmware tables that the old host gave the machine (ACPI, SMBIOS, fw_cfg) are left"
              " out; licences tied to them may ask again.")),
    Rule("cputune | numatune | vcpu[@cpuset]", say("CPU and NUMA pinning belongs to the old host,"
                                                    " and is left out.")),
    Rule("iothreads | iothreadids | defaultiothread", say("I/O threads are left out.")),
    Rule("vcpus/vcpu[@hotpluggable='yes' and @enabled='no']",
         say("Which vCPUs can be plugged in is left to libvirt.")),
    Rule("cpu/model", _model),
    Rule("cpu/numa", say("The NUMA cells of the guest are left out.")),
    Rule("cpu/cache | cpu/maxphysaddr", say("Cache and address width of the CPU are left to the"
                                             " CPU mode.")),
    Rule("cpu/feature[@policy='force' or @policy='disable' or @policy='forbid']",
         say("CPU features that the source forced or hid are left to cpu_features.")),
    Rule("memoryBacking", say("Huge pages and other memory backing are left out.")),
    Rule("maxMemory | devices/memory", say("Memory hot-plug and DIMMs are left out; the machine"
                                            " gets its memory at boot.")),
    *MEMORY,
    Rule("sysinfo[@type='smbios'][not(../os/smbios[@mode='sysinfo'])]",
         say("The SMBIOS strings are left out: the guest did not see them.")),
    Rule("genid", say("The generation ID is a new one: the guest is told that it is a copy.")),
    Rule("launchSecurity", say("Memory encryption (launchSecurity) is left out.")),
    Rule("keywrap", say("The wrapping of keys (keywrap) is left out.")),
    Rule("blkiotune | memtune | resource", say("Limits of CPU shares, memory and I/O are left"
                                                " out.")),
    Rule("on_reboot[normalize-space()!='restart']",
         lambda element: f"A reboot restarts the moved machine; on the source it meant"
                         f" {(element.text or '').strip()}."),
    Rule("on_lockfailure", say("What happens when the lock of a disk is lost (on_lockfailure) is"
                                " left to the new host.")),
    Rule("idmap", say("The user ID mapping is left out.")),
    Rule("seclabel[@type='static' or @type='none' or @relabel='no']",
         say("The security label belongs to the old host, and is left out.")),
    Rule("qemu:commandline | qemu:capabilities | qemu:override | qemu:deprecation",
         say("QEMU options outside libvirt's description are left out.")),
    Rule(f"metadata/*[{_KEPT_METADATA}]", _metadata),
    Rule(f"features/{named(_FOREIGN_FEATURES)}", _feature),
    Rule(f"clock/timer[{_TIMERS}]", _timer),
    *DEVICES,
)
# fmt: on
