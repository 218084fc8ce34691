# SPDX-License-Identifier: Apache-2.0
"""System calls that no program of a guest gets while the guest is adapted, as a filter for Linux.

Capabilities refuse most of them already. The filter closes what they leave open: name spaces of
one's own, in which all capabilities come back; keys of the worker's root; parts of the kernel that
a package script never needs. Format: seccomp(2), Linux's Documentation/networking/filter.
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple


class _Call(NamedTuple):
    """One call's numbers; those that are the same everywhere are given once."""

    x86_64: int
    i386: int
    aarch64: int


_REFUSED: Final = {
    "mount": _Call(165, 21, 40),
    "umount2": _Call(166, 52, 39),
    "pivot_root": _Call(155, 217, 41),
    "chroot": _Call(161, 61, 51),
    "setns": _Call(308, 346, 268),
    "keyctl": _Call(250, 288, 219),
    "add_key": _Call(248, 286, 217),
    "request_key": _Call(249, 287, 218),
    "bpf": _Call(321, 357, 280),
    "perf_event_open": _Call(298, 336, 241),
    "userfaultfd": _Call(323, 374, 282),
    "open_by_handle_at": _Call(304, 342, 265),
    "fanotify_init": _Call(300, 338, 262),
    "ptrace": _Call(101, 26, 117),
    "process_vm_readv": _Call(310, 347, 270),
    "process_vm_writev": _Call(311, 348, 271),
    "kcmp": _Call(312, 349, 272),
    "kexec_load": _Call(246, 283, 104),
    "init_module": _Call(175, 128, 105),
    "finit_module": _Call(313, 350, 273),
    "delete_module": _Call(176, 129, 106),
    "reboot": _Call(169, 88, 142),
    "swapon": _Call(167, 87, 224),
    "swapoff": _Call(168, 115, 225),
    "acct": _Call(163, 51, 89),
    "syslog": _Call(103, 103, 116),
}
# Calls that are young enough to have one number.
_REFUSED_EVERYWHERE: Final = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
}
_CLONE: Final = _Call(56, 120, 220)
_UNSHARE: Final = _Call(272, 310, 97)
_SOCKET: Final = _Call(41, 359, 198)
_CLONE3: Final = 435
# clone(2): CLONE_NEWNS, -CGROUP, -UTS, -IPC, -USER, -PID, -NET.
_NEW_NAME_SPACE: Final = 0x7E020000
_NETLINK, _NETLINK_AUDIT = 16, 9

# Linux's audit.h. On AArch64 a guest's 32-bit programs have none of the numbers above.
_ARCHITECTURES: Final = {0xC000003E: 0, 0x40000003: 1, 0xC00000B7: 2}
_ARM32: Final = 0x40000028
_X32: Final = 0x40000000  # more numbers for the calls of x86_64

# Instructions: load a word, compare for equal, at least, and common bits, answer.
_LOAD, _EQUAL, _AT_LEAST, _HAS, _ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06
# Where seccomp_data has the call's number, the architecture, the first and the third argument.
_NUMBER, _ARCHITECTURE, _FIRST, _THIRD = 0, 4, 16, 32
_ALLOW: Final = 0x7FFF0000
_ERROR: Final = 0x00050000
_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97


class _Instruction(NamedTuple):
    """One instruction; `yes` and `no` are how many are skipped."""

    code: int
    yes: int
    no: int
    value: int


def call_filter() -> bytes:
    """Write the filter."""
    lines = [_Instruction(_LOAD, 0, 0, _ARCHITECTURE), *_refuse(_ARM32, _ENOSYS)]
    for architecture, column in _ARCHITECTURES.items():
        block = list(_block(column))
        lines += [_Instruction(_EQUAL, 0, len(block), architecture), *block]
    lines.append(_Instruction(_ANSWER, 0, 0, _ALLOW))
    return b"".join(struct.pack("<HBBI", *line) for line in lines)


def _refuse(value: int, error: int) -> tuple[_Instruction, _Instruction]:
    return _Instruction(_EQUAL, 0, 1, value), _Instruction(_ANSWER, 0, 0, _ERROR | error)


def _block(column: int) -> Iterator[_Instruction]:
    """Judge the calls of one architecture."""
    yield _Instruction(_LOAD, 0, 0, _NUMBER)
    if column == 0:
        yield _Instruction(_AT_LEAST, 0, 1, _X32)
        yield _Instruction(_ANSWER, 0, 0, _ERROR | _ENOSYS)
    for number in (*(c[column] for c in _REFUSED.values()), *_REFUSED_EVERYWHERE.values()):
        yield from _refuse(number, _EPERM)
    # Its flags cannot be seen; the C library then takes clone.
    yield from _refuse(_CLONE3, _ENOSYS)
    for number in (_CLONE[column], _UNSHARE[column]):
        yield _Instruction(_EQUAL, 0, 4, number)
        yield _Instruction(_LOAD, 0, 0, _FIRST)
        yield _Instruction(_HAS, 0, 1, _NEW_NAME_SPACE)
        yield _Instruction(_ANSWER, 0, 0, _ERROR | _EPERM)
        yield _Instruction(_LOAD, 0, 0, _NUMBER)
    # su(1) and useradd(8) fail when they may not write to the audit log, but not without one.
    yield _Instruction(_EQUAL, 0, 5, _SOCKET[column])
    yield _Instruction(_LOAD, 0, 0, _FIRST)
    yield _Instruction(_EQUAL, 0, 3, _NETLINK)
    yield _Instruction(_LOAD, 0, 0, _THIRD)
    yield from _refuse(_NETLINK_AUDIT, _EAFNOSUPPORT)
    yield _Instruction(_ANSWER, 0, 0, _ALLOW)
