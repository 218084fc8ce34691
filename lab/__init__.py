# SPDX-License-Identifier: Apache-2.0
"""Two real KVM hosts on this machine, for the demo and the live tests.

A host is a network namespace plus a mount namespace with its own sshd, libvirtd, storage pools and
networks. `source` and `destination` look to Tradewind like two machines on a LAN:

                 on bridge tw-lan   guests on `lan`   guests on `default` (NAT)
    controller   198.18.0.1                                             with a mirror on port 8000
    source       198.18.0.11        198.18.10.0/24    198.18.11.0/24
    destination  198.18.0.12        198.18.20.0/24    198.18.21.0/24
    trixie       198.18.0.15        198.18.50.0/24    198.18.51.0/24
    bullseye     198.18.0.16        198.18.60.0/24    198.18.61.0/24

The last two are hosts of Debian 13 and Debian 11, which join a lab that asks for them.

The addresses are those that RFC 2544 reserves for benchmarks: nothing outside can be meant, and no
route leads outside. A guest with a static address of another network, on a VLAN or not, finds it on
`lan` where a test has put it (`lab.segments`). `lab.lifecycle` builds and removes the
whole; `python -m lab` is the command.
"""

from lab.errors import LabError
from lab.guests import copy_into_pool, wipe
from lab.lifecycle import describe, down, join, leftovers, up
from lab.namespaces import run
from lab.records import Lab, LabHost

__all__ = [
    "Lab",
    "LabError",
    "LabHost",
    "copy_into_pool",
    "describe",
    "down",
    "join",
    "leftovers",
    "run",
    "up",
    "wipe",
]
