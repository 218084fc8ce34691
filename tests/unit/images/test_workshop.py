# SPDX-License-Identifier: Apache-2.0
"""What QEMU is told about a workshop."""

from pathlib import Path

from images import qemu


def test_a_disk_to_write_and_one_to_read() -> None:
    written = " ".join(qemu.named_drive("os", Path("/w/os.qcow2")))
    assert "id=os,file=/w/os.qcow2,cache=unsafe,format=qcow2,discard=unmap" in written
    assert "virtio-blk-pci,drive=os,serial=os" in written
    read = " ".join(qemu.named_drive("tree", Path("/w/tree.tar")))
    assert "format=raw,readonly=on" in read


def test_uefi_keeps_its_variables() -> None:
    words = qemu.firmware(Path("/w/variables.fd"))
    assert words[1].endswith("readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd")
    assert words[3] == "if=pflash,format=raw,file=/w/variables.fd"
