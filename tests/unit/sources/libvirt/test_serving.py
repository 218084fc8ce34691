# SPDX-License-Identifier: Apache-2.0
"""Where a backup is served: which ports are free, by the kernel's own tables."""

import socket
from collections.abc import Sequence
from pathlib import PurePosixPath

import pytest

from tests.fakes.local_remote import LocalRemote
from tradewind.errors import CapacityError
from tradewind.ports import Completed
from tradewind.sources.libvirt import serving

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"


class Host(LocalRemote):
    """A host whose tables of sockets are these."""

    def __init__(self, *ports: int) -> None:
        lines = (f"   0: 0100007F:{port:04X} 00000000:0000 0A 0 0 0\n" for port in ports)
        six = f"   0: {'0' * 32}:{serving.PORTS[1]:04X} {'0' * 32}:0000 0A 0 0 0\n"
        self.tables = HEADER + "".join(lines) + HEADER + six

    def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60, check: bool = True
    ) -> Completed:
        return Completed(tuple(argv), 0, self.tables, "")


def test_ports_in_use_are_not_chosen() -> None:
    host = Host(*serving.PORTS[2:-1])
    chosen = serving.free_ports(host)
    assert set(chosen) == {f"127.0.0.1:{port}" for port in (serving.PORTS[0], serving.PORTS[-1])}


def test_no_port_left_is_said() -> None:
    with pytest.raises(CapacityError, match="49152 to 49216") as caught:
        serving.free_ports(Host(*serving.PORTS))
    assert "backup_transport" in caught.value.hint


def test_the_kernels_own_tables_are_read() -> None:
    """The ports are outside what it gives to connections by itself only by chance: ask for one."""
    with socket.socket() as taken:
        for port in serving.PORTS:
            try:
                taken.bind(("127.0.0.1", port))
            except OSError:
                continue
            break
        taken.listen()
        for _ in range(40):
            assert f"127.0.0.1:{port}" not in serving.free_ports(LocalRemote())


def test_names_of_exports() -> None:
    (address,) = serving.socket_in(PurePosixPath("/var/tmp/tradewind-0123456789ab"))
    assert serving.export_name("vda", address) == "vda"
    names = {serving.export_name("vda", "127.0.0.1:49152") for _ in range(8)}
    assert len(names) == 8
    assert all(len(name) > 32 for name in names)
