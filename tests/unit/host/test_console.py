# SPDX-License-Identifier: Apache-2.0
"""What a console printed."""

import libvirt

from tests.fakes.libvirt_fakes import libvirt_error
from tradewind.host.console import KEPT, Console, _drain


def test_keeps_the_end() -> None:
    console = Console()
    console.feed(b"first\n")
    console.feed(b"x" * KEPT)
    assert len(console.text) == KEPT
    assert "first" not in console.text


def test_last_lines_that_say_something() -> None:
    console = Console()
    console.feed(b"one\r\n\r\ntwo \r\n   \r\nthree\r\n\xff")
    assert console.last_lines(2) == "three\n�"
    assert console.last_lines() == "one\ntwo\nthree\n�"


class Printing:
    """A stream that gives these chunks."""

    def __init__(self, *chunks: bytes | int) -> None:
        self.chunks = list(chunks)
        self.listened_to = True

    def recv(self, _size: int) -> bytes | int:
        if not self.chunks:
            raise libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR, "the domain is gone")
        return self.chunks.pop(0)

    def eventRemoveCallback(self) -> None:  # noqa: N802
        self.listened_to = False


def test_listens_until_the_domain_ends() -> None:
    console, stream = Console(), Printing(b"login: ", -2, b"more")
    for _ in range(3):  # -2: nothing to read just now
        _drain(stream, 0, console)
    assert console.text == "login: more"
    assert stream.listened_to
    _drain(stream, 0, console)
    assert not stream.listened_to
