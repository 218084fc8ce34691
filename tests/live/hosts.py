# SPDX-License-Identifier: Apache-2.0
"""Machines to move, and what the hosts look like from behind: as root, past Tradewind."""

import subprocess
from pathlib import Path

import lab
from lab import guests, namespaces
from lab.records import LabHost
from tradewind.host.storage import witness

_XML = """\
<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>128</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/var/lib/libvirt/images/{name}.qcow2'/>
      <target dev='sda' bus='sata'/>
    </disk>
  </devices>
</domain>
"""


def make_qcow2(image: Path, *, data_mib: int, size: str) -> None:
    """Make a sparse image with random data at its beginning and some in its middle."""
    raw = image.with_suffix(".raw")
    with Path("/dev/urandom").open("rb") as random, raw.open("wb") as file:
        for _ in range(data_mib - 1):
            file.write(random.read(1 << 20))
        file.seek(700 << 20)
        file.write(random.read(1 << 20))
    subprocess.run(["qemu-img", "resize", "-q", "-f", "raw", raw, size], check=True)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, image], check=True)
    raw.unlink()


def define_shut_off(host: LabHost, name: str, image: Path) -> None:
    """Give the source a machine with this disk that is shut off."""
    lab.copy_into_pool(host, "default", image, f"{name}.qcow2")
    plan = namespaces.plan_of(host)
    argv = namespaces.enter(plan, ["virsh", "define", "/dev/stdin"])
    subprocess.run(argv, input=_XML.format(name=name), text=True, check=True, capture_output=True)


def end_machines(host: LabHost, name: str) -> None:
    """Remove the machines of this name, and of names that begin with it, and their disks."""
    listed = lab.run(host, ["virsh", "list", "--all", "--name"]).stdout
    for machine in (each for each in listed.split() if each.startswith(name)):
        gone = f"virsh undefine {machine} --nvram --checkpoints-metadata --remove-all-storage"
        # libvirt before 8.9 does not know the word, and removes a TPM's state of itself.
        lab.run(host, ["sh", "-c", f"virsh destroy {machine}; {gone} --tpm || {gone}"])


def volume_file(host: LabHost, volume: str) -> Path:
    """Where this machine sees a volume of the host's default pool."""
    return guests.inside(namespaces.plan_of(host), f"/var/lib/libvirt/images/{volume}")


def assert_same_contents(one: Path, other: Path) -> None:
    """Compare two images as guests see them, to the last byte."""
    done = subprocess.run(
        ["qemu-img", "compare", "-U", one, other], capture_output=True, text=True, check=False
    )
    assert "Images are identical." in done.stdout, done.stdout + done.stderr


def traces(host: LabHost) -> dict[str, list[str]]:
    """Everything on a host that a run could have left: to be compared before and after."""

    def lines(*argv: str) -> list[str]:
        return sorted(lab.run(host, list(argv)).stdout.split())

    return {
        "domains": lines("virsh", "list", "--all", "--name"),
        # A witness is a part of its volume; one whose volume is gone stays until any sweep.
        "volumes": [
            volume
            for pool in ("default", "worker-images")
            for volume in lines("sh", "-c", f"virsh pool-refresh {pool} >&2; ls {_folder(pool)}")
            if not volume.endswith(witness.SUFFIX)
        ],
        "sockets": lines("ls", "-A", "/var/tmp"),
        "jobs": lines("sh", "-c", "for d in $(virsh list --name); do virsh domjobinfo $d; done"),
    }


def _folder(pool: str) -> str:
    return {"default": "/var/lib/libvirt/images"}.get(pool, f"/var/lib/libvirt/{pool}")
