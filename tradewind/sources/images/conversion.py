# SPDX-License-Identifier: Apache-2.0
"""Small images in memory, from one format into another: UEFI variable stores, a few MiB each.

What comes from a host or a guest is opened through the same door as any other image, and converted
by a confined qemu-img, which writes into a folder of its own.
"""

from pathlib import Path
from typing import Final

from tradewind.errors import ImageFormatError, NotFoundError
from tradewind.private_folders import private_folder
from tradewind.sources.images import qemu
from tradewind.sources.images.door import Image, open_image

_IN: Final = "store"
_OUT: Final = "converted"
_HINT: Final = "set keep_uefi_variables to false to go on without"


def to_raw(content: bytes, name: str, largest: int) -> bytes:
    """Unpack a qcow2 image that needs no other file; `name` is what it is called, for people.

    ImageFormatError: it is damaged, lies on another image, or holds more than `largest` bytes.
    """
    return _converted(content, name, "qcow2", "raw", largest)


def to_qcow2(content: bytes, name: str) -> bytes:
    """Pack raw bytes, whole sectors of 512, into a qcow2 image."""
    return _converted(content, name, "raw", "qcow2", len(content))


def _converted(content: bytes, name: str, old: str, new: str, largest: int) -> bytes:
    with private_folder() as folder:
        (folder / _IN).write_bytes(content)
        try:
            return _convert(folder, name, old, new, largest)
        except (ImageFormatError, NotFoundError) as error:
            # Neither error nor remedy is about the copy of this moment.
            said = error.message.replace(str(folder / _IN), name)
            raise ImageFormatError(said, _HINT) from None


def _convert(folder: Path, name: str, old: str, new: str, largest: int) -> bytes:
    with open_image(folder, folder / _IN, old) as image:
        _require_alone(image, name, largest)
        qemu.check(image)
        place = folder / "out"
        place.mkdir(mode=0o700)
        qemu.convert(image, new, place, _OUT)
        return (place / _OUT).read_bytes()


def _require_alone(image: Image, name: str, largest: int) -> None:
    if len(image.layers) > 1:
        raise ImageFormatError(f"{name} lies on another image")
    if image.capacity > largest:
        raise ImageFormatError(f"{name} holds {image.capacity} bytes, more than {largest}")
