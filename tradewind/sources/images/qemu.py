# SPDX-License-Identifier: Apache-2.0
"""Have QEMU's tools open an image: exactly the files and layers that the door has opened."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tradewind.errors import BusyError, ImageFormatError, TradewindError
from tradewind.remote.client import socket_path
from tradewind.sources.images import confinement
from tradewind.sources.images.confinement import Command, Confinement, Limits
from tradewind.sources.images.door import Image, OpenLayer, node
from tradewind.sources.images.layer import excerpt
from tradewind.units import GiB, MiB
from tradewind.waiting import wait_for

_INFO_SECONDS: Final = 30
_CHECK_SECONDS: Final = 600  # it reads all metadata: 1.3 GiB for a full disk of 10 TiB
_LEAKS_ONLY: Final = 3  # qemu-img(1), "check"
_START_SECONDS: Final = 30

# Of each qcow2 file QEMU holds up to 32 MiB of its L1 table, and as much of the others. A check
# counts all clusters of a file: two bytes each, 320 MiB for 10 TiB.
_INFO: Final = Limits(memory=1 * GiB, cpu_seconds=_INFO_SECONDS)
_CONVERT: Final = Limits(memory=1 * GiB, cpu_seconds=_INFO_SECONDS, file_size=64 * MiB)
_CHECK: Final = Limits(memory=4 * GiB, cpu_seconds=_CHECK_SECONDS)
_SERVER_MEMORY: Final = 4 * GiB
# A server that does not end is not noticed by its time: it lasts as long as the transfer. By far
# the slowest it can have to do is to unpack compressed clusters, and that twice.
_SERVER_SECONDS: Final = 3600
_SERVER_RATE: Final = 10 * MiB


def measure(image: Image) -> int:
    """Return the bytes of the disk, on which QEMU agrees; BusyError while it is written to."""
    done = _qemu_img("info", image.layers[0], _INFO, _INFO_SECONDS)
    if done.returncode != 0:
        raise _failure(image.path, done.stderr)
    found = int(json.loads(done.stdout)["virtual-size"])
    if found != image.capacity:
        raise ImageFormatError(
            f"{image.path} has {image.capacity} bytes by its header, and {found} by QEMU",
            "copy the image here again from where it came from",
        )
    return found


def check(image: Image) -> None:
    """Refuse an image with a damaged qcow2 file in its chain.

    QEMU opens one that was cut short, as an upload is that did not end, and reads zeroes where
    the rest would be. Clusters that belong to nobody do no harm.
    """
    for layer in image.layers:
        if layer.format == "qcow2":
            _check(layer)


def convert(image: Image, image_format: str, folder: Path, name: str) -> None:
    """Write a small image, of one file, as a new file of another format into `folder`."""
    room = confinement.find()
    argv = (
        "qemu-img", "convert", "-O", image_format, _described(room, image.layers),
        f"{room.serve(folder)}/{name}",
    )  # fmt: skip
    command = Command(argv, _files(image.layers), _CONVERT)
    done = confinement.run(room, command, _INFO_SECONDS, folder)
    if done.returncode != 0:
        raise _failure(image.path, _with_names(done.stderr, room, image.layers))


def _check(layer: OpenLayer) -> None:
    done = _qemu_img("check", layer, _CHECK, _CHECK_SECONDS)
    if done.returncode not in (0, _LEAKS_ONLY):
        said = (done.stderr or done.stdout).strip().splitlines()[:1] or ["it does not say why"]
        raise ImageFormatError(
            f"{layer.file.path} is damaged, says qemu-img check: {excerpt(said[0])}",
            "copy the image here again from where it came from",
        )


def _qemu_img(
    verb: str, layer: OpenLayer, limits: Limits, seconds: int
) -> subprocess.CompletedProcess[str]:
    """Look at one file, without what is under it."""
    room = confinement.find()
    described = _described(room, [layer])
    command = Command(
        ("qemu-img", verb, "--output=json", described), (layer.file.descriptor,), limits
    )
    done = confinement.run(room, command, seconds)
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout, _with_names(done.stderr, room, [layer])
    )


@contextmanager
def served(image: Image, folder: Path, name: str) -> Iterator[Path]:
    """Lend an NBD socket in a private folder; read-only, any number of connections.

    OptionError when the folder's name leaves no room for a socket.
    """
    place, log = folder / name, folder / f"{name}.log"
    socket = socket_path(place, "nbd")
    room = confinement.find()
    place.mkdir(mode=0o700)
    try:
        with (
            log.open("wb") as output,
            confinement.running(room, _server(room, image, place), place, output) as process,
        ):
            _wait(process, image, place / "pid")
            if process.poll() is not None:
                said = log.read_text(errors="replace")
                raise _failure(image.path, _with_names(said, room, image.layers))
            yield socket
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _server(room: Confinement, image: Image, place: Path) -> Command:
    inside = room.serve(place)
    argv = (
        "qemu-nbd", "--read-only", "--persistent", "--shared=0", f"--socket={inside}/nbd",
        f"--pid-file={inside}/pid", _described(room, image.layers),
    )  # fmt: skip
    seconds = _SERVER_SECONDS + image.capacity // _SERVER_RATE
    return Command(argv, _files(image.layers), Limits(_SERVER_MEMORY, seconds))


def _wait(process: subprocess.Popen[bytes], image: Image, pid_file: Path) -> None:
    wait_for(
        lambda: pid_file.exists() or process.poll() is not None,
        f"qemu-nbd for {image.path}", _START_SECONDS, every=0.05,
    )  # fmt: skip


def _files(layers: Sequence[OpenLayer]) -> tuple[int, ...]:
    return tuple(layer.file.descriptor for layer in layers)


def _described(room: Confinement, layers: Sequence[OpenLayer]) -> str:
    """Say the whole chain in one word; "json:" is QEMU's, the names are the room's."""
    return f"json:{json.dumps(node(layers, room.names(_files(layers))))}"


def _with_names(said: str, room: Confinement, layers: Sequence[OpenLayer]) -> str:
    """Put the names that a person knows for those that QEMU was told."""
    said = said.replace(_described(room, layers), layers[0].file.path.name)
    for layer, name in zip(layers, room.names(_files(layers)), strict=True):
        said = said.replace(f"{name}]", f"{layer.file.path.name}]")
    return said


def _failure(path: Path, output: str) -> TradewindError:
    said = excerpt((output.strip().splitlines()[-1:] or ["nothing"])[0])
    if "Failed to get" in output and "lock" in output:
        return BusyError(f"{path} is in use: {said}", "shut the machine that uses it down first")
    return ImageFormatError(f"{path} cannot be opened: {said}", "qemu-img check says more")
