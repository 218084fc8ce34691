# SPDX-License-Identifier: Apache-2.0
"""Bulk bytes through paramiko beside the OpenSSH client: the same random data, in turns.

Usage: python -m bench.ssh_carrier [MiB] [rounds]

Both log in to the same sshd on the loopback, run `cat >/dev/null` there and feed it, over one
connection and over the four that a transfer uses. A login is not measured; a rate ends when the far
command has ended, so nothing is left in a buffer. Processor time is the controller's: this
process, where all Python code shares one interpreter lock, and the clients that it started.
"""

import os
import resource
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import paramiko

from tests.fakes.ssh_server import Server, running_sshd
from tradewind.remote.handshake import proven
from tradewind.remote.route import DIRECT
from tradewind.units import MiB

SINK = ("sh", "-c", "echo; cat >/dev/null; echo")
# paramiko copies what is left of an object at every packet: it does best with its packet size.
PIECE = 32 * 1024
CONNECTIONS = (1, 4)

Send = Callable[[memoryview], None]


class Cost(NamedTuple):
    """Seconds: by the clock, of this process, of the clients."""

    clock: float
    own: float
    clients: float


@contextmanager
def paramiko_sink(server: Server) -> Iterator[Send]:
    """Lend a paramiko channel to the sink, logged in."""
    key = paramiko.Ed25519Key.from_private_key_file(str(server.folder / "client"))
    with proven("127.0.0.1", server.port, server.host_key(), 20) as transport:
        transport.auth_publickey("root", key)
        with transport.open_session() as channel:
            channel.exec_command(f"sh -c '{SINK[2]}'")
            channel.recv(1)

            def send(data: memoryview) -> None:
                for start in range(0, len(data), PIECE):
                    channel.sendall(bytes(data[start : start + PIECE]))
                channel.shutdown_write()
                channel.recv(1)

            yield send


@contextmanager
def openssh_sink(server: Server) -> Iterator[Send]:
    """Lend an OpenSSH client that runs the sink, logged in."""
    with DIRECT.command(server.access(), SINK, 60) as stream:
        stream.connection.recv(1)

        def send(data: memoryview) -> None:
            stream.connection.sendall(data)
            stream.connection.shutdown(socket.SHUT_WR)
            stream.connection.recv(1)

        yield send


def _processor_seconds(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def measured(
    sink: Callable[[Server], AbstractContextManager[Send]],
    server: Server,
    parts: Sequence[memoryview],
) -> Cost:
    """Send each part over a connection of its own, all at the same time."""
    clients = _processor_seconds(resource.RUSAGE_CHILDREN)
    with ExitStack() as stack:
        sends = [stack.enter_context(sink(server)) for _ in parts]
        threads = [
            threading.Thread(target=send, args=[part])
            for send, part in zip(sends, parts, strict=True)
        ]
        own, started = _processor_seconds(resource.RUSAGE_SELF), time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        clock = time.monotonic() - started
        own = _processor_seconds(resource.RUSAGE_SELF) - own
    # A client's time counts when it has been reaped; its login is in it.
    return Cost(clock, own, _processor_seconds(resource.RUSAGE_CHILDREN) - clients)


def compare(server: Server, data: memoryview, connections: int, rounds: int) -> None:
    """Print the medians for one number of connections, and their ratio."""
    share = len(data) // connections
    parts = [data[n * share : (n + 1) * share] for n in range(connections)]
    rates, gib = [], len(data) / 1024 / MiB
    for name, sink in (("paramiko", paramiko_sink), ("OpenSSH client", openssh_sink)):
        found = [measured(sink, server, parts) for _ in range(rounds)]
        cost = Cost(*(statistics.median(column) for column in zip(*found, strict=True)))
        rates.append(len(data) / MiB / cost.clock)
        print(
            f"{connections} × {name:15} {rates[-1]:5.0f} MiB/s   processor seconds for each GiB:"
            f" {cost.own / gib:4.2f} in this process, {cost.clients / gib:4.2f} in clients"
        )
    print(f"{connections} × OpenSSH / paramiko {rates[1] / rates[0]:4.1f}")


def main(mebibytes: int = 256, rounds: int = 3) -> None:
    """Compare over one connection and over several."""
    data = memoryview(os.urandom(mebibytes * MiB))
    print(f"{mebibytes} MiB of random data, {rounds} rounds, medians")
    with (
        tempfile.TemporaryDirectory(prefix="tradewind-bench-") as folder,
        running_sshd(Path(folder)) as server,
    ):
        for connections in CONNECTIONS:
            compare(server, data, connections, rounds)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
