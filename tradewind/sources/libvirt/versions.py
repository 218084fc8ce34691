# SPDX-License-Identifier: Apache-2.0
"""Which version a disk's qcow2 image is of: one of version 2 keeps no dirty bitmaps."""

from typing import Final

import libvirt

from tradewind.errors import NotFoundError
from tradewind.host import host_files, storage
from tradewind.model.machine import Disk

# The path is in no pool; or this host has no storage driver at all.
_UNKNOWN: Final = frozenset(
    {libvirt.VIR_ERR_NO_STORAGE_VOL, libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_NO_CONNECT}
)


def known(connection: libvirt.virConnect, disk: Disk) -> Disk:
    """Add the version, where the image is in a pool: that costs two questions."""
    if disk.format != "qcow2" or disk.version is not None:
        return disk
    try:
        volume = connection.storageVolLookupByPath(disk.location)
        version = storage.describe_volume(volume).version
    except libvirt.libvirtError as error:
        if error.get_error_code() not in _UNKNOWN:
            raise
        return disk
    return disk.model_copy(update={"version": version})


def measured(connection: libvirt.virConnect, disk: Disk) -> Disk:
    """Add the version, looking into a folder that is no pool as well."""
    disk = known(connection, disk)
    if disk.format != "qcow2" or disk.version is not None or disk.is_block:
        return disk
    try:
        version = host_files.describe(connection, disk.location).version
    except NotFoundError:
        return disk
    return disk.model_copy(update={"version": version})
