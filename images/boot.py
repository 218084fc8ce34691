# SPDX-License-Identifier: Apache-2.0
"""Start an image in a plain QEMU, log in over SSH, and say how long that took."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from images import keys, qemu
from images.cache import BuiltImage
from images.commands import run
from images.recipe import TrialHardware
from tradewind.errors import TradewindError
from tradewind.waiting import wait_for
from tradewind.worker.keys import new_key_pair
from tradewind.worker.seed import seed_iso

_POWER_OFF_SECONDS: Final = 60
_HOST: Final = "guest"


@dataclass(frozen=True, slots=True)
class BootedImage:
    """A running guest. `folder` holds its overlays, its console log and how to log in."""

    process: subprocess.Popen[bytes]
    folder: Path
    port: int
    started: float

    @property
    def console(self) -> str:
        """What the guest has written on its serial console so far."""
        return (self.folder / "console.log").read_text(errors="replace")

    @property
    def seconds(self) -> float:
        """Seconds since QEMU was started."""
        return time.monotonic() - self.started

    def ssh(self, command: str) -> str:
        """Run a shell command as root. Raises TradewindError when it fails."""
        # fmt: off
        return run([
            "ssh", "-F", "none", "-p", str(self.port), "-i", self.folder / "key",
            "-o", f"UserKnownHostsFile={self.folder / 'known_hosts'}",
            "-o", f"HostKeyAlias={_HOST}", "-o", "StrictHostKeyChecking=yes",
            # A guest that hangs must not hang us.
            "-o", "ServerAliveInterval=30", "-o", "ServerAliveCountMax=10",
            "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR",
            f"root@{qemu.LOOPBACK}", command,
        ])
        # fmt: on

    def wait_for_login(self, timeout: float) -> float:
        """Wait until root can log in; return the seconds since the start.

        A login is tried only when the SSH banner was seen: each try costs the guest CPU.
        """
        wait_for(self._shows_banner, "the guest answers over SSH", timeout, every=0.25)
        self.ssh("true")
        return self.seconds

    def shows_console_login(self) -> bool:
        """Whether the serial console asks for a login."""
        return " login:" in self.console

    def power_off(self) -> None:
        """Shut the guest down in order."""
        with suppress(TradewindError):  # the connection breaks, and ssh calls that a failure
            self.ssh("systemctl poweroff")
        self.process.wait(_POWER_OFF_SECONDS)

    def _shows_banner(self) -> bool:
        if self.process.poll() is not None:
            raise TradewindError(f"QEMU ended with status {self.process.returncode}; see above")
        # QEMU accepts at once whether the guest listens or not: only bytes from it count.
        with suppress(OSError), socket.create_connection((qemu.LOOPBACK, self.port), 2) as probe:
            return probe.recv(4) == b"SSH-"
        return False


@contextmanager
def started(
    image: BuiltImage, hardware: TrialHardware, more: Sequence[str] = ()
) -> Iterator[BootedImage]:
    """Lend a guest that runs on overlays over the image's disks; it is ended at the end.

    `more` are further words for QEMU.
    """
    with tempfile.TemporaryDirectory(prefix="tradewind-boot-") as name:
        folder = Path(name)
        (folder / "console.log").touch()
        seed = _write_keys(hardware, folder)
        disks = [_overlay(disk, folder) for disk in image.disks]
        port = qemu.free_port()
        argv = qemu.command(hardware, disks, seed, folder / "console.log", port)
        argv += [*_firmware(image, folder), *more]
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL) as process:
            try:
                yield BootedImage(process, folder, port, time.monotonic())
            finally:
                process.kill()


def _write_keys(hardware: TrialHardware, folder: Path) -> Path | None:
    """Put what logs in into the folder; the guest gets its half from a seed or has it already."""
    if not hardware.seed:
        keys.write_private(folder / "key", keys.guest_key().read_text())
        _write_known_host(folder, keys.public_line(keys.guest_host_key()))
        return None
    login, host = new_key_pair(), new_key_pair()
    keys.write_private(folder / "key", login.private)
    _write_known_host(folder, host.public)
    seed = folder / "seed.iso"
    seed.write_bytes(seed_iso(f"boot-{time.time_ns()}", host, login.public))
    return seed


def _write_known_host(folder: Path, public: str) -> None:
    (folder / "known_hosts").write_text(f"{_HOST} {public}\n")


def _firmware(image: BuiltImage, folder: Path) -> tuple[str, ...]:
    """Start from UEFI, with a copy of the image's own variables, if that is what it is for."""
    if not image.variables:
        return ()
    return qemu.firmware(Path(shutil.copy(image.variables, folder)))


def _overlay(disk: Path, folder: Path) -> Path:
    overlay = folder / disk.name
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", disk, overlay])
    return overlay
