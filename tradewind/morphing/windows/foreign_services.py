# SPDX-License-Identifier: Apache-2.0
"""Services of the hypervisor that a guest comes from, which have nothing to do on another one.

Only such as start by themselves: a driver whose device is gone is not loaded. VMware's pvscsi and
vmxnet3 stay for that reason, and so does what Windows brings for Hyper-V.
"""

import re
from typing import Final

from tradewind.morphing.windows.hives.hive import Hive
from tradewind.morphing.windows.hives.values import dword, multi_sz

DISABLED: Final = 4
SERVICES: Final = {
    "VMware": (
        "vgauthservice",
        "vm3dservice",
        "vmci",
        "vmhgfs",
        "vmmemctl",
        "vmrawdsk",
        "vmtools",
        "vsock",
    ),
    "VirtualBox": ("vboxguest", "vboxservice", "vboxsf"),
    "Xen": (
        "rhelfltr",
        "rhelnet",
        "rhelpci",
        "rhelscsi",
        "xenbus",
        "xendisk",
        "xenevtchn",
        "xenfilt",
        "xenhide",
        "xeniface",
        "xennet",
        "xensvc",
        "xenvbd",
        "xenvif",
    ),
    "Parallels": (
        "prl_boot",
        "prl_dd",
        "prl_eth5",
        "prl_fs",
        "prl_memdev",
        "prl_mouf",
        "prl_pv32",
        "prl_pv64",
        "prl_scsi",
        "prl_sound",
        "prl_strg",
        "prl_tg",
        "prl_time",
        "prl_uprof",
        "prl_va",
    ),
}
_GUID: Final = re.compile(r"\{[0-9a-f-]{36}\}", re.IGNORECASE)
_FILTERS: Final = ("UpperFilters", "LowerFilters")


def turn_off(hive: Hive, control_set: str) -> None:
    """Disable them where they are, and take them out of the filters of their device classes.

    A class whose filter is disabled has no working device: the filter goes first.
    """
    services = f"{control_set}\\Services"
    there = {name.lower(): name for name in hive.subkeys(services)}
    foreign = {name for names in SERVICES.values() for name in names} & there.keys()
    if not foreign:
        return
    for guid in filter(_GUID.fullmatch, hive.subkeys(f"{control_set}\\Control\\Class")):
        _take_out(hive, f"{control_set}\\Control\\Class\\{guid}", foreign)
    for name in sorted(foreign):
        hive.set(f"{services}\\{there[name]}", "Start", dword(DISABLED))


def _take_out(hive: Hive, device_class: str, foreign: set[str]) -> None:
    for value in _FILTERS:
        filters = hive.texts(device_class, value)
        kept = [name for name in filters if name.lower() not in foreign]
        if len(kept) < len(filters):
            hive.set(device_class, value, multi_sz(*kept))
