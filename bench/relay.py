# SPDX-License-Identifier: Apache-2.0
"""A TCP relay that makes the far end seem far away, where the kernel has no netem.

Usage: python -m bench.relay SECONDS LISTEN:FORWARD…, ports on 127.0.0.1.
"""

import socket
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Final

from tradewind.units import KiB, MiB

# What one direction of a connection may hold: the window that a TCP connection would have.
_WINDOW: Final = 4 * MiB
_CHUNK: Final = 256 * KiB


class DelayLine:
    """One direction: bytes that come out `delay` seconds after they went in."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._changed = threading.Condition()
        self._chunks: deque[tuple[float, bytes]] = deque()
        self._size = 0

    def put(self, data: bytes) -> None:
        """Let bytes in, when there is room; nothing is the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._size < _WINDOW)
            self._chunks.append((time.monotonic() + self._delay, data))
            self._size += len(data)
            self._changed.notify_all()

    def get(self) -> bytes:
        """Let the oldest bytes out, when it is their time."""
        with self._changed:
            self._changed.wait_for(lambda: self._chunks)
            due, data = self._chunks[0]
        time.sleep(max(due - time.monotonic(), 0))
        with self._changed:
            self._chunks.popleft()
            self._size -= len(data)
            self._changed.notify_all()
        return data


def _fill(line: DelayLine, source: socket.socket) -> None:
    data = b"-"
    while data:
        data = b""
        with suppress(OSError):
            data = source.recv(_CHUNK)
        line.put(data)


def _drain(line: DelayLine, target: socket.socket) -> None:
    """Pass on until the end; of a target that is gone, nobody hears any more."""
    while data := line.get():
        with suppress(OSError):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def join(one: socket.socket, other: socket.socket, delay: float) -> None:
    """Pass bytes on in both directions, each `delay` seconds late, in threads."""
    for source, target in ((one, other), (other, one)):
        line = DelayLine(delay)
        for call, end in ((_fill, source), (_drain, target)):
            threading.Thread(target=call, args=(line, end), daemon=True).start()


def serve(listener: socket.socket, port: int, delay: float) -> None:
    """Take connections for ever, and join each to one of its own."""
    while True:
        near, _ = listener.accept()
        far = socket.create_connection(("127.0.0.1", port))
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        join(near, far, delay)


def main(seconds: str, *pairs: str) -> None:
    """Listen on all ports, and say so."""
    threads = []
    for pair in pairs:
        listen, _, forward = pair.partition(":")
        listener = socket.create_server(("127.0.0.1", int(listen)))
        arguments = (listener, int(forward), float(seconds))
        threads.append(threading.Thread(target=serve, args=arguments, daemon=True))
        threads[-1].start()
    print("listening", flush=True)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
