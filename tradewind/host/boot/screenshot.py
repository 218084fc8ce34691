# SPDX-License-Identifier: Apache-2.0
"""A picture of what a machine shows on its screen."""

import io
from typing import Final

import libvirt
from PIL import Image, UnidentifiedImageError

from tradewind.errors import HypervisorError
from tradewind.host import storage
from tradewind.units import MiB

# A screen of 7680 × 4320 in 24 bits is 95 MiB; a guest chooses its own resolution.
LARGEST: Final = 128 * MiB
CHUNK: Final = 256 * 1024
# Wide enough to read a text console, small enough to be shown in a report.
WIDEST: Final = 1024


def take(connection: libvirt.virConnect, domain: libvirt.virDomain) -> bytes:
    """Take a picture of the first screen, as PNG; HypervisorError when there is none.

    QEMU answers with a PPM image (docs: virDomainScreenshot), newer ones with PNG.
    """
    received = bytearray()
    with storage.lent_stream(connection) as stream:
        domain.screenshot(stream, 0)
        while chunk := stream.recv(CHUNK):
            received += chunk
            if len(received) > LARGEST:
                raise HypervisorError(f"the screen of {domain.name()} is too large to be kept")
    return as_png(bytes(received))


def as_png(picture: bytes) -> bytes:
    """Turn a picture that QEMU took into a PNG, not wider than a report."""
    try:
        with Image.open(io.BytesIO(picture), formats=("PPM", "PNG")) as image:
            screen = image.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise HypervisorError(f"the picture of the screen cannot be read: {error}") from None
    screen.thumbnail((WIDEST, WIDEST))
    png = io.BytesIO()
    screen.save(png, "PNG", optimize=True)
    return png.getvalue()
