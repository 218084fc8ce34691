# SPDX-License-Identifier: Apache-2.0
"""Read a disk over NBD: its bytes, and which of them are zero."""

import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from tradewind.errors import StreamError
from tradewind.model.storage import Extent, ExtentKind
from tradewind.sources import libnbd
from tradewind.units import GiB, KiB

ALLOCATION: Final = "base:allocation"

# The NBD protocol's NBD_STATE_ZERO. NBD_STATE_HOLE (1) says nothing about the content: only a
# range that reads as zero may be left out.
_ZERO_FLAG: Final = 2

# Bit 0 of qemu:dirty-bitmap:<name> (QEMU's docs/interop/nbd.txt).
_DIRTY_FLAG: Final = 1

# A block status request carries a 32-bit length.
_STATUS_STEP: Final = 2 * GiB

# QEMU takes memory for each answer; with more than 1 MiB of them under way it gets fresh pages from
# the kernel again and again, which zeroes them. On 1 GiB in four disks, moved through TLS, qemu-nbd
# 7.2 spent 0.7 s of CPU time in reads of 512 KiB two at a time, 1.4 s in 256 KiB sixteen at a time
# (QEMU's own limit), 1.5 s in 1 MiB two at a time. Four connections bring 200 MiB/s over 20 ms.
_READ_STEP: Final = 512 * KiB
_READS_AT_ONCE: Final = 2

_HANDSHAKE_SECONDS: Final = 30.0

# What the flags of a metadata context say of a range.
KindOf = Callable[[int], ExtentKind]


class NbdReader:
    """One connection to an export of a server at a unix socket.

    A DiskReader that also knows the disk's extents. `contexts` are the metadata contexts that
    may be asked for.
    """

    def __init__(
        self,
        path: Path,
        export: str = "",
        contexts: tuple[str, ...] = (ALLOCATION,),
        timeout: float = _HANDSHAKE_SECONDS,
    ) -> None:
        self._where = f"NBD export {export!r} at {path}"
        self._socket = _connect(path, timeout)
        try:
            self._nbd = libnbd.Connection(export, contexts)
            with self._named(), _deadline(self._socket, timeout):
                # libnbd owns the duplicate; ours stays, because shutting it down is what
                # makes a call that hangs in libnbd return.
                self._nbd.connect(os.dup(self._socket.fileno()))
                self.size = self._nbd.size()
        except BaseException:
            self.close()
            raise

    def readinto(self, buffer: memoryview, offset: int) -> None:
        """Fill the whole buffer with the bytes at `offset`."""
        with self._named():
            self._nbd.read_into(buffer, offset, _READ_STEP, _READS_AT_ONCE)

    def _walk(self, context: str, kind_of: KindOf, start: int, end: int) -> Iterator[Extent]:
        """Walk over a part of the disk in one metadata context, as the server cuts it."""
        offset = start
        while offset < end:
            count = min(_STATUS_STEP, end - offset)
            with self._named():
                entries = self._nbd.block_status(context, count, offset)
            for part in clipped(entries, kind_of, offset, end):
                yield part
                offset = part.end
            if not entries or not entries[0][0]:
                raise StreamError(f"{self._where}: no {context} for byte {offset}")

    def extents(self) -> Iterator[Extent]:
        """All of the disk as data and zero; all data where the server cannot tell."""
        if not self._nbd.has_context(ALLOCATION):
            yield Extent(0, self.size, ExtentKind.DATA)
            return
        yield from merged(self._allocation(0, self.size))

    def changes(self, bitmap: str) -> Iterator[Extent]:
        """All of the disk as data, zero and clean, by a dirty bitmap's metadata context.

        Only what is dirty is asked for its allocation: a walk over all of it can take longer than
        the copy. What is dirty and zero was zeroed since, and has to be zeroed at the target.
        """
        if not self._nbd.has_context(bitmap):
            raise StreamError(f"{self._where}: the server does not offer {bitmap}")
        yield from merged(self._changes(bitmap))

    def _changes(self, bitmap: str) -> Iterator[Extent]:
        for part in self._walk(bitmap, _dirtiness, 0, self.size):
            if part.kind is ExtentKind.CLEAN:
                yield part
            else:
                yield from self._allocation(part.start, part.end)

    def _allocation(self, start: int, end: int) -> Iterator[Extent]:
        return self._walk(ALLOCATION, allocation, start, end)

    def interrupt(self) -> None:
        """Make a call that hangs in another thread return with an error."""
        _shut(self._socket)

    def close(self) -> None:
        """Give the connection back."""
        if hasattr(self, "_nbd"):
            self._nbd.close()
        self._socket.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except StreamError as error:
            raise StreamError(f"{self._where}: {error.message}", error.hint) from error


@contextmanager
def open_reader(
    path: Path, export: str = "", contexts: tuple[str, ...] = (ALLOCATION,)
) -> Iterator[NbdReader]:
    """Lend one connection; readers of one export may work in parallel."""
    with closing(NbdReader(path, export, contexts)) as reader:
        yield reader


def extents(path: Path, export: str, capacity: int, bitmap: str | None = None) -> Iterator[Extent]:
    """Walk over an export that has to be `capacity` bytes, through a connection of its own.

    With a dirty bitmap's metadata context, what is not dirty is clean.
    """
    contexts = (ALLOCATION, bitmap) if bitmap else (ALLOCATION,)
    with open_reader(path, export, contexts) as reader:
        if reader.size != capacity:
            raise StreamError(
                f"NBD export {export!r} at {path} has {reader.size} bytes, the disk has {capacity}",
                "inspect the machine again: its disk was resized meanwhile",
            )
        yield from reader.changes(bitmap) if bitmap else reader.extents()


def clipped(
    entries: Iterable[tuple[int, int]], kind_of: KindOf, offset: int, size: int
) -> Iterator[Extent]:
    """Lay (length, flags) pairs out from `offset` on, ending where the disk ends.

    All of these are legal answers to a request (NBD protocol, NBD_CMD_BLOCK_STATUS)::

        asked      |--------------|
        exact      |----|---|-----|
        short      |----|
        long       |----|---|-----------|
    """
    for length, flags in entries:
        length_inside = min(length, size - offset)
        if length_inside <= 0:
            return
        yield Extent(offset, length_inside, kind_of(flags))
        offset += length_inside


def merged(extents: Iterable[Extent]) -> Iterator[Extent]:
    """Join neighbours of one kind."""
    current: Extent | None = None
    for extent in extents:
        if current is not None and current.kind is extent.kind:
            current = Extent(current.start, current.length + extent.length, current.kind)
            continue
        if current is not None:
            yield current
        current = extent
    if current is not None:
        yield current


def allocation(flags: int) -> ExtentKind:
    """Return what the flags of base:allocation mean."""
    return ExtentKind.ZERO if flags & _ZERO_FLAG else ExtentKind.DATA


def _dirtiness(flags: int) -> ExtentKind:
    return ExtentKind.DATA if flags & _DIRTY_FLAG else ExtentKind.CLEAN


def _connect(path: Path, timeout: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(str(path))
        connection.settimeout(None)
    except OSError as error:
        connection.close()
        raise StreamError(f"The NBD socket {path} does not answer: {error}") from error
    return connection


@contextmanager
def _deadline(connection: socket.socket, seconds: float) -> Iterator[None]:
    """Cut the connection when the body takes longer.

    A qemu-nbd that serves its full number of clients lets one more connect and never greets it.
    """
    timer = threading.Timer(seconds, _shut, [connection])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # already gone, which is what was wanted
