# SPDX-License-Identifier: Apache-2.0
"""A writer service that is not ours any more: what it says is bounded, read, and never believed."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.fakes.writer_process import ADDRESS, access_with
from tradewind.errors import StreamError, TradewindError, WriterError
from tradewind.model.host import HttpsAccess
from tradewind.streaming import writer_service
from tradewind.streaming.answers import BODY_LIMIT, Answers
from tradewind.streaming.certificates import make_certificates
from tradewind.streaming.over_https import open_writer

Talk = Callable[[ssl.SSLSocket], None]


@contextmanager
def taken_over(folder: Path, talk: Talk) -> Iterator[HttpsAccess]:
    """Lend access to a service that has our certificates, and answers as it likes."""
    certificates = make_certificates(ADDRESS, "taken over")
    config = {name: str(folder / name) for name in ("certificate", "key", "ca")}
    (folder / "certificate").write_text(certificates.server_certificate)
    (folder / "key").write_text(certificates.server_key.get_secret_value())
    (folder / "ca").write_text(certificates.ca_certificate)
    context = writer_service.tls_context(config)

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(65536)
            talk(secure)

    with socket.create_server((ADDRESS, 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        yield access_with(certificates, server.getsockname()[1])
        thread.join()


def answer(body: bytes, status: str = "200 OK", length: object = None) -> bytes:
    told = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {told}\r\n\r\n".encode() + body


def facts(**changed: object) -> bytes:
    return json.dumps(
        {"disks": {"one": 1}, "digests": ["blake2b"], "zstd": False} | changed
    ).encode()


def test_an_endless_answer_is_refused_at_its_head(tmp_path: Path) -> None:
    sent = 0

    def flood(secure: ssl.SSLSocket) -> None:
        nonlocal sent
        secure.sendall(answer(b"", length=10**12))
        while sent < 1 << 30:
            secure.sendall(bytes(1 << 20))
            sent += 1 << 20

    with (
        taken_over(tmp_path, flood) as access,
        pytest.raises(StreamError, match=r"1000000000000 bytes; it may have 262144") as caught,
    ):
        open_writer(access, "one")
    assert access.address in caught.value.message
    assert sent < 64 << 20


def test_an_endless_head_is_refused(tmp_path: Path) -> None:
    with (
        taken_over(tmp_path, lambda secure: secure.sendall(b"x" * (4 << 20))) as access,
        pytest.raises(StreamError, match="no end of its head"),
    ):
        open_writer(access, "one")


@pytest.mark.parametrize(
    "said",
    [
        b"\r\n\r\n",
        b"HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        answer(b"{}", status="yes"),
        answer(b"{}", length=-2),
        answer(b"{}", length="\u0662"),
        answer(b"{}"),
        answer(b"["),
        answer(b"[" * 200000),
        answer(b'{"disks": ' + b'{"a":' * 20000),
        answer(facts(disks=["one"])),
        answer(facts(disks={"one": "large"})),
        answer(facts(digests=["sum"])),
        answer(facts(digests=["x"] * 1000)),
        answer(b"", status="500 Refused"),
        answer(b"[" * 200000, status="500 Refused"),
        answer(b'{"error": {}}', status="500 Refused"),
    ],
    ids=range(16),
)
def test_whatever_makes_no_sense_is_an_error_of_ours(tmp_path: Path, said: bytes) -> None:
    with (
        taken_over(tmp_path, lambda secure: secure.sendall(said)) as access,
        pytest.raises(StreamError) as caught,
    ):
        open_writer(access, "one")
    assert len(caught.value.message) < 1000


def test_what_it_says_steers_no_terminal_and_is_short(tmp_path: Path) -> None:
    body = json.dumps({"error": "\x1b[2Jno\x1b]0;title\x07 room\n" + "x" * 100000}).encode()
    with (
        taken_over(
            tmp_path, lambda secure: secure.sendall(answer(body, status="500 Refused"))
        ) as access,
        pytest.raises(WriterError) as caught,
    ):
        open_writer(access, "one")
    assert "no room xxx" in caught.value.message
    assert len(caught.value.message) < 1000
    assert "\x1b" not in caught.value.message


def test_disks_that_it_makes_up_steer_no_terminal(tmp_path: Path) -> None:
    made_up = facts(disks={f"\x1b[2J{number}": 1 for number in range(5000)})
    with (
        taken_over(tmp_path, lambda secure: secure.sendall(answer(made_up))) as access,
        pytest.raises(TradewindError, match="no such disk") as caught,
    ):
        open_writer(access, "one")
    assert "\x1b" not in caught.value.message
    assert len(caught.value.message) < 1000


def test_the_longest_answer_that_we_ask_for_is_taken() -> None:
    whole = answer(bytes(BODY_LIMIT))
    pieces = iter([whole[start : start + 1000] for start in range(0, len(whole), 1000)])
    assert len(Answers(lambda _limit: next(pieces, b"")).next().body) == BODY_LIMIT
