# SPDX-License-Identifier: Apache-2.0
"""Listen to a domain's serial console: the only witness when a machine does not boot."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Final

import libvirt

from tradewind.host.connection import connect
from tradewind.host.domain import domains
from tradewind.model.host import HostAccess
from tradewind.plain_text import excerpt, plain, readable
from tradewind.units import KiB

__all__ = ["Console", "excerpt", "listening", "plain", "readable"]

KEPT: Final = 256 * KiB
# Seconds that the reader has to notice the end of its stream; it took 5 ms.
_END: Final = 5


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
        return excerpt(self.text, count)


@contextlib.contextmanager
def listening(access: HostAccess, domain: str) -> Iterator[Console]:
    """Collect what a running (or paused) domain prints on its first serial console."""
    console = Console()
    with connect(access) as connection:
        stream = connection.newStream()
        domains.require_domain(connection, domain).openConsole(
            None, stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE
        )
        # No callback: libvirt-python 12.8 on libvirt 9.0 never lets go of a stream that had one;
        # its connection, with an ssh process, stayed open as long as this process lived.
        reader = threading.Thread(
            target=_drain, args=(stream, console), name=f"console-of-{domain}", daemon=True
        )
        reader.start()
        try:
            yield console
        finally:
            with contextlib.suppress(libvirt.libvirtError):
                stream.abort()
            reader.join(_END)


def _drain(stream: libvirt.virStream, console: Console) -> None:
    """Take what is printed until the domain ends or the stream is aborted."""
    with contextlib.suppress(libvirt.libvirtError):
        while chunk := stream.recv(KiB):
            console.feed(chunk)
