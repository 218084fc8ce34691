# SPDX-License-Identifier: Apache-2.0
"""Listen to a domain's serial console: the only witness when a machine does not boot."""

import contextlib
import re
import threading
from collections.abc import Iterator
from typing import Final

import libvirt

from tradewind.host import domains
from tradewind.host.connection import connect
from tradewind.model.host import HostAccess
from tradewind.units import KiB

KEPT: Final = 256 * KiB
LONGEST_LINE: Final = 200
# Seconds that the reader has to notice the end of its stream; it took 5 ms.
_END: Final = 5

# ECMA-48: sequences that move the cursor go to another line, all others have no width; then
# strings up to their terminator (window titles), two-byte escapes, and the rest of C0, C1 and DEL.
_MOVES: Final = re.compile(r"\x1b\[[0-9;]*[Hf]|\r\n?|[\v\f\x85\u2028\u2029]")
_CONTROLS: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]*[0-~]|[\x00-\x08\x0e-\x1f\x7f-\x9f]"
)


def readable(text: str) -> str:
    """Leave out what steers a terminal; lines that say nothing are left out too."""
    lines = (line.rstrip() for line in _CONTROLS.sub("", _MOVES.sub("\n", text)).split("\n"))
    return "".join(f"{line}\n" for line in lines if line)


def excerpt(text: str, count: int = 40) -> str:
    """Return the last lines that say something, each cut to a sensible length."""
    return "\n".join(line[:LONGEST_LINE] for line in readable(text).splitlines()[-count:])


def plain(text: str, longest: int = LONGEST_LINE) -> str:
    """Make one line of what a guest said, without anything that steers a terminal."""
    return " ".join(readable(text).split())[:longest]


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
