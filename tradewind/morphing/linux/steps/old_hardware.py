# SPDX-License-Identifier: Apache-2.0
"""Take back settings for drivers of the old platform: its network and disk aliases, its screen."""

import re
from collections.abc import Iterator
from typing import Final

from tradewind.model.guest import GuestOS, MorphOptions, Outcome
from tradewind.morphing import backup, files
from tradewind.ports import GuestTree

# Before udev loaded drivers by themselves, these said which driver a device has. Format:
# modprobe.conf(5).
_ALIAS_FILES: Final = ("/etc/modprobe.conf", "/etc/modules.conf", "/etc/modprobe.d/*")
_NETWORK: Final = re.compile(r"^([ \t]*alias[ \t]+eth\d+[ \t]+)(\S+)", re.MULTILINE)
_DISK: Final = re.compile(
    r"^[ \t]*alias[ \t]+scsi_hostadapter(\d*)[ \t]+(\S+)[^\n]*\n?", re.MULTILINE
)
# Drivers that belong to VMware, VirtualBox, Xen, Hyper-V and what they emulate.
_OLD_NETWORK: Final = {
    "vmxnet", "vmxnet2", "vmxnet3", "pcnet32", "e1000", "e1000e", "8139too", "8139cp", "xennet",
    "xen_vnif", "xen-vnif", "netfront", "hv_netvsc", "tulip", "vlance",
}  # fmt: skip
_OLD_DISK: Final = {
    "vmw_pvscsi", "pvscsi", "mptscsih", "mptbase", "mptspi", "mptsas", "BusLogic", "xenblk",
    "xbdfront", "xen_vbd", "xen-vbd", "blkfront", "hv_storvsc", "sym53c8xx",
}  # fmt: skip
# Screens of the old platform, named in a configuration, make the X server fail.
_XORG: Final = ("/etc/X11/xorg.conf", "/etc/X11/XF86Config", "/etc/X11/xorg.conf.d/*.conf")
_XORG_DRIVER: Final = re.compile(
    r"^[ \t]*Driver[ \t]+\"(?:vmware|vboxvideo|vboxmouse|vmmouse|cirrus|hyperv_fb|prlvideo)\"",
    re.MULTILINE | re.IGNORECASE,
)
# kudzu asks at the console about hardware that is gone, and waits.
_KUDZU: Final = "/etc/init.d/kudzu"
_STARTS_KUDZU: Final = "ls -d /etc/rc[0-6].d/S*kudzu /etc/rc.d/rc[0-6].d/S*kudzu | grep -q ."


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Every Linux system may have such files."""
    return True


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Rewrite the aliases, set configurations of the screen aside, and look again."""
    done = (*_aliases(guest), *_screens(guest), *_kudzu(guest))
    if not done:
        return Outcome(changed=False, summary="nothing names a driver of the old platform")
    return Outcome(changed=True, summary="; ".join(done))


def _aliases(guest: GuestTree) -> Iterator[str]:
    for path, text in files.read(guest, *_ALIAS_FILES).items():
        new = _DISK.sub(_disk, _NETWORK.sub(_network, text))
        if new != text:
            backup.rewrite(guest, path, new)
            yield f"{path} names VirtIO drivers"


def _network(match: re.Match[str]) -> str:
    return match[1] + ("virtio_net" if match[2] in _OLD_NETWORK else match[2])


def _disk(match: re.Match[str]) -> str:
    """Let the first be ours: from it the old mkinitrd takes what it puts into the image."""
    if match[2] not in _OLD_DISK:
        return match[0]
    return "alias scsi_hostadapter virtio_blk\n" if match[1] == "" else ""


def _screens(guest: GuestTree) -> Iterator[str]:
    for path, text in files.read(guest, *_XORG).items():
        if _XORG_DRIVER.search(text):
            backup.set_aside(guest, path)
            yield f"{path} set aside: the X server finds the screen by itself"


def _kudzu(guest: GuestTree) -> Iterator[str]:
    if not files.present(guest, _KUDZU):
        return
    if guest.run(["sh", "-c", _STARTS_KUDZU], check=False).status == 0:
        guest.run(["chkconfig", "kudzu", "off"])
        yield "kudzu switched off"
