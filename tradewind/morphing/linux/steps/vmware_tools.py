# SPDX-License-Identifier: Apache-2.0
"""Remove or switch off VMware's tools, which have no host to talk to any more."""

from typing import Final

from tradewind.model.guest import GuestOS, MorphOptions, Outcome
from tradewind.morphing.linux import foreign
from tradewind.ports import GuestTree

TOOLS: Final = foreign.PlatformTools(
    name="VMware tools",
    packages=(
        "open-vm-tools",
        "open-vm-tools-*",
        "vmware-tools-*",
        "VMwareTools",
        "kmod-vmware-tools*",
        "vmware-open-vm-tools*",
    ),
    units=(
        "open-vm-tools.service",
        "vmtoolsd.service",
        "vgauthd.service",
        "vgauth.service",
        "vmware-tools.service",
        "vmware-tools-thinprint.service",
        "run-vmblock\\x2dfuse.mount",
    ),
    scripts=("vmware-tools", "vmware-tools-thinprint"),
    traces=("/usr/bin/vmware-uninstall-tools.pl", "/usr/lib/vmware-tools"),
    configuration=("/etc/vmware-tools",),
    repositories=("vmware.com",),
    filesystems=("vmhgfs", "fuse.vmhgfs-fuse", "vmhgfs-fuse"),
)


def applies_to(os: GuestOS, options: MorphOptions) -> bool:
    """Any Linux guest may have them."""
    return True


def apply(guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
    """Remove the packages that nothing else needs, and switch off what is left."""
    return foreign.take_away(guest, os, TOOLS)
