# SPDX-License-Identifier: Apache-2.0
"""Registry hives made from text, clean or dirty with logs of either kind, and read by hivexregedit.

The empty hive, the logs and their hashes are written here from the public description of the
format (msuhanov/regf), apart from the code that they test. Needs hivexregedit (libwin-hivex-perl).
"""

import re
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

HEADER: Final = "Windows Registry Editor Version 5.00\n\n"
PREFIX: Final = "HKEY_LOCAL_MACHINE\\SYSTEM"
DATA: Final = Path(__file__).parents[1] / "data" / "windows"
WIN7: Final = "win7-x86.system.reg"
WIN81: Final = "win81-x64.system.reg"
WIN10: Final = "win10-1709-x64.system.reg"
WIN10_VMWARE: Final = "win10-1903-x64.system.reg"
_TIME: Final = struct.pack("<Q", (1704067200 + 11644473600) * 10**7)  # 2024-01-01
_NONE: Final = 0xFFFFFFFF

Keys = dict[str, dict[str, tuple[int, bytes]]]


@dataclass(frozen=True)
class Dirty:
    """A hive that was being written, its logs, and what a right replay makes of them."""

    hive: bytes
    logs: list[bytes]
    expected: bytes


def base_block(bins: int, first: int, second: int, kind: int = 0) -> bytearray:
    block = bytearray(4096)
    block[0:4] = b"regf"
    struct.pack_into("<II", block, 4, first, second)
    block[12:20] = _TIME
    struct.pack_into("<IIIIIII", block, 20, 1, 5, kind, 1, 32, bins, 1)
    block[48:60] = "SYSTEM".encode("utf-16-le")
    return sealed(block)


def sealed(block: bytearray) -> bytearray:
    """Write the right checksum of a base block."""
    folded = 0
    for at in range(0, 508, 4):
        folded ^= int.from_bytes(block[at : at + 4], "little")
    struct.pack_into("<I", block, 508, {0: 1, _NONE: _NONE - 1}.get(folded, folded))
    return block


def _ace(sid: str, mask: int) -> bytes:
    who = bytes.fromhex(sid)
    return struct.pack("<BBHI", 0, 2, 8 + len(who), mask) + who


def _cell(body: bytes) -> bytes:
    padding = -(len(body) + 4) % 8
    return struct.pack("<i", -(len(body) + 4 + padding)) + body + bytes(padding)


def empty() -> bytes:
    """Make a hive with a root key and its security descriptor, nothing else."""
    system, admins = "010100000000000512000000", "01020000000000052000000020020000"
    users = "01020000000000052000000021020000"
    aces = _ace(system, 0xF003F) + _ace(admins, 0xF003F) + _ace(users, 0x20019)
    dacl = struct.pack("<BBHHH", 2, 0, 8 + len(aces), 3, 0) + aces
    owners = bytes.fromhex(admins + system)
    descriptor = struct.pack("<BBHIIII", 1, 0, 0x8004, 20, 36, 0, 48) + owners + dacl
    name = b"ROOT"
    head = b"nk" + struct.pack("<H", 0x2C) + _TIME
    links = (0, _NONE, 0, 0, _NONE, _NONE, 0, _NONE)
    tail = struct.pack("<IIIIIIHH", _NONE, 0, 0, 0, 0, 0, len(name), 0) + name
    at = 32 + len(_cell(head + struct.pack("<9I", *links, 0) + tail))
    key = _cell(head + struct.pack("<9I", *links, at) + tail)
    security = _cell(b"sk" + struct.pack("<HIIII", 0, at, at, 1, len(descriptor)) + descriptor)
    body = key + security
    free = 4096 - 32 - len(body)
    bin_head = b"hbin" + struct.pack("<II", 0, 4096) + bytes(8) + _TIME + bytes(4)
    rest = struct.pack("<i", free) + bytes(free - 4)
    return bytes(base_block(4096, 1, 1)) + bin_head + body + rest


@cache
def clean(*regs: str) -> bytes:
    """Make a hive from files of tests/data/windows, or from texts in their notation."""
    before = clean(*regs[:-1]) if regs[1:] else empty()
    return _hive(_merged(before, regs[-1]), 2, 2)


