# SPDX-License-Identifier: Apache-2.0
"""Serve a disk image on this machine at an NBD socket, for as long as a context lasts."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tradewind.errors import BusyError, ImageFormatError, NotFoundError, StreamError, TradewindError
from tradewind.waiting import wait_for

_INFO_SECONDS: Final = 30
_START_SECONDS: Final = 30
_END_SECONDS: Final = 10

_MISSING: Final = "install qemu-utils (Debian), qemu-tools (SUSE) or qemu-img (Fedora)"


def virtual_size(path: Path, image_format: str) -> int:
    """Ask for the bytes of the disk in an image; BusyError while something writes to it."""
    argv = ["qemu-img", "info", "--output=json", "-f", image_format, str(path)]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=_INFO_SECONDS, check=False
        )
    except FileNotFoundError:
        raise NotFoundError("qemu-img is not on this machine", _MISSING) from None
    except subprocess.TimeoutExpired:
        raise StreamError(f"{path}: qemu-img does not answer within {_INFO_SECONDS} s") from None
    if done.returncode != 0:
        raise _failure(path, done.stderr)
    return int(json.loads(done.stdout)["virtual-size"])


@contextmanager
def served(path: Path, image_format: str, folder: Path, name: str) -> Iterator[Path]:
    """Lend an NBD socket in a private folder; read-only, any number of connections."""
    socket, pid_file, log = (folder / f"{name}.{suffix}" for suffix in ("sock", "pid", "log"))
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
