# SPDX-License-Identifier: Apache-2.0
"""The UEFI variables of a machine: its boot entries and Secure Boot keys."""

import base64
import zlib
from typing import Final

from pydantic import Field

from tradewind.errors import BadInputError
from tradewind.model.record import Record
from tradewind.units import MiB

# edk2's stores are 128, 256 or 528 KiB; there is no larger flash than 64 MiB (aarch64, mostly
# empty), which no x86 machine has.
LARGEST: Final = 4 * MiB


class UefiVariables(Record):
    """A variable store as the firmware keeps it, compressed: most of it is empty flash."""

    size: int = Field(gt=0, le=LARGEST)
    packed: str = Field(repr=False)

    @classmethod
    def of(cls, content: bytes) -> "UefiVariables":
        """Pack the content of a store."""
        packed = base64.b64encode(zlib.compress(content, 9)).decode()
        return cls(size=len(content), packed=packed)

    def content(self) -> bytes:
        """Unpack it again; never more than `size` bytes are made of what is stored."""
        stream = zlib.decompressobj()
        content = stream.decompress(base64.b64decode(self.packed), self.size + 1)
        if len(content) != self.size:
            raise BadInputError(
                "the UEFI variables that the ledger keeps of the machine are damaged",
                "transfer the machine again, or set keep_uefi_variables to false",
            )
        return content