def _merged(hive: bytes, reg: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path, text = Path(folder) / "hive", Path(folder) / "text.reg"
        path.write_bytes(hive)
        text.write_text(reg if "\n" in reg else (DATA / reg).read_text())
        command: list[str | Path] = ["hivexregedit", "--merge", "--prefix", PREFIX, path, text]
        subprocess.run(command, check=True)
        return path.read_bytes()


def _hive(content: bytes, first: int, second: int) -> bytes:
    bins = content[4096 : 4096 + int.from_bytes(content[40:44], "little")]
    return bytes(base_block(len(bins), first, second)) + bins


@cache
def dirty(base: str = WIN10, *, first: int = 3, two_logs: bool = True) -> Dirty:
    """Make a hive whose two last writes are in its logs (Windows 8.1 and later).

    `first` is the number of the first entry; real logs may begin far above the hive's own.
    """
    return logged(_states(base, "pending-1.reg", "pending-2.reg"), first, two_logs=two_logs)


def logged(states: list[bytes], first: int = 3, *, two_logs: bool = False) -> Dirty:
    """Make a hive whose bins were once the first of these, and whose logs lead to the last."""
    entries = [_entry(a, b, first + n) for n, (a, b) in enumerate(pairwise(states))]
    cut = 1 if two_logs else len(entries)
    logs = [_log(entries[:cut], first), _log(entries[cut:], first + cut)]
    hive = bytes(base_block(len(states[0]), 3, 2)) + states[0]
    return Dirty(hive, logs, replayed(states[-1], first + len(entries)))


def replayed(bins: bytes, sequence: int) -> bytes:
    """Say what a hive is after its log entries: their flag is in its base block too."""
    block = base_block(len(bins), sequence, sequence)
    block[144] = 1
    return bytes(sealed(block)) + bins


def _states(base: str, *pending: str) -> list[bytes]:
    hive = clean(base)
    states = [hive[4096:]]
    for reg in pending:
        hive = _merged(hive, reg)
        states.append(_hive(hive, 2, 2)[4096:])
    return states


def _log(entries: list[bytes], first: int) -> bytes:
    return bytes(base_block(4096, first, first, 6)[:512]) + b"".join(entries) if entries else b""


def _marvin32(content: bytes) -> int:
    mask = _NONE
    low, high = 0x7A4E55C5, 0x82EF4D88
    body = content + b"\x80"
    body += bytes(-len(body) % 4 + 4)

    def rotated(word: int, by: int) -> int:
        return (word << by | word >> (32 - by)) & mask

    for (word,) in struct.iter_unpack("<I", body):
        low = (low + word) & mask
        for left, right in ((20, 9), (27, 19)):
            high ^= low
            low = (rotated(low, left) + high) & mask
            high = rotated(high, right)
    return high << 32 | low


def _entry(old: bytes, new: bytes, sequence: int) -> bytes:
    """Make the log entry that turns the bins of one hive into those of the next."""
    pages = [at for at in range(0, len(new), 4096) if old[at : at + 4096] != new[at : at + 4096]]
    body = b"".join(struct.pack("<II", at, 4096) for at in pages)
    body += b"".join(new[at : at + 4096] for at in pages)
    size = -(-(40 + len(body)) // 512) * 512
    body += bytes(size - 40 - len(body))
    return entry(size, sequence, len(new), len(pages), body)


def entry(size: int, sequence: int, bins: int, pages: int, body: bytes) -> bytes:
    """Put a log entry together, with the hashes that belong to it."""
    head = b"HvLE" + struct.pack("<5I", size, 1, sequence, bins, pages)
    head += struct.pack("<Q", _marvin32(body))
    return head + struct.pack("<Q", _marvin32(head)) + body


@cache
def old_dirty(base: str = WIN7) -> Dirty:
    """Make a hive as Windows 7 leaves it when it loses power: pages half written, log of all."""
    old, new = _states(base, DIRTY_WIN7)
    sectors = [at for at in range(0, len(new), 512) if old[at : at + 512] != new[at : at + 512]]
    bitmap = bytearray(len(new) // 4096)
    for at in sectors:
        bitmap[at // 4096] |= 1 << at // 512 % 8
    vector = b"DIRT" + bytes(bitmap)
    vector += bytes(-len(vector) % 512)
    log = bytes(base_block(len(new), 3, 3, 1)[:512]) + vector
    log += b"".join(new[at : at + 512] for at in sectors)
    half = sectors[: len(sectors) // 2]
    torn = bytearray(old)
    for at in (at for at in half if at < len(old)):
        torn[at : at + 512] = new[at : at + 512]
    return Dirty(
        bytes(base_block(len(old), 3, 2)) + bytes(torn),
        [log, b""],
        bytes(base_block(len(new), 4, 4)) + new,
    )


DIRTY_WIN7: Final = f"""{HEADER}[{PREFIX}\\ControlSet001\\Control\\ComputerName\\ComputerName]
"ComputerName"="AFTER-LOG"

[{PREFIX}\\ControlSet001\\services\\replaytest]

[{PREFIX}\\ControlSet001\\services\\replaytest\\Parameters]
"Blob"=hex(3):{",".join(f"{n % 251:02x}" for n in range(9000))}
"""


def with_large_value() -> bytes:
    """Make a hive with a value of 20,000 bytes in segments, which hivex cannot write.

    It is put together from what hivex wrote as values of their own, whose names stay unused.
    """
    keys = "".join(f"[{PREFIX}\\{key}]\n\n" for key in ("outer", "outer\\inner", "outer\\other"))
    parts = {"large": 8, "list": 8, "first": 16344, "second": 20000 - 16344}
    made = [f'"{name}"=hex(3):{",".join(["5a"] * size)}\n' for name, size in parts.items()]
    text = f'{HEADER}{keys}[{PREFIX}\\outer\\inner]\n"small"=dword:00000007\n{"".join(made)}'
    hive = bytearray(clean(text))
    key = hive.index(b"nk", hive.index(b"inner") - 77)
    count, values = struct.unpack_from("<II", hive, key + 36)
    cells = {}
    for (cell,) in struct.iter_unpack("<I", hive[4096 + values + 4 :][: 4 * count]):
        length = int.from_bytes(hive[4096 + cell + 6 :][:2], "little")
        cells[hive[4096 + cell + 24 :][:length].decode()] = cell
    data = {name: int.from_bytes(hive[4096 + cells[name] + 12 :][:4], "little") for name in parts}
    struct.pack_into("<I", hive, 4096 + cells["large"] + 8, 20000)
    struct.pack_into("<2sHI", hive, 4096 + data["large"] + 4, b"db", 2, data["list"])
    struct.pack_into("<II", hive, 4096 + data["list"] + 4, data["first"], data["second"])
    struct.pack_into("<I", hive, key + 36, 2)
    struct.pack_into("<II", hive, 4096 + values + 4, cells["large"], cells["small"])
    return bytes(hive)


def exported(hive: bytes) -> Keys:
    """Read all keys and values of a hive as hivexregedit prints them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hive"
        path.write_bytes(hive)
        command: list[str | Path] = ["hivexregedit", "--export", "--prefix", PREFIX, path, "\\"]
        found = parsed(
            subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        )
    found.pop("")  # the root key, which has no values
    return found


def parsed(text: str) -> Keys:
    """Read the notation of hivexregedit: keys without their prefix, values by name."""
    keys: Keys = {}
    current: dict[str, tuple[int, bytes]] = {}
    for line in text.splitlines():
        if found := re.fullmatch(r"\[(.*)\]", line):
            current = keys.setdefault(found[1].removeprefix(PREFIX).strip("\\"), {})
        elif found := re.fullmatch(r'(?:@|"((?:[^"\\]|\\.)*)")=(.*)', line):
            current[_unquoted(found[1] or "")] = _value(found[2])
    return keys


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _value(text: str) -> tuple[int, bytes]:
    if text.startswith("dword:"):
        return 4, struct.pack("<I", int(text[6:], 16))
    if found := re.fullmatch(r"hex(?:\((\w+)\))?:(.*)", text):
        return int(found[1] or "3", 16), bytes.fromhex(found[2].replace(",", ""))
    found = re.fullmatch(r'(?:str\((\w+)\):)?"(.*)"', text)
    assert found
    return int(found[1] or "1", 16), _unquoted(found[2]).encode("utf-16-le") + b"\0\0"
