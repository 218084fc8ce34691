# SPDX-License-Identifier: Apache-2.0
"""Listen to a domain's serial console: the only witness when a machine does not boot."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Final

import libvirt

from tradewind.host import domains
from tradewind.host.connection import connect
from tradewind.model.host import HostAccess
from tradewind.units import KiB

KEPT: Final = 256 * KiB


class Console:
    """What a serial console printed so far, the last 256 KiB of it."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._lock = threading.Lock()

    def feed(self, chunk: bytes) -> None:
        """Take what was printed next."""
        with self._lock:
            self._kept += chunk
            del self._kept[:-KEPT]

    @property
    def text(self) -> str:
        """All that is kept, control sequences included."""
        with self._lock:
            return self._kept.decode(errors="replace")

    def last_lines(self, count: int = 12) -> str:
        """Return the last lines that say something."""
        lines = [line.rstrip() for line in self.text.splitlines()]
        return "\n".join([line for line in lines if line][-count:])


@contextlib.contextmanager
def listening(access: HostAccess, domain: str) -> Iterator[Console]:
    """Collect what a running (or paused) domain prints on its first serial console."""
    console = Console()
    with connect(access) as connection:
        stream = connection.newStream(libvirt.VIR_STREAM_NONBLOCK)
        domains.require_domain(connection, domain).openConsole(
            None, stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE
        )
        stream.eventAddCallback(
            libvirt.VIR_STREAM_EVENT_READABLE
            | libvirt.VIR_STREAM_EVENT_ERROR
            | libvirt.VIR_STREAM_EVENT_HANGUP,
            _drain,
            console,
        )
        try:
            yield console
        finally:
            with contextlib.suppress(libvirt.libvirtError):
                stream.eventRemoveCallback()
            with contextlib.suppress(libvirt.libvirtError):
                stream.abort()


def _drain(stream: libvirt.virStream, _events: int, console: Console) -> None:
    """Run by libvirt's event loop whenever something was printed."""
    try:
        chunk = stream.recv(KiB)
    except libvirt.libvirtError:
        chunk = b""
    if isinstance(chunk, bytes) and chunk:
        console.feed(chunk)
    elif chunk == b"":  # the domain ended
        with contextlib.suppress(libvirt.libvirtError):
            stream.eventRemoveCallback()
