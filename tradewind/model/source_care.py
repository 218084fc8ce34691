# SPDX-License-Identifier: Apache-2.0
"""What a source's guests are spared while their machines are read."""

from enum import StrEnum
from typing import Final

from pydantic import Field

from tradewind.model.record import Record
from tradewind.units import GiB

FREEZE_TIMEOUT: Final = 30
RESERVE: Final = 2 * GiB
RESERVE_PERCENT: Final = 2


class BackupTransport(StrEnum):
    """How QEMU serves what is read of a machine, on its host: see `sources/serving.py`."""

    UNIX = "unix"
    TCP = "tcp"


class SourceCare(Record):
    """How a source is treated; sizes are bytes.

    While a running machine is read, what its guest overwrites is kept in scratch files: in the
    storage pool `scratch_pool`, else beside each disk. The snapshot is given up when their file
    system has no more free than `scratch_reserve`, or that many percent of it: the larger counts.
    A guest agent may take `freeze_timeout` seconds to freeze its file systems.
    """

    backup_transport: BackupTransport = BackupTransport.UNIX

    scratch_pool: str | None = None
    scratch_reserve: int = Field(RESERVE, ge=0)
    scratch_reserve_percent: int = Field(RESERVE_PERCENT, ge=0, le=90)
    freeze_timeout: int = Field(FREEZE_TIMEOUT, ge=1, le=3600)

    def reserve_of(self, size: int) -> int:
        """Say how many bytes of a file system of this size stay free."""
        return max(self.scratch_reserve, size * self.scratch_reserve_percent // 100)


DEFAULT_CARE: Final = SourceCare()
