# SPDX-License-Identifier: Apache-2.0
"""Hives that were being written, completed from their logs."""

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from regipy import recovery

from tests.fakes import windows_hives
from tests.fakes.windows_hives import (
    WIN7,
    WIN81,
    Dirty,
    base_block,
    entry,
    exported,
    sealed,
)
from tradewind.errors import InspectionError
from tradewind.memory import peak_memory
from tradewind.morphing.windows.hives.replay import replayed
from tradewind.units import MiB

COMPUTER = "ControlSet001\\Control\\ComputerName\\ComputerName"


def one_log() -> Dirty:
    return windows_hives.dirty(two_logs=False)


def two_logs() -> Dirty:
    return windows_hives.dirty()


def computer(hive: bytes) -> str:
    return exported(hive)[COMPUTER]["ComputerName"][1].decode("utf-16-le").rstrip("\0")


def refusal(hive: bytes, *logs: bytes) -> str:
    with pytest.raises(InspectionError) as refused:
        replayed("SYSTEM", hive, logs)
    assert refused.value.message.startswith("the registry hive SYSTEM cannot be used: ")
    assert "shutdown /s /f /t 0" in refused.value.hint
    return refused.value.message


def test_clean_hive_stays_as_it_is_whatever_its_logs_say() -> None:
    hive = windows_hives.clean(WIN81)
    whole = replayed("SYSTEM", hive, two_logs().logs)
    assert (whole.content, whole.entries, whole.pages) == (hive, 0, 0)


@pytest.mark.parametrize(
    "made",
    [
        one_log,
        two_logs,
        lambda: replace(two_logs(), logs=two_logs().logs[::-1]),
        lambda: windows_hives.dirty(first=500),
        lambda: windows_hives.dirty(WIN81),
    ],
    ids=["one log", "two logs", "the second log is the older", "far above the hive", "8.1"],
)
def test_entries_of_both_logs_complete_a_hive(made: Callable[[], Dirty]) -> None:
    dirty = made()
    whole = replayed("SYSTEM", dirty.hive, dirty.logs)
    assert whole.content == dirty.expected
    assert whole.entries == 2
    assert computer(whole.content) == "AFTER-LOG-2"


def test_pages_are_those_that_another_reader_finds(tmp_path: Path) -> None:
    hive, log = tmp_path / "SYSTEM", tmp_path / "SYSTEM.LOG1"
    old = windows_hives.clean(WIN81)[4096:]
    new = old.replace("WIN81A".encode("utf-16-le"), "AFTERL".encode("utf-16-le"))
    dirty = windows_hives.logged([old, new])  # it refuses entries that make a hive larger
    hive.write_bytes(dirty.hive)
    log.write_bytes(dirty.logs[0])
    found, pages = recovery.apply_transaction_logs(str(hive), str(log))
    whole = replayed("SYSTEM", dirty.hive, dirty.logs)
    assert computer(whole.content) == "AFTERL"
    assert Path(found).read_bytes()[4096:] == whole.content[4096:]
    assert pages == whole.pages


def last_entry(log: bytes) -> int:
    return log.rindex(b"HvLE")


def spoilt(log: bytes) -> bytes:
    return log[:-600] + bytes([log[-600] ^ 0xFF]) + log[-599:]


def renumbered(log: bytes) -> bytes:
    at = last_entry(log)
    size, _, sequence, bins, pages = struct.unpack_from("<5I", log, at + 4)
    return log[:at] + entry(size, sequence + 5, bins, pages, log[at + 40 :])


@pytest.mark.parametrize(
    "damage",
    [spoilt, renumbered, lambda log: log[:-9000], lambda log: log[: last_entry(log) + 20]],
    ids=["a byte is another", "a gap before it", "cut in its pages", "cut in its head"],
)
def test_replay_ends_before_an_entry_that_is_not_whole(damage: Callable[[bytes], bytes]) -> None:
    whole = replayed("SYSTEM", one_log().hive, [damage(one_log().logs[0])])
    assert whole.entries == 1
    assert computer(whole.content) == "AFTER-LOG-1"


