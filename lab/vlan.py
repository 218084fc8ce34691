# SPDX-License-Identifier: Apache-2.0
"""One VLAN of a bridge as an interface with an address, without the kernel's 802.1Q driver.

A program of its own, `vlan.py BRIDGE NUMBER INTERFACE ADDRESS`, which goes to the background when
the interface is up. It needs the standard library and iproute2. Two TAP devices: one is a port of
the bridge and sees tagged frames, the other is the interface; between them tags (IEEE 802.1Q,
four bytes after the two addresses) are taken off and put on. Both go away with the process.
"""

import fcntl
import os
import select
import struct
import subprocess
import sys

_TUNSETIFF = 0x400454CA
_TAP_WITHOUT_HEADER = 0x0002 | 0x1000
_TAGGED = 0x8100
_NUMBER = 0x0FFF
_ADDRESSES = 12
_LONGEST = 65536


def untagged(frame: bytes, number: int) -> bytes | None:
    """Take the tag off a frame of this VLAN; None for any other frame."""
    if len(frame) < _ADDRESSES + 4:
        return None
    kind, tag = struct.unpack_from("!HH", frame, _ADDRESSES)
    if kind != _TAGGED or tag & _NUMBER != number:
        return None
    return frame[:_ADDRESSES] + frame[_ADDRESSES + 4 :]


def tagged(frame: bytes, number: int) -> bytes:
    """Put the VLAN's tag on a frame."""
    return frame[:_ADDRESSES] + struct.pack("!HH", _TAGGED, number) + frame[_ADDRESSES:]


def open_tap(name: str) -> int:
    """Make a TAP device; it lives as long as the descriptor."""
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH", name.encode(), _TAP_WITHOUT_HEADER))
    return tap


def carry(trunk: int, access: int, number: int) -> None:
    """Carry frames between the two devices until somebody ends the process."""
    while True:
        for ready in select.select([trunk, access], [], [])[0]:
            frame = os.read(ready, _LONGEST)
            if ready == access:
                os.write(trunk, tagged(frame, number))
            elif plain := untagged(frame, number):
                os.write(access, plain)


def main(bridge: str, number: int, interface: str, address: str) -> None:
    """Make both devices, go to the background, carry."""
    port = f"{interface}-port"
    trunk, access = open_tap(port), open_tap(interface)
    for command in (
        f"link set {port} master {bridge} up",
        f"address add {address} dev {interface}",
        f"link set {interface} up",
    ):
        subprocess.run(["ip", *command.split()], check=True)
    if os.fork():
        os._exit(0)
    os.setsid()
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    carry(trunk, access, number)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
