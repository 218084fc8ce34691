# SPDX-License-Identifier: Apache-2.0
"""The command line of a plain QEMU that starts an image, with user-mode networking."""

import socket
from collections.abc import Iterator
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Final

from images.recipe import TrialHardware

LOOPBACK: Final = "127.0.0.1"
UEFI: Final = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
UEFI_VARIABLES: Final = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
# fmt: off
# The NIC sits on the second PCI bus, as on the lab's source host: Linux calls it enp2s0.
SLOTS: Final = (
    "-device", "pcie-root-port,id=slot1,chassis=1", "-device", "pcie-root-port,id=slot2,chassis=2",
)
# fmt: on


def command(
    hardware: TrialHardware, disks: list[Path], seed: Path | None, console: Path, ssh_port: int
) -> list[str]:
    """Compose the command for one machine; SSH is forwarded from a port on loopback.

    TCG and not KVM: /dev/kvm can exist and be useless, and the slow case is the one to measure.
    """
    # fmt: off
    return [
        "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi",
        "-cpu", hardware.cpu, "-smp", "2", "-m", str(hardware.memory_mib), "-nodefaults",
        "-display", "none", "-device", "virtio-rng-pci",
        "-chardev", f"file,id=console,path={console}", "-serial", "chardev:console",
        "-netdev", network(hardware, ssh_port), *SLOTS,
        "-device", f"{hardware.nic},netdev=net,bus=slot2",
        *(word for number, disk in enumerate(disks) for word in drive(hardware, number, disk)),
        # GRUB's graphical terminal, in a menu made by grub-mkconfig, waits for a screen for ever.
        *(cdrom(seed) if seed else ("-device", "VGA")),
    ]
    # fmt: on


def network(hardware: TrialHardware, ssh_port: int) -> str:
    """Describe QEMU's own little network, around the guest's address if it has a fixed one."""
    forward = f"hostfwd=tcp:{LOOPBACK}:{ssh_port}"
    if not hardware.address:
        return f"user,id=net,restrict=on,{forward}-:22"
    guest = IPv4Interface(hardware.address)
    gateway = guest.network[1]
    return f"user,id=net,restrict=on,net={guest.network},host={gateway},{forward}-{guest.ip}:22"


def drive(hardware: TrialHardware, number: int, disk: Path) -> Iterator[str]:
    """Attach one disk to the recipe's bus."""
    device = {"virtio": "virtio-blk-pci", "sata": f"ide-hd,bus=ide.{number}"}[hardware.bus]
    yield "-drive"
    yield f"if=none,id=disk{number},file={disk},format=qcow2,cache=unsafe,discard=unmap"
    yield "-device"
    yield f"{device},drive=disk{number}"


def blank_drive(serial: str, disk: Path, sector: int = 512) -> list[str]:
    """Attach one more disk, which Linux finds by its serial; its sectors are in bytes."""
    sizes = f"logical_block_size={sector},physical_block_size={sector}"
    # fmt: off
    return [
        "-drive", f"if=none,id={serial},file={disk},format=qcow2,cache=unsafe,discard=unmap",
        "-device", f"virtio-blk-pci,drive={serial},serial={serial},{sizes}",
    ]
    # fmt: on


def cdrom(seed: Path) -> tuple[str, ...]:
    """Attach the seed to virtio-scsi: cloud kernels have no AHCI driver."""
    # fmt: off
    return (
        "-drive", f"if=none,id=seed,file={seed},format=raw,readonly=on",
        "-device", "virtio-scsi-pci", "-device", "scsi-cd,drive=seed",
    )
    # fmt: on


def kernel(image: Path, initramfs: Path, arguments: str) -> tuple[str, ...]:
    """Start a kernel directly, from whatever firmware there is."""
    return ("-kernel", str(image), "-initrd", str(initramfs), "-append", arguments)


def named_drive(serial: str, disk: Path) -> tuple[str, ...]:
    """Attach one disk to virtio, under a serial by which its guest finds it.

    A qcow2 file is written, zeroes as holes; a raw one is read.
    """
    # fmt: off
    how = "format=qcow2,discard=unmap,detect-zeroes=unmap"
    if disk.suffix != ".qcow2":
        how = "format=raw,readonly=on"
    return (
        "-drive", f"if=none,id={serial},file={disk},cache=unsafe,{how}",
        "-device", f"virtio-blk-pci,drive={serial},serial={serial}",
    )
    # fmt: on


def firmware(variables: Path) -> tuple[str, ...]:
    """Start from UEFI firmware that keeps its variables (boot entries) in this file."""
    # fmt: off
    return (
        "-drive", f"if=pflash,format=raw,readonly=on,file={UEFI}",
        "-drive", f"if=pflash,format=raw,file={variables}",
    )
    # fmt: on


def free_port() -> int:
    """Find a TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