def test_entries_of_an_earlier_round_are_left_out() -> None:
    log = one_log().logs[0]
    size, _, _, bins, pages = struct.unpack_from("<5I", log, 516)
    stale = entry(size, 2, bins, pages, log[512 + 40 : 512 + size])
    assert replayed("SYSTEM", one_log().hive, [log + stale]).content == one_log().expected


def test_second_log_counts_only_when_it_follows_the_first() -> None:
    later = windows_hives.dirty(first=9).logs[1]
    whole = replayed("SYSTEM", two_logs().hive, [two_logs().logs[0], later])
    assert whole.entries == 1


@pytest.mark.parametrize(
    "logs",
    [
        list,
        lambda: [b"", b""],
        lambda: [b"no log at all" * 100],
        lambda: [spoilt(two_logs().logs[0])],
        lambda: [windows_hives.dirty(first=1, two_logs=False).logs[0]],
        lambda: [bytes(sealed(bytearray(base_block(4096, 3, 2, 6)[:512])))],
    ],
    ids=["none", "empty", "garbage", "its first entry is torn", "older than the hive", "torn"],
)
def test_dirty_hive_that_its_logs_do_not_complete_is_refused(
    logs: Callable[[], list[bytes]],
) -> None:
    assert "it was being written, and no" in refusal(two_logs().hive, *logs())


def test_second_log_does_not_count_when_the_first_has_no_whole_entry() -> None:
    first, second = two_logs().logs
    assert "no entry of its logs is whole" in refusal(two_logs().hive, spoilt(first), second)


def test_hive_without_a_base_block_takes_it_from_the_log_with_the_latest_entries() -> None:
    torn = bytearray(one_log().hive)
    torn[200] ^= 0xFF
    whole = replayed("SYSTEM", bytes(torn), one_log().logs)
    assert whole.content[4096:] == one_log().expected[4096:]
    assert computer(whole.content) == "AFTER-LOG-2"


def test_log_before_windows_8_1_completes_a_hive_whose_sectors_were_half_written() -> None:
    dirty = windows_hives.old_dirty()
    whole = replayed("SYSTEM", dirty.hive, dirty.logs)
    assert whole.content == dirty.expected
    assert computer(whole.content) == "AFTER-LOG"


def test_old_log_is_also_believed_when_the_base_block_is_lost() -> None:
    dirty = windows_hives.old_dirty()
    torn = bytearray(dirty.hive)
    torn[200] ^= 0xFF
    assert replayed("SYSTEM", bytes(torn), dirty.logs).content[4096:] == dirty.expected[4096:]


@pytest.mark.parametrize(("at", "what"), [(12, "time"), (4, "number")])
def test_old_log_of_another_moment_is_left_out(at: int, what: str) -> None:
    dirty = windows_hives.old_dirty()
    log = bytearray(dirty.logs[0])
    log[at] ^= 0xFF
    if what == "number":  # both of them, or it would be torn
        log[8] ^= 0xFF
    said = refusal(dirty.hive, bytes(sealed(log)))
    assert "none of its logs completes it" in said


def test_short_old_log_is_refused() -> None:
    dirty = windows_hives.old_dirty()
    assert "ends before its last dirty sector" in refusal(dirty.hive, dirty.logs[0][:-512])
    assert "no bitmap" in refusal(dirty.hive, dirty.logs[0][:530])


def test_log_that_asks_for_gigabytes_gets_none() -> None:
    log = bytearray(one_log().logs[0][:512])
    huge = bytes(log) + entry(512, 3, 0xFFFFF000, 0, bytes(472))
    before = peak_memory()
    assert "larger than 512 MiB" in refusal(one_log().hive, huge)
    assert peak_memory() - before < 64 * MiB


def test_log_that_damages_the_hive_is_refused() -> None:
    body = struct.pack("<II", 0, 4096) + b"\xff" * 4096
    body += bytes(-(len(body) + 40) % 512)
    wrong = entry(40 + len(body), 3, len(one_log().hive) - 4096, 1, body)
    assert "no bin begins at 0x0" in refusal(one_log().hive, one_log().logs[0][:512] + wrong)


def test_old_hive_of_windows_7_is_clean_without_logs() -> None:
    assert replayed("SYSTEM", windows_hives.clean(WIN7)).census.keys == 380 - 1
