# SPDX-License-Identifier: Apache-2.0
"""Our mover in a process of its own. Usage: python -m bench.ours, a `MoveJob` on stdin."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from pydantic import Field, SecretStr

from tradewind.memory import peak_memory
from tradewind.model.host import HttpsAccess
from tradewind.model.progress import DiskProgress
from tradewind.model.record import Record
from tradewind.model.storage import Extent, ExtentKind, TargetState
from tradewind.ports import DiskWriter
from tradewind.sources import nbd
from tradewind.streaming.copy import copy_disks
from tradewind.streaming.copy_thread import CopyJob
from tradewind.streaming.jobs import writers


class MovedDisk(Record):
    """A disk of `size` bytes at an NBD socket; `changed` are (start, length), None: all of it."""

    socket: Path
    size: int
    changed: tuple[tuple[int, int], ...] | None = None


class MoveJob(Record):
    """What to move, and where to; the secrets travel in the clear, through a pipe."""

    address: str
    port: int
    ca_certificate: str
    client_certificate: str
    client_key: str = Field(repr=False)
    digest_key: str = Field(repr=False)
    disks: tuple[MovedDisk, ...]

    def access(self) -> HttpsAccess:
        """Return how to reach the service."""
        return HttpsAccess(
            address=self.address,
            port=self.port,
            ca_certificate=self.ca_certificate,
            client_certificate=self.client_certificate,
            client_key=SecretStr(self.client_key),
            digest_key=SecretStr(self.digest_key),
        )


def changes(disk: MovedDisk) -> Iterator[Extent]:
    """Return what is to be read, and that the rest is as it was."""
    position = 0
    for start, length in disk.changed or ():
        if start > position:
            yield Extent(position, start - position, ExtentKind.CLEAN)
        yield Extent(start, length, ExtentKind.DATA)
        position = start + length
    if position < disk.size:
        yield Extent(position, disk.size - position, ExtentKind.CLEAN)


def _job(number: int, disk: MovedDisk, open_writer: Callable[[str], DiskWriter]) -> CopyJob:
    whole = partial(nbd.extents, disk.socket, "", disk.size)
    return CopyJob(
        disk_id=str(number),
        capacity=disk.size,
        target=TargetState.BLANK if disk.changed is None else TargetState.AT_CHECKPOINT,
        extents=whole if disk.changed is None else partial(changes, disk),
        open_reader=partial(nbd.open_reader, disk.socket),
        open_writer=partial(open_writer, str(number)),
    )


def _quiet(_: DiskProgress) -> None:
    return


def main() -> None:
    """Move, and print the seconds and the peak memory in bytes."""
    order = MoveJob.model_validate_json(sys.stdin.read())
    begun = time.monotonic()
    open_writer = writers(order.access())
    jobs = [_job(number, disk, open_writer) for number, disk in enumerate(order.disks)]
    copy_disks(jobs, threading.Event(), _quiet)
    seconds = time.monotonic() - begun
    print(json.dumps({"seconds": seconds, "memory": peak_memory()}))


if __name__ == "__main__":
    main()
