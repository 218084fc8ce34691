# SPDX-License-Identifier: Apache-2.0
"""What a console printed."""

import libvirt
import pytest

from tests.fakes.libvirt_fakes import libvirt_error
from tradewind.host.boot.console import KEPT, Console, _drain, excerpt
from tradewind.plain_text import plain, readable


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


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("\x1b[1;32mok\x1b[0m done\r\n", "ok done\n"),
        ("\x1b[2J\x1b[01;01HMenu\x1b[5;10Hentry", "Menu\nentry\n"),  # GRUB, OVMF
        ("10%\r20%\r\n", "10%\n20%\n"),
        ("\x1b]0;title\x07prompt\x1b]2;other\x1b\\$ ", "prompt$\n"),
        ("\x1b(Bplain\x1b=\x08\x00\x9b", "plain\n"),
        ("a\x1b[", "a\n"),  # cut off in the middle
        ("tab\tstays", "tab\tstays\n"),
    ],
)
def test_what_steers_a_terminal_is_left_out(printed: str, shown: str) -> None:
    assert readable(printed) == shown


def test_excerpt_is_bounded() -> None:
    text = excerpt("".join(f"{n} {'x' * 5000}\n" for n in range(100)), 3)
    assert [line.split()[0] for line in text.split("\n")] == ["97", "98", "99"]
    assert max(map(len, text.split("\n"))) == 200


def test_plain_is_one_line() -> None:
    assert plain("a\nb\x1b[31m c\r\n") == "a b c"


class Printing:
    """A stream that gives these chunks, and is closed then."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)

    def recv(self, _size: int) -> bytes:
        if not self.chunks:
            raise libvirt_error(libvirt.VIR_ERR_OPERATION_FAILED, "stream is closed")
        return self.chunks.pop(0)


@pytest.mark.parametrize("last", [(), (b"",)], ids=["aborted", "the domain ended"])
def test_listens_until_its_stream_ends(last: tuple[bytes, ...]) -> None:
    console = Console()
    _drain(Printing(b"login: ", b"more", *last), console)
    assert console.text == "login: more"
