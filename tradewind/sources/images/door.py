# SPDX-License-Identifier: Apache-2.0
"""The one door for disk images: each file of a chain is opened once, and the chain is ours.

A header can name any file of this machine or of the network, and QEMU's tools open it as soon as
they open the image (CVE-2024-4467 is one such case). So a header is read here, and what it names
has to lie in the folder. QEMU is told each layer with its format, and gets descriptors that are
open already.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tradewind.errors import ImageFormatError, NotFoundError
from tradewind.sources.images import formats
from tradewind.sources.images.layer import Reference, convert, excerpt
from tradewind.sources.images.opening import ImageFile, opened

CHAIN_LIMIT: Final = 32


@dataclass(frozen=True, slots=True)
class OpenLayer:
    """One file of a chain and the format that it is opened with."""

    file: ImageFile
    format: str


@dataclass(frozen=True, slots=True)
class Image:
    """An open chain, the image itself first."""

    layers: tuple[OpenLayer, ...]
    capacity: int

    @property
    def path(self) -> Path:
        """The image's name, for people."""
        return self.layers[0].file.path

    @property
    def format(self) -> str:
        """The format of the image itself."""
        return self.layers[0].format

    @property
    def allocation(self) -> int:
        """Bytes that the image itself takes."""
        return self.layers[0].file.allocation


@contextmanager
def open_image(folder: Path, path: Path, declared: str = "") -> Iterator[Image]:
    """Lend an image of `folder` and all that is under it; ImageFormatError names what is refused.

    `path` is absolute, and `declared` the format that its description says, if any.
    """
    with ExitStack() as stack:
        layers: list[OpenLayer] = []
        file = stack.enter_context(opened(folder, path))
        image_format = formats.format_of(file, declared)
        top = layer = formats.read(file, image_format)
        layers.append(OpenLayer(file, image_format))
        _require_bytes(path, top.capacity)
        while layer.backing is not None:
            over = layers[-1].file.path
            file = stack.enter_context(_backing(folder, layers, layer.backing))
            image_format = formats.format_of(file, layer.backing.format, over)
            layer = formats.read(file, image_format)
            layers.append(OpenLayer(file, image_format))
        yield Image(tuple(layers), top.capacity)


def _require_bytes(path: Path, capacity: int) -> None:
    if not capacity:
        raise ImageFormatError(
            f"{path} holds a disk of 0 bytes",
            "copy the image here again from where it came from, or leave it out",
        )


def node(layers: Sequence[OpenLayer], names: Sequence[str]) -> dict[str, Any]:
    """Describe a chain for QEMU (QAPI's BlockdevOptions), each file by the name it has for QEMU.

    Nothing is left for QEMU to find in a header: the last layer has no backing file, whatever it
    says.
    """
    described: dict[str, Any] | None = None
    for layer, name in reversed(list(zip(layers, names, strict=True))):
        described = {
            "driver": layer.format,
            "file": {"driver": "file", "filename": name},
        } | ({} if layer.format == "raw" else {"backing": described})
    assert described is not None  # noqa: S101 - a chain has at least the image itself
    return described


@contextmanager
def _backing(folder: Path, above: list[OpenLayer], named: Reference) -> Iterator[ImageFile]:
    over = above[-1].file
    if len(above) > CHAIN_LIMIT:
        raise ImageFormatError(
            f"{above[0].file.path}: more than {CHAIN_LIMIT} backing files",
            convert(above[0].file.path),
        )
    with _opened_backing(folder, over.path, named.name) as file:
        if file.identity in {each.file.identity for each in above}:
            raise ImageFormatError(
                f"{over.path}: its backing file {file.path} has been in the chain already",
                "copy the images here again from where they came from",
            )
        yield file


@contextmanager
def _opened_backing(folder: Path, over: Path, name: str) -> Iterator[ImageFile]:
    # "json:…", "nbd://…", "ssh:…", "fat:…" and their like are no file names for QEMU.
    target = Path(os.path.normpath(over.parent / name))
    if ":" in name or not target.is_relative_to(folder) or target == folder:
        raise _outside(folder, over, excerpt(name))
    with ExitStack() as stack:
        try:
            file = stack.enter_context(opened(folder, target))
        except NotFoundError:
            raise ImageFormatError(
                f"{over}: its backing file {excerpt(str(target))} is missing", convert(over)
            ) from None
        except ImageFormatError as error:
            raise ImageFormatError(
                f"{over}: its backing file: {error.message}", error.hint
            ) from None
        yield file


def _outside(folder: Path, over: Path, named: str) -> ImageFormatError:
    return ImageFormatError(
        f"{over} has a backing file outside its folder: {named}",
        f"put the backing file into {folder} and run qemu-img rebase -u, or convert the "
        "image where the whole chain is at home",
    )
