# SPDX-License-Identifier: Apache-2.0
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from bench.relay import serve

DELAY = 0.05


def in_thread(call: Callable[..., object], *arguments: object) -> None:
    """Run until the test closes the sockets."""

    def run() -> None:
        with suppress(OSError):
            call(*arguments)

    threading.Thread(target=run, daemon=True).start()


def echo(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        while data := connection.recv(65536):
            connection.sendall(data)


@pytest.fixture
def relayed() -> Iterator[socket.socket]:
    """A connection to an echo server, through a relay."""
    with (
        socket.create_server(("127.0.0.1", 0)) as far,
        socket.create_server(("127.0.0.1", 0)) as near,
    ):
        in_thread(echo, far)
        in_thread(serve, near, far.getsockname()[1], DELAY)
        with socket.create_connection(near.getsockname(), timeout=10) as connection:
            yield connection


def test_a_question_and_its_answer_take_two_delays(relayed: socket.socket) -> None:
    begun = time.monotonic()
    relayed.sendall(b"x")
    assert relayed.recv(1) == b"x"
    assert time.monotonic() - begun >= 2 * DELAY


def test_everything_arrives_in_order(relayed: socket.socket) -> None:
    data = os.urandom(16 << 20)
    in_thread(relayed.sendall, data)
    found = bytearray()
    while len(found) < len(data):
        found += relayed.recv(1 << 20)
    assert bytes(found) == data


def test_the_end_is_passed_on(relayed: socket.socket) -> None:
    relayed.sendall(b"last")
    relayed.shutdown(socket.SHUT_WR)
    assert relayed.recv(100) == b"last"
    assert relayed.recv(100) == b""
