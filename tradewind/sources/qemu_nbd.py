# SPDX-License-Identifier: Apache-2.0
"""Serve a disk image on this machine at an NBD socket, for as long as a context lasts."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tradewind.errors import BusyError, ImageFormatError, NotFoundError, StreamError, TradewindError
from tradewind.remote.client import socket_path
from tradewind.waiting import wait_for

_INFO_SECONDS: Final = 30
_CHECK_SECONDS: Final = 600  # it reads all metadata: 1.3 GiB for a full disk of 10 TiB
_LEAKS_ONLY: Final = 3  # qemu-img(1), "check"
_START_SECONDS: Final = 30
_END_SECONDS: Final = 10

_MISSING: Final = "install qemu-utils (Debian), qemu-tools (SUSE) or qemu-img (Fedora)"


def virtual_size(path: Path, image_format: str) -> int:
    """Ask for the bytes of the disk in an image; BusyError while something writes to it."""
    done = _qemu_img(path, "info", image_format, _INFO_SECONDS)
    if done.returncode != 0:
        raise _failure(path, done.stderr)
    return int(json.loads(done.stdout)["virtual-size"])


def check_qcow2(path: Path) -> None:
    """Refuse a damaged qcow2 image.

    QEMU opens one that was cut short, as an upload is that did not end, and reads zeroes where
    the rest would be. Clusters that belong to nobody do no harm.
    """
    done = _qemu_img(path, "check", "qcow2", _CHECK_SECONDS)
    if done.returncode not in (0, _LEAKS_ONLY):
        said = (done.stderr or done.stdout).strip().splitlines()[:1] or ["it does not say why"]
        raise ImageFormatError(
            f"{path} is damaged, says qemu-img check: {said[0]}",
            "copy the image here again from where it came from",
        )


def _qemu_img(
    path: Path, verb: str, image_format: str, seconds: int
) -> subprocess.CompletedProcess[str]:
    argv = ["qemu-img", verb, "--output=json", "-f", image_format, str(path)]
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False)
    except FileNotFoundError:
        raise NotFoundError("qemu-img is not on this machine", _MISSING) from None
    except subprocess.TimeoutExpired:
        raise StreamError(f"{path}: qemu-img {verb} took more than {seconds} s") from None


@contextmanager
def served(path: Path, image_format: str, folder: Path, name: str) -> Iterator[Path]:
    """Lend an NBD socket in a private folder; read-only, any number of connections.

    OptionError when the folder's name leaves no room for a socket.
    """
    socket, pid_file, log = (
        socket_path(folder, f"{name}.sock"),
        folder / f"{name}.pid",
        folder / f"{name}.log",
    )
    argv = [
        "qemu-nbd", "--read-only", "--persistent", "--shared=0", f"--format={image_format}",
        f"--socket={socket}", f"--pid-file={pid_file}", str(path),
    ]  # fmt: skip
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(argv, stdout=output, stderr=output)
        except FileNotFoundError:
            raise NotFoundError("qemu-nbd is not on this machine", _MISSING) from None
    try:
        wait_for(
            lambda: pid_file.exists() or process.poll() is not None,
            f"qemu-nbd for {path}", _START_SECONDS, every=0.05,
        )  # fmt: skip
        if process.poll() is not None:
            raise _failure(path, log.read_text(errors="replace"))
        yield socket
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _failure(path: Path, output: str) -> TradewindError:
    said = output.strip().splitlines()[-1:] or ["nothing"]
    if "Failed to get" in output and "lock" in output:
        return BusyError(f"{path} is in use: {said[0]}", "shut the machine that uses it down first")
    return ImageFormatError(f"{path} cannot be opened: {said[0]}", "qemu-img check says more")
