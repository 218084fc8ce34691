# SPDX-License-Identifier: Apache-2.0
"""A machine of one sector: it boots in a second, shows a login prompt, and obeys its power button.

So a whole deployment, with its proof on the console, costs seconds where the CPU is emulated.
"""

import subprocess
from pathlib import Path
from typing import Final
from uuid import NAMESPACE_DNS, uuid5

import lab
from lab import namespaces
from lab.records import LabHost
from tests.live.running import Running
from tradewind.units import MiB

# What the sector's code writes again every five seconds; `tradewind.host.boot.boot_proof` looks
# for it.
_PROMPT: Final = b"\r\ntiny login: \0"

# 16-bit code at 0000:7C00. COM1 is at 0x3F8; QEMU's q35 has ACPI's PM1a block at 0x600, as
# SeaBIOS sets it up: events there, their switches at 0x602, control at 0x604.
_CODE: Final = bytes.fromhex(
    "31c0 8ed8 8ed0 bc007c"  #         xor ax,ax; mov ds,ax; mov ss,ax; mov sp,0x7c00
    "ba0206 b80001 ef"  #              mov dx,0x602; mov ax,0x100; out dx,ax: the power button
    "be407c"  #                 say:   mov si,0x7c40
    "ac 84c0 7406"  #           next:  lodsb; test al,al; jz idle
    "baf803 ee ebf5"  #                mov dx,0x3f8; out dx,al; jmp next
    "b95b00"  #                 idle:  mov cx,91: so many ticks of the clock
    "fb f4"  #                  tick:  sti; hlt
    "ba0006 ed f6c401 7504"  #         mov dx,0x600; in ax,dx; test ah,1; jnz off
    "e2f3 ebe0"  #                     loop tick; jmp say
    "ba0406 b80020 ef ebfe"  #  off:   mov dx,0x604; mov ax,0x2000; out dx,ax; jmp $
)

_DISK: Final = """\
<disk type='file' device='disk'><driver name='qemu' type='qcow2' discard='unmap'/>
<source file='/var/lib/libvirt/images/{file}'/><target dev='{target}' bus='virtio'/></disk>"""

_XML: Final = """\
<domain type='qemu'><name>{name}</name><uuid>{uuid}</uuid>
<memory unit='MiB'>32</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
<devices>{disks}
<interface type='network'><source network='lan'/><model type='virtio'/></interface>
<serial type='pty'/><console type='pty'/></devices></domain>"""

SIZES: Final = {"vda": "4M", "vdb": "6M"}


def boot_sector(*, mute: bool = False) -> bytes:
    """Assemble the sector; a mute machine boots, and says nothing."""
    prompt = b"\0" if mute else _PROMPT
    return (_CODE.ljust(0x40, b"\0") + prompt).ljust(510, b"\0") + b"\x55\xaa"


def make(host: LabHost, name: str, *, mute: bool = False) -> Running:
    """Define the machine on a host; its identity and its disks follow from its name."""
    made = Running(host, name, {target: f"{name}-{target}.qcow2" for target in SIZES})
    for target, size in SIZES.items():
        _fill(made.image(target), size, boot_sector(mute=mute) if target == "vda" else b"", name)
    disks = "".join(_DISK.format(file=file, target=at) for at, file in made.disks.items())
    document = _XML.format(name=name, uuid=uuid5(NAMESPACE_DNS, name), disks=disks)
    argv = namespaces.enter(namespaces.plan_of(host), ["virsh", "define", "/dev/stdin"])
    subprocess.run(argv, input=document, text=True, check=True, capture_output=True)
    lab.run(host, ["virsh", "pool-refresh", "default"])
    return made


def _fill(image: Path, size: str, first: bytes, name: str) -> None:
    raw = image.with_suffix(".raw")
    said = f"{name} {image.name} ".encode()
    raw.write_bytes(first.ljust(64 << 10, b"\0") + said * (2 * MiB // len(said)))
    subprocess.run(["qemu-img", "resize", "-q", "-f", "raw", raw, size], check=True)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, image], check=True)
    raw.unlink()
    image.chmod(0o600)


def start(machine: Running) -> None:
    """Start it; a second later it has booted."""
    machine.virsh("start", machine.name)
