# SPDX-License-Identifier: Apache-2.0
"""Raw: the bytes of the disk, and nothing else."""

from tradewind.sources.images.layer import ImageLayer, check_capacity
from tradewind.sources.images.opening import ImageFile

_SECTOR = 512


def read(file: ImageFile) -> ImageLayer:
    """Take the file's size; QEMU shows whole sectors, the last one filled with zeroes."""
    return ImageLayer(check_capacity(file.path, -(-file.size // _SECTOR) * _SECTOR))
