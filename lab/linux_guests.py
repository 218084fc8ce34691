# SPDX-License-Identifier: Apache-2.0
"""The Linux guests that the lab moves, and the network that each expects."""

from dataclasses import dataclass
from typing import Final

from lab.machines import LabMachine
from lab.segments import Segment


@dataclass(frozen=True, slots=True)
class LinuxGuest:
    """A machine and what a proof of its move looks at.

    `segment` is the network of its static address where that is not the source's own `lan`; with
    one, the guest is to keep its address (set_dhcp off), without one it is to ask for a new one.
    """

    machine: LabMachine
    host_name: str
    layout: str
    files: str
    segment: Segment | None = None
    passphrase: str = ""
    uefi: bool = False

    @property
    def set_dhcp(self) -> bool:
        """Whether it gets its address by DHCP after the move."""
        return self.segment is None


UEFI_LVM: Final = LinuxGuest(
    LabMachine(
        name="debian12-uefi-lvm",
        recipe="debian12-uefi-lvm",
        uuid="7f6f3c1e-5f0b-4a57-9f0f-0d3a6a1f2c11",
        macs=("52:54:00:de:31:01", "52:54:00:de:31:02"),
        address="198.18.30.50",
    ),
    host_name="ledger",
    layout="UEFI, LVM with /var apart, VLAN 30 on a bond of two NICs",
    files="/srv/files",
    segment=Segment("198.18.30", 30),
    uefi=True,
)
BTRFS: Final = LinuxGuest(
    LabMachine(
        name="debian12-btrfs",
        recipe="debian12-btrfs",
        uuid="7f6f3c1e-5f0b-4a57-9f0f-0d3a6a1f2c12",
        macs=("52:54:00:de:32:01",),
        address="198.18.10.52",
    ),
    host_name="archive",
    layout="BIOS, btrfs subvolumes and a snapshot, Netplan",
    files="/home/files",
)
LUKS_RAID: Final = LinuxGuest(
    LabMachine(
        name="debian12-luks-raid",
        recipe="debian12-luks-raid",
        uuid="7f6f3c1e-5f0b-4a57-9f0f-0d3a6a1f2c13",
        macs=("52:54:00:de:33:01",),
        address="198.18.31.53",
    ),
    host_name="vault",
    layout="BIOS, LUKS on RAID 1 of two disks, ifupdown",
    files="/srv/files",
    segment=Segment("198.18.31"),
    passphrase="known to the lab",  # noqa: S106 - as in the image's layout.toml
)
RED_HAT: Final = LinuxGuest(
    LabMachine(
        name="redhat-standin",
        recipe="redhat-standin",
        uuid="7f6f3c1e-5f0b-4a57-9f0f-0d3a6a1f2c14",
        macs=("52:54:00:de:34:01",),
        address="198.18.32.54",
    ),
    host_name="ruby",
    layout="stand-in: BIOS, xfs, rpm, dnf, dracut, NetworkManager",
    files="/srv/files",
    segment=Segment("198.18.32"),
)
SUSE: Final = LinuxGuest(
    LabMachine(
        name="suse-standin",
        recipe="suse-standin",
        uuid="7f6f3c1e-5f0b-4a57-9f0f-0d3a6a1f2c15",
        macs=("52:54:00:de:35:01",),
        address="198.18.10.55",
    ),
    host_name="gecko",
    layout="stand-in: UEFI, btrfs as snapper has it, rpm, zypper, dracut, NetworkManager",
    files="/srv/files",
    uefi=True,
)
ALL: Final = (UEFI_LVM, BTRFS, LUKS_RAID, RED_HAT, SUSE)
