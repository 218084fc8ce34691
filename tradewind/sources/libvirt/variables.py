# SPDX-License-Identifier: Apache-2.0
"""The UEFI variables of a source's machine, whatever format its host keeps them in."""

import libvirt

from tradewind.errors import ImageFormatError, NotFoundError, StreamError
from tradewind.host.domain import uefi
from tradewind.model.machine import VirtualMachine
from tradewind.model.uefi import LARGEST, UefiVariables
from tradewind.sources.images import conversion

_STAY = "The source does not give its UEFI variables away: {why}."


def read_variables(
    connection: libvirt.virConnect, domain: libvirt.virDomain, machine: VirtualMachine
) -> tuple[UefiVariables | None, tuple[str, ...]]:
    """Read them; None and a sentence when they cannot be had, None alone when there are none."""
    try:
        store = uefi.read_store(connection, domain, machine)
        return (None if store is None else UefiVariables.of(_raw(store))), ()
    except (NotFoundError, ImageFormatError, StreamError) as error:
        return None, (_STAY.format(why=error.message),)


def _raw(store: uefi.Store) -> bytes:
    if store.format == "raw":
        return store.content
    return conversion.to_raw(store.content, store.path, LARGEST)
