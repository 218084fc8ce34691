# SPDX-License-Identifier: Apache-2.0
"""The command line that starts an image."""

from pathlib import Path

from images import qemu, recipe

CONSOLE = Path("/c/console.log")


def test_a_worker_gets_virtio_and_its_seed_on_scsi() -> None:
    hardware = recipe.load("worker").hardware
    line = " ".join(qemu.command(hardware, [Path("/w.qcow2")], Path("/seed.iso"), CONSOLE, 2222))
    assert "-accel tcg,thread=multi -cpu max -smp 2 -m 2048 " in line
    assert "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:2222-:22" in line
    assert "virtio-net-pci,netdev=net" in line
    assert "-device virtio-blk-pci,drive=disk0" in line
    assert "file=/seed.iso,format=raw,readonly=on -device virtio-scsi-pci -device scsi-cd" in line


def test_the_guest_gets_nothing_of_virtio_but_random_numbers() -> None:
    hardware = recipe.load("debian12-bios").hardware
    disks = [Path("/os.qcow2"), Path("/data.qcow2")]
    line = " ".join(qemu.command(hardware, disks, None, CONSOLE, 2222))
    assert "-device ide-hd,bus=ide.0,drive=disk0" in line
    assert "-device ide-hd,bus=ide.1,drive=disk1" in line
    assert "e1000e,netdev=net,bus=slot2" in line
    assert line.count("virtio") == 1
    assert "virtio-rng-pci" in line


def test_a_fixed_address_is_met_by_a_network_around_it() -> None:
    hardware = recipe.load("debian12-bios").hardware
    assert qemu.network(hardware, 2222) == (
        "user,id=net,restrict=on,net=198.18.10.0/24,host=198.18.10.1,"
        "hostfwd=tcp:127.0.0.1:2222-198.18.10.50:22"
    )
