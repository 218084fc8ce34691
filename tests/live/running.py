# SPDX-License-Identifier: Apache-2.0
"""A machine that runs without an operating system, and is written to through its QEMU.

QEMU's monitor has qemu-io: what it writes goes through the disk's block device, as a guest's writes
do, dirty bitmaps included. So a test of what changed needs no guest and no minute of booting.
"""

import json
import os
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import lab
from lab import guests, namespaces, site
from lab.records import LabHost
from tests.live import hosts
from tradewind.model.report import TransferReport
from tradewind.model.requests import TransferRequest
from tradewind.units import MiB

_DISK = """\
<disk type='file' device='disk'><driver name='qemu' type='{form}' discard='unmap'/>
<source file='/var/lib/libvirt/images/{file}'/><target dev='{target}' bus='virtio'/></disk>"""

# One free root port for each disk that is plugged in, and one for each that is there.
_PORTS = "".join(
    f"<controller type='pci' index='{index}' model='pcie-root-port'/>" for index in range(1, 9)
)

_XML = """\
<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os>
<devices>{disks}{ports}<serial type='pty'/><video><model type='vga'/></video></devices></domain>"""


@dataclass
class Running:
    """A machine of the source; `disks` is target → image file in the pool, in order."""

    host: LabHost
    name: str
    disks: dict[str, str]

    def virsh(self, *words: str) -> str:
        return lab.run(self.host, ["virsh", *words]).stdout

    def transfer(self, **changes: object) -> TransferReport:
        """Replicate it, by the flow in this process: the command takes ten seconds more."""
        from flows.transfer import transfer  # noqa: PLC0415 - Prefect reads its settings at import

        names = {"machine": self.name, "source": site.SOURCE, "destination": site.DESTINATION}
        return transfer(TransferRequest.model_validate({**names, **changes}))

    def start(self) -> None:
        """Start it paused: nothing in it runs, its disks are there all the same."""
        self.virsh("start", self.name, "--paused")

    def stop(self) -> None:
        self.virsh("destroy", self.name)

    def crash(self) -> None:
        """Kill its QEMU, as a power cut does; libvirt notices."""
        pid = int(lab.run(self.host, ["cat", f"/run/libvirt/qemu/{self.name}.pid"]).stdout)
        os.kill(pid, signal.SIGKILL)
        while "shut off" not in self.virsh("domstate", self.name):
            time.sleep(0.1)

    def io(self, target: str, *commands: str) -> None:
        """Let QEMU write: qemu-io commands, such as `write -P 7 1M 64k`."""
        device = self._device(target)
        for command in commands:
            said = self.virsh(
                "qemu-monitor-command", self.name, "--hmp", f'qemu-io -d {device} "{command}"'
            )
            assert "rror" not in said, said

    def _device(self, target: str) -> str:
        """Find QEMU's name for a disk by its file."""
        answer = self.virsh("qemu-monitor-command", self.name, '{"execute": "query-block"}')
        (found,) = (
            block["qdev"]
            for block in json.loads(answer)["return"]
            if block.get("inserted", {}).get("file", "").endswith(f"/{self.disks[target]}")
        )
        return str(found)

    def image(self, target: str) -> Path:
        """Where this machine sees the image of a disk."""
        folder = guests.inside(namespaces.plan_of(self.host), "/var/lib/libvirt/images")
        return folder / self.disks[target]

    def checkpoints(self) -> list[str]:
        return self.virsh("checkpoint-list", self.name, "--name").split()

    def plug(self, target: str, size: str) -> None:
        """Add a new disk, for now and for later."""
        self.disks[target] = f"{self.name}-{target}.qcow2"
        make_image(self.image(target), "qcow2", size)
        document = _DISK.format(form="qcow2", file=self.disks[target], target=target)
        path = f"/var/lib/libvirt/images/{self.name}-{target}.xml"
        file = guests.inside(namespaces.plan_of(self.host), path)
        file.write_text(document)
        self.virsh("attach-device", self.name, path, "--live", "--config")
        file.unlink()

    def unplug(self, target: str) -> None:
        """Take a disk away from the definition; the machine has to be shut off."""
        self.virsh("detach-disk", self.name, target, "--config")
        del self.disks[target]


def make_image(path: Path, form: str, size: str, *options: str) -> None:
    subprocess.run(["qemu-img", "create", "-q", "-f", form, *options, path, size], check=True)
    path.chmod(0o600)


def write_noise(image: Path, form: str, size: int) -> None:
    """Fill the beginning of an image with what no compression makes smaller."""
    with tempfile.NamedTemporaryFile() as noise:
        for _ in range(size // MiB):
            noise.write(os.urandom(MiB))
        noise.flush()
        write = f"write -s {noise.name} 0 {size}"
        subprocess.run(["qemu-io", "-f", form, "-c", write, image], check=True, capture_output=True)


def make(
    host: LabHost, name: str, disks: dict[str, str], form: str = "qcow2", noise: int = 0
) -> Running:
    """Define a machine with disks of these sizes, and start it; `noise` bytes are on each."""
    found = Running(host, name, {target: f"{name}-{target}.{form}" for target in disks})
    for target, size in disks.items():
        make_image(found.image(target), form, size)
        if noise:
            write_noise(found.image(target), form, noise)
    document = _XML.format(
        name=name,
        ports=_PORTS,
        disks="".join(
            _DISK.format(form=form, file=file, target=target)
            for target, file in found.disks.items()
        ),
    )
    argv = namespaces.enter(namespaces.plan_of(host), ["virsh", "define", "/dev/stdin"])
    done = subprocess.run(argv, input=document, text=True, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
    found.start()
    return found


def assert_same(machine: Running, replica: Path, target: str) -> None:
    """Compare a disk with its replica; QEMU has to write its caches out first."""
    machine.io(target, "flush")
    hosts.assert_same_contents(machine.image(target), replica)
