# SPDX-License-Identifier: Apache-2.0
"""The filter of system calls, read as Linux reads it."""

import struct

import pytest

from tradewind.morphing import system_calls
from tradewind.morphing.system_calls import call_filter

X86_64, I386, AARCH64, ARM, S390X = 0xC000003E, 0x40000003, 0xC00000B7, 0x40000028, 0x80000016
ALLOWED, EPERM, ENOSYS, EAFNOSUPPORT = 0, 1, 38, 97


def answer(architecture: int, number: int, *arguments: int) -> int:
    """Say which error the filter gives for a call, 0 for none."""
    seen = struct.pack("<iIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    program = list(struct.iter_unpack("<HBBI", call_filter()))
    at = word = 0
    while True:
        code, yes, no, value = program[at]
        at += 1
        if code == 0x20:
            (word,) = struct.unpack_from("<I", seen, value)
        elif code == 0x06:
            return ALLOWED if value == 0x7FFF0000 else value - 0x50000
        else:
            true = {0x15: word == value, 0x35: word >= value, 0x45: bool(word & value)}[code]
            at += yes if true else no


@pytest.mark.parametrize("column", [0, 1, 2])
def test_what_is_named_is_refused_everywhere(column: int) -> None:
    architecture = (X86_64, I386, AARCH64)[column]
    for numbers in system_calls._REFUSED.values():
        assert answer(architecture, numbers[column]) == EPERM
    for number in system_calls._REFUSED_EVERYWHERE.values():
        assert answer(architecture, number) == EPERM
    assert answer(architecture, 435) == ENOSYS


@pytest.mark.parametrize(
    ("architecture", "clone", "unshare", "socket", "read"),
    [(X86_64, 56, 272, 41, 0), (I386, 120, 310, 359, 3), (AARCH64, 220, 97, 198, 63)],
)
def test_ordinary_calls_are_not(
    architecture: int, clone: int, unshare: int, socket: int, read: int
) -> None:
    assert answer(architecture, read, 3) == ALLOWED
    assert answer(architecture, clone, 0x01200011) == ALLOWED  # as fork does
    assert answer(architecture, clone, 0x003D0F00) == ALLOWED  # as threads do
    assert answer(architecture, unshare, 0x200) == ALLOWED  # CLONE_FS
    for name_space in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000):
        assert answer(architecture, clone, name_space | 17) == EPERM
        assert answer(architecture, unshare, name_space) == EPERM
    assert answer(architecture, socket, 2, 1, 0) == ALLOWED
    assert answer(architecture, socket, 16, 3, 0) == ALLOWED
    assert answer(architecture, socket, 16, 3, 9) == EAFNOSUPPORT
    assert answer(architecture, socket, 2, 3, 9) == ALLOWED


def test_no_other_numbers_lead_to_the_same_calls() -> None:
    assert answer(X86_64, 0x40000000 | 165) == ENOSYS  # x32
    assert answer(X86_64, -1 & 0x7FFFFFFF) == ENOSYS
    assert answer(ARM, 21) == ENOSYS
    assert answer(S390X, 21) == ALLOWED  # there are capabilities only


def test_jumps_are_within_their_reach() -> None:
    program = list(struct.iter_unpack("<HBBI", call_filter()))
    assert len(program) < 4096
    for at, (code, yes, no, _) in enumerate(program):
        if code != 0x06:
            assert at + 1 + max(yes, no) < len(program)
