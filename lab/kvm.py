# SPDX-License-Identifier: Apache-2.0
"""Find out whether hardware virtualization works, by using it."""

import tempfile
from pathlib import Path
from typing import Final

from lab.commands import call

# A boot sector that waits for a timer interrupt, goes to 64-bit mode and writes 0x2a to the port of
# QEMU's isa-debug-exit device. Assembled from (AT&T syntax, at 0x7c00):
#
#   .code16   ljmp $0,$1f; 1: xorw %ax,%ax; movw %ax,%ds; movw %ax,%es; movw %ax,%ss
#             movw $0x7c00,%sp; sti; hlt; cli
#             movw $0x1000,%di; xorl %eax,%eax; movw $0xc00,%cx; cld; rep stosl
#             movl $0x2003,0x1000; movl $0x3003,0x2000; movl $0x83,0x3000   # 2 MiB, identity
#             movl $0x1000,%eax; movl %eax,%cr3; movl $0x20,%eax; movl %eax,%cr4      # PAE
#             movl $0xc0000080,%ecx; rdmsr; orw $0x100,%ax; wrmsr                     # EFER.LME
#             movl $0x80000001,%eax; movl %eax,%cr0; lgdt gdtr; ljmp $8,$long
#   .code64   long: movb $0x2a,%al; outb %al,$0xf4; 2: hlt; jmp 2b
#             gdt: .quad 0, 0x00209a0000000000; gdtr: .word 15; .long gdt
_BOOT_SECTOR: Final = bytes.fromhex(
    "ea057c000031c08ed88ec08ed0bc007cfbf4fabf00106631c0b9000cfc66f3ab66c7060010032000"
    "0066c70600200330000066c70600308300000066b8001000000f22d866b8200000000f22e066b980"
    "0000c00f320d00010f3066b8010000800f22c00f0116887cea6d7c0800b02ae6f4f4ebfd0f1f4000"
    "000000000000000000000000009a20000f00787c"
)
_PASSED: Final = (0x2A << 1) | 1  # isa-debug-exit's exit status for the byte 0x2a
_PATIENCE: Final = 3.0  # seconds
_DISK_SIZE: Final = 1 << 20  # SeaBIOS does not boot from an AHCI disk of one sector


def works() -> bool:
    """Return whether a guest of the kind that libvirt makes runs on hardware virtualization.

    With the host's own CPU model and in little time, because /dev/kvm can be there and be useless:
    on a cloud machine QEMU aborted on `-cpu host` ("failed to set MSR 0x10a"), and with QEMU's
    basic CPU model the boot sector took 3.7 s, where emulation takes 0.2 s. On another, whose KVM
    does without the processor's extensions (the module kvm-pvm), the boot sector passed in 1.6 s
    and Debian's kernel wrote not one line in twelve minutes.
    """
    has_device = Path("/dev/kvm").exists()
    return has_device and extended(Path("/proc/cpuinfo").read_text()) and boots("kvm", "host")


def extended(cpuinfo: str) -> bool:
    """Return whether a processor has extensions for virtualization, by Linux' /proc/cpuinfo."""
    lines = [line for line in cpuinfo.splitlines() if line.startswith("flags")]
    return any({"vmx", "svm"} & set(line.split()) for line in lines)


def boots(accelerator: str, cpu: str) -> bool:
    """Return whether the boot sector runs to its end with this accelerator and CPU model."""
    sector = _BOOT_SECTOR.ljust(510, b"\0") + b"\x55\xaa"
    with tempfile.NamedTemporaryFile(prefix="tradewind-probe-") as disk:
        disk.write(sector)
        disk.truncate(_DISK_SIZE)
        argv = [
            "timeout", "--signal=KILL", str(_PATIENCE),
            "qemu-system-x86_64",
            "-machine", "q35", "-accel", accelerator, "-cpu", cpu, "-m", "64",
            "-nodefaults", "-display", "none",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=1",
            "-drive", f"file={disk.name},format=raw,snapshot=on",
        ]  # fmt: skip
        return call(argv, check=False).returncode == _PASSED
