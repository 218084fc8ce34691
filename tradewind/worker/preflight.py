# SPDX-License-Identifier: Apache-2.0
"""What can be said of workers before one is started."""

import struct
from typing import Final

import libvirt

from tradewind.errors import BadInputError
from tradewind.host import storage, validate
from tradewind.model.finding import Finding, error
from tradewind.model.options import ProviderOptions
from tradewind.units import KiB
from tradewind.worker import lifecycle

# Header of a qcow2 image: magic, version, offset and length of its backing file's name.
# https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.rst
_HEADER: Final = struct.Struct(">4sIQI")
_MAGIC: Final = b"QFI\xfb"


def findings(
    connection: libvirt.virConnect, options: ProviderOptions, os: str
) -> tuple[Finding, ...]:
    """See that workers for an OS family find their image and their network."""
    return (*_image(connection, options, os), *_network(connection, options.migr_worker_network))


def _image(
    connection: libvirt.virConnect, options: ProviderOptions, os: str
) -> tuple[Finding, ...]:
    try:
        volume = options.worker_image(os)
        pool = lifecycle.find_image(connection, volume)
    except BadInputError as failure:
        return validate.problems(failure, f"migr_image_map and pools of {connection.getHostname()}")
    head = storage.download(connection, pool, volume, KiB)[: _HEADER.size]
    magic, _, _, backing = _HEADER.unpack(head.ljust(_HEADER.size, b"\0"))
    remedy = "build it and stage it anew: tradewind worker-image stage"
    if magic != _MAGIC:
        seen = f"its first bytes: {magic.hex(' ')}"
        return (error(f"worker image {pool}/{volume} is no qcow2 image", remedy, seen),)
    if backing:
        seen = f"its header names a backing file at byte {backing}"
        return (
            error(f"worker image {pool}/{volume} needs another image beneath it", remedy, seen),
        )
    return ()


def _network(connection: libvirt.virConnect, name: str | None) -> tuple[Finding, ...]:
    try:
        validate.require_network(connection, name, "migr_worker_network")
    except BadInputError as failure:
        return validate.problems(failure, f"virsh net-list of {connection.getHostname()}")
    return ()
