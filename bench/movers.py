# SPDX-License-Identifier: Apache-2.0
"""The movers: each moves the same disks to new files, through mutual TLS, flushed at the end."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bench import servers
from bench.links import OpenLink
from bench.ours import MovedDisk, MoveJob
from tradewind.model.host import HttpsAccess


class MoverName(StrEnum):
    """Who moved."""

    OURS = "tradewind"
    NBDCOPY = "nbdcopy"
    QEMU_IMG = "qemu-img convert"


@dataclass(frozen=True, slots=True)
class Scene:
    """A line, the disks at NBD sockets, files that read as zero, and a folder for the rest."""

    line: OpenLink
    disks: Sequence[MovedDisk]
    targets: Sequence[Path]
    folder: Path


@dataclass(frozen=True, slots=True)
class Measurement:
    """Seconds, bytes on the wire in both directions, and the movers' peak memory in bytes."""

    seconds: float
    wire: int
    memory: int


def move(mover: MoverName, scene: Scene) -> Measurement:
    """Move all disks of the scene at once."""
    if mover is MoverName.OURS:
        return _ours(scene)
    with servers.nbd(scene.line, scene.folder, scene.targets) as ports:
        before = scene.line.bytes()
        make = _nbdcopy if mover is MoverName.NBDCOPY else _qemu_img
        commands = [
            [*scene.line.near, *make(scene, disk, port)]
            for disk, port in zip(scene.disks, ports, strict=True)
        ]
        seconds, memory = _run_all(commands)
        return Measurement(seconds, scene.line.bytes() - before, memory)


def _ours(scene: Scene) -> Measurement:
    """Run ours in a process of its own; the clock starts when Python has, as in a worker pool."""
    with servers.writer(scene.line, scene.folder, scene.targets) as access:
        before = scene.line.bytes()
        done = subprocess.run(
            [*scene.line.near, sys.executable, "-m", "bench.ours"],
            input=_order(access, scene.disks).model_dump_json(),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            cwd=Path(__file__).parents[1],
        )
        said = json.loads(done.stdout)
        return Measurement(said["seconds"], scene.line.bytes() - before, said["memory"])


def _order(access: HttpsAccess, disks: Sequence[MovedDisk]) -> MoveJob:
    return MoveJob(
        address=access.address,
        port=access.port,
        ca_certificate=access.ca_certificate,
        client_certificate=access.client_certificate,
        client_key=access.client_key.get_secret_value(),
        digest_key=access.digest_key.get_secret_value(),
        disks=tuple(disks),
    )


def _nbdcopy(scene: Scene, disk: MovedDisk, port: int) -> list[str]:
    target = f"nbds://{scene.line.address}:{port}?tls-certificates={scene.folder}"
    source = f"nbd+unix:///?socket={disk.socket}"
    return ["nbdcopy", "--flush", "--destination-is-zero", source, target]


def _qemu_img(scene: Scene, disk: MovedDisk, port: int) -> list[str]:
    target = f"driver=nbd,host={scene.line.address},port={port},tls-creds=tls"
    return [
        "qemu-img", "convert", "-n", "-W", "-m", "16", "-t", "writeback", "--target-is-zero",
        f"--object=tls-creds-x509,id=tls,endpoint=client,dir={scene.folder},verify-peer=on",
        "-f", "raw", "--target-image-opts", f"nbd+unix:///?socket={disk.socket}", target,
    ]  # fmt: skip


def _run_all(commands: Sequence[Sequence[str]]) -> tuple[float, int]:
    """Run commands at the same time; seconds until the last ended, and the sum of their peaks."""
    begun = time.monotonic()
    with ExitStack() as stack:
        running = [stack.enter_context(subprocess.Popen(argv)) for argv in commands]
        peaks = dict.fromkeys((process.pid for process in running), 0)
        while any(process.poll() is None for process in running):
            for pid in peaks:
                peaks[pid] = max(peaks[pid], _peak(pid))
            time.sleep(0.01)
        seconds = time.monotonic() - begun
    failed = [process.args for process in running if process.returncode]
    if failed:
        raise subprocess.CalledProcessError(1, str(failed[0]))
    return seconds, sum(peaks.values())


def _peak(pid: int) -> int:
    """Read a process's peak memory; 0 when it has ended."""
    try:
        words = Path(f"/proc/{pid}/status").read_text().split()
    except OSError:
        return 0
    return int(words[words.index("VmHWM:") + 1]) * 1024 if "VmHWM:" in words else 0
