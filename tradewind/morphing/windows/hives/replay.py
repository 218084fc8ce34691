# SPDX-License-Identifier: Apache-2.0
"""Make a hive whole from its logs, and prove that it is.

The hive of a running machine is rarely complete: the kernel writes to the logs at once, and to the
hive up to an hour later. Who edits such a hive without them loses what only they hold.

Which entries count, and when recovery stops: the notes to "Log entries" and "Multiple transaction
log files" of the specification. What Windows would leave out is left out here too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tradewind.errors import InspectionError
from tradewind.morphing.windows.hives import base_block, dirty_sectors, log_entries
from tradewind.morphing.windows.hives.base_block import BaseBlock
from tradewind.morphing.windows.hives.log_entries import LogEntry
from tradewind.morphing.windows.hives.malformed import MalformedHiveError
from tradewind.morphing.windows.hives.walk import MOST, Census, walk
from tradewind.units import MiB

REMEDY: Final = (
    "shut Windows down completely on the source (shutdown /s /f /t 0), and transfer again; if it "
    "is said again, let chkdsk look at that volume first"
)
_FIRST_BIN_WRITTEN_AT: Final = base_block.SIZE + 20


@dataclass(frozen=True, slots=True)
class Replayed:
    """A whole hive. `entries` of its logs were needed, 0 when it was clean; `pages` of them."""

    content: bytes
    census: Census
    entries: int = 0
    pages: int = 0


def replayed(name: str, hive: bytes, logs: Sequence[bytes] = ()) -> Replayed:
    """Complete a hive from its logs, .LOG1 first; every key and value of it is then looked at.

    InspectionError when the logs do not complete it, or when it is damaged.
    """
    try:
        _require_bounded(max(map(len, (hive, *logs))), "it or a log is")
        return _replayed(hive, [log for log in logs if log])
    except MalformedHiveError as error:
        raise InspectionError(f"the registry hive {name} cannot be used: {error}", REMEDY) from None


def _replayed(hive: bytes, logs: Sequence[bytes]) -> Replayed:
    base = base_block.read(hive)
    if not base.dirty:
        return Replayed(hive, walk(hive))
    believed = [(log, block) for log in logs if (block := _believed(log))]
    chosen = _chosen(base, believed)
    if chosen:
        content, entries, pages = _with_entries(hive, base, chosen)
    else:
        content, entries, pages = _with_sectors(hive, base, believed)
    return Replayed(content, walk(content), entries, pages)


def _believed(log: bytes) -> BaseBlock | None:
    """Read a log's base block; None when it is torn."""
    try:
        block = base_block.read(log)
    except MalformedHiveError:
        return None
    return block if block.sealed and block.primary == block.secondary else None


def _chosen(base: BaseBlock, believed: Sequence[tuple[bytes, BaseBlock]]) -> list[bytes]:
    """Choose the logs whose entries are newer than the hive, in the order of their entries.

    A hive that has lost its own base block takes it from the log with the latest entries, alone.
    """
    newer = sorted(
        (
            (block.primary, log)
            for log, block in believed
            if block.kind == base_block.NEW_LOG
            and (not base.sealed or block.primary >= base.secondary)
        ),
        key=lambda found: found[0],
    )
    logs = [log for _, log in newer]
    return logs if base.sealed else logs[-1:]


def _entries(logs: Sequence[bytes]) -> Iterator[LogEntry]:
    """Put the entries of both logs in a row, up to the first gap."""
    expected = base_block.read(logs[0]).primary
    for log in logs:
        if base_block.read(log).primary != expected:
            return
        for entry in log_entries.read(log, expected):
            yield entry
            expected = entry.sequence + 1


def _with_entries(hive: bytes, base: BaseBlock, logs: Sequence[bytes]) -> tuple[bytes, int, int]:
    content = bytearray(hive)
    if not base.sealed:
        content[: base_block.SECTOR] = logs[0][: base_block.SECTOR]
    applied = pages = 0
    for entry in _entries(logs):
        _resize(content, entry.bins_size)
        for offset, page in entry.pages:
            _put(content, offset, page)
        base_block.set_locked(content, entry.flags)
        base_block.settle(content, entry.sequence + 1, entry.bins_size)
        applied += 1
        pages += len(entry.pages)
    if not applied:
        raise MalformedHiveError("it was being written, and no entry of its logs is whole")
    return bytes(content), applied, pages


def _with_sectors(
    hive: bytes, base: BaseBlock, believed: Sequence[tuple[bytes, BaseBlock]]
) -> tuple[bytes, int, int]:
    """Apply the first old log that fits, as the boot loader does.

    It has the hive's time and, since Windows Vista, its sequence number. Without the number a log
    that an update to Windows 8.1 left behind could fit: the time stays the same from there on.
    """
    written = _written(hive, base)
    fitting = (
        (log, block)
        for log, block in believed
        if block.kind in base_block.OLD_LOGS
        and block.written == written
        and (block.primary == base.primary or not base.sealed)
    )
    log, block = next(fitting, (b"", base))
    if not log:
        raise MalformedHiveError("it was being written, and none of its logs completes it")
    content = bytearray(hive)
    if not base.sealed:
        content[: base_block.SECTOR] = log[: base_block.SECTOR]
    _resize(content, block.bins_size)
    sectors = 0
    for offset, sector in dirty_sectors.read(log):
        _put(content, offset, sector)
        sectors += 1
    base_block.settle(content, max(base.primary, block.primary) + 1, block.bins_size)
    return bytes(content), 1, sectors


def _written(hive: bytes, base: BaseBlock) -> int:
    """When the hive was written: by its base block, else by its first bin."""
    if base.sealed:
        return base.written
    return int.from_bytes(hive[_FIRST_BIN_WRITTEN_AT:][:8], "little")


def _resize(content: bytearray, bins_size: int) -> None:
    _require_bounded(bins_size, "its log would make it")
    content.extend(bytes(max(0, base_block.SIZE + bins_size - len(content))))


def _require_bounded(size: int, what: str) -> None:
    if size > MOST:
        raise MalformedHiveError(f"{what} larger than {MOST // MiB} MiB")


def _put(content: bytearray, offset: int, page: bytes | memoryview) -> None:
    start = base_block.SIZE + offset
    content[start : start + len(page)] = page
