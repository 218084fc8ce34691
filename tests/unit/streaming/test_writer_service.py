# SPDX-License-Identifier: Apache-2.0
import ast
import json
import os
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.contract.disk_writer import blake2b, expected_digest
from tests.fakes.writer_process import DIGEST_KEY, WriterProcess, access_with, running_writer
from tradewind.errors import StreamError, WriterError
from tradewind.ports import Range
from tradewind.streaming import writer_service
from tradewind.streaming.certificates import make_certificates
from tradewind.streaming.over_https import client_context, open_writer
from tradewind.streaming.writer_service import RefusedError, Tagger, adjacent, parse_head

MiB = 1 << 20
CONTENT = b"content of a disk" * 1000


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    path.touch()
    os.truncate(path, 8 * MiB)
    return path


@pytest.fixture
def service(tmp_path: Path, disk: Path) -> Iterator[WriterProcess]:
    with running_writer(tmp_path, {"one": disk, "missing": tmp_path / "nothing"}) as process:
        yield process


def raw_connection(service: WriterProcess) -> ssl.SSLSocket:
    connection = socket.create_connection(("127.0.0.1", service.access.port), timeout=10)
    return client_context(service.access).wrap_socket(connection, server_hostname="127.0.0.1")


def ask(service: WriterProcess, request: bytes) -> bytes:
    with raw_connection(service) as connection:
        connection.sendall(request)
        return connection.recv(65536)


def test_is_one_file_for_python_3_9_with_nothing_but_the_standard_library() -> None:
    tree = ast.parse(Path(writer_service.__file__).read_text(), feature_version=(3, 9))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= sys.stdlib_module_names
        if isinstance(node, ast.ImportFrom):
            assert node.module is not None
            assert node.module.split(".")[0] in sys.stdlib_module_names


def test_tells_its_disks_and_limits(service: WriterProcess) -> None:
    answer = ask(service, b"GET / HTTP/1.1\r\n\r\n")
    assert b'"disks": {"one": 8388608}' in answer
    assert b'"max_body": 4194304' in answer


def test_speaks_tls_1_3_with_the_cipher_that_was_chosen(service: WriterProcess) -> None:
    with raw_connection(service) as connection:
        cipher = connection.cipher()
    assert cipher is not None
    assert cipher[0] == writer_service.CIPHERS.split(":")[0]


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /etc/passwd HTTP/1.1", b"404"),
        (b"PUT /disks/../../etc/passwd?offset=0 HTTP/1.1", b"404"),
        (b"PUT /disks/two?offset=0 HTTP/1.1", b"404"),
        (b"PUT /disks/missing?offset=0 HTTP/1.1", b"404"),
        (b"PUT /disks/one HTTP/1.1", b"400"),
        (b"PUT /disks/one?offset=-1 HTTP/1.1", b"400"),
        (b"PUT /disks/one?offset=0&zstd=9 HTTP/1.1", b"400"),
        (b"PUT /disks/one?offset=0&zstd=9999999 HTTP/1.1", b"400"),
        (b"POST /disks/one/digests?digest=md5 HTTP/1.1", b"400"),
        (b"PUT /disks/one?offset=8388608 HTTP/1.1", b"416"),
        (b"POST /disks/one/format HTTP/1.1", b"405"),
        (b"POST /disks/one/digests HTTP/1.1", b"400"),
        (b"nonsense", b"400"),
        (b"PUT /disks/one?offset=0 HTTP/1.1\r\nContent-Length: x", b"411"),
        (b"PUT /disks/one?offset=0 HTTP/1.1\r\nContent-Length: \xb2", b"411"),
        (b"PUT /disks/one?offset=0 HTTP/1.1\r\nContent-Length: " + b"9" * 5000, b"413"),
        (b"PUT /disks/one?offset=" + b"9" * 5000 + b" HTTP/1.1", b"400"),
        (b"GET //[ HTTP/1.1", b"400"),
        (b"PUT /disks/one?offset=0 HTTP/1.1\r\nContent-Length: 9999999", b"413"),
    ],
)
def test_refuses_with_a_status_and_a_sentence(
    service: WriterProcess, disk: Path, request_line: bytes, status: bytes
) -> None:
    answer = ask(service, request_line + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b'{"error": ' in answer
    assert not any(disk.read_bytes())


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"ranges": [[1e400, 1]]}', b'{"ranges": {}}', b"\xff"], ids=range(4)
)
def test_ranges_that_make_no_sense_are_refused_and_the_connection_goes_on(
    service: WriterProcess, body: bytes
) -> None:
    head = b"POST /disks/one/digests HTTP/1.1\r\nContent-Length: %d\r\n\r\n"
    with raw_connection(service) as connection:
        for _ in range(2):
            connection.sendall(head % len(body) + body)
            expected = b"200" if body == b'{"ranges": {}}' else b"400"
            assert connection.recv(65536).startswith(b"HTTP/1.1 " + expected)


def test_one_connection_carries_many_requests_in_whatever_pieces_they_come(
    service: WriterProcess, disk: Path
) -> None:
    one = b"PUT /disks/one?offset=%d HTTP/1.1\r\nContent-Length: 2\r\n\r\n%s"
    with raw_connection(service) as connection:
        connection.sendall(one % (0, b"ab"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        connection.sendall(one[:30] % 1000)
        connection.sendall((one % (1000, b"cd"))[len(one[:30] % 1000) :])
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    content = disk.read_bytes()
    assert content[:2] == b"ab"
    assert content[1000:1002] == b"cd"


def test_a_client_of_another_authority_is_refused(service: WriterProcess) -> None:
    stranger = make_certificates("127.0.0.1", "stranger")
    access = service.access.model_copy(
        update={
            "client_certificate": stranger.client_certificate,
            "client_key": stranger.client_key,
        }
    )
    with pytest.raises(WriterError, match="refused us"):
        open_writer(access, "one")


def test_the_server_certificate_is_no_client_certificate(service: WriterProcess) -> None:
    access = service.access.model_copy(
        update={
            "client_certificate": service.certificates.server_certificate,
            "client_key": service.certificates.server_key,
        }
    )
    with pytest.raises(WriterError, match="refused us"):
        open_writer(access, "one")


def test_a_client_without_a_certificate_is_refused(service: WriterProcess) -> None:
    context = ssl.create_default_context(cadata=service.access.ca_certificate)
    connection = socket.create_connection(("127.0.0.1", service.access.port), timeout=10)
    with context.wrap_socket(connection, server_hostname="127.0.0.1") as secure:
        secure.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(ssl.SSLError, match=r"certificate required|CERTIFICATE_REQUIRED"):
            secure.recv(1000)


def test_a_service_with_other_certificates_is_not_trusted(service: WriterProcess) -> None:
    access = access_with(make_certificates("127.0.0.1", "other"), service.access.port)
    with pytest.raises(WriterError, match="not the one that was started"):
        open_writer(access, "one")


def test_a_disk_that_is_not_there_is_named_with_those_that_are(service: WriterProcess) -> None:
    with pytest.raises(WriterError, match="no such disk, only one"):
        open_writer(service.access, "missing")


def test_nobody_listening_is_a_stream_error(service: WriterProcess) -> None:
    with pytest.raises(StreamError, match="cannot be reached"):
        open_writer(service.access.model_copy(update={"port": 1}), "one")


@contextmanager
def answering(said: bytes) -> Iterator[int]:
    """Lend the port of something that takes one connection, says this, and closes it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)  # the whole greeting: else closing would reset
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def test_a_connection_lost_in_the_handshake_may_pass_with_time(service: WriterProcess) -> None:
    with answering(b"") as port, pytest.raises(StreamError, match="cannot be reached") as caught:
        open_writer(service.access.model_copy(update={"port": port}), "one")
    assert caught.value.transient


def test_something_else_at_the_port_is_a_refusal(service: WriterProcess) -> None:
    with answering(b"SSH-2.0-OpenSSH_9.2\r\n") as port, pytest.raises(WriterError) as caught:
        open_writer(service.access.model_copy(update={"port": port}), "one")
    assert "refused TLS" in str(caught.value)
    assert not caught.value.transient


def test_more_connections_than_places_wait_for_a_place(service: WriterProcess, disk: Path) -> None:
    writers = [open_writer(service.access, "one") for _ in range(writer_service.MAX_CONNECTIONS)]
    with pytest.raises(StreamError):
        open_writer(service.access, "one", timeout=0.5)
    writers.pop().close()
    writers.append(open_writer(service.access, "one"))
    writers[-1].write(0, memoryview(b"x"))
    writers[-1].flush()
    assert disk.read_bytes()[:1] == b"x"
    for writer in writers:
        writer.close()


@pytest.mark.parametrize("end", ["service", "controller"])
def test_where_one_end_has_no_poly1305_both_use_blake2b(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(CONTENT)
    if end == "controller":
        monkeypatch.setattr(writer_service, "libcrypto", lambda: None)
    # What a service without it says; asked for blake2b, this one does as that one would.
    answer = json.dumps({"digests": ["blake2b"], "zstd": False, "disks": {"one": len(CONTENT)}})
    with running_writer(tmp_path, {"one": disk}) as process:
        writer = open_writer(process.access, "one")
        if end == "service":
            monkeypatch.setattr(writer, "_request", lambda *_: answer.encode())
            writer.greet()
            monkeypatch.undo()
        assert writer.tags(memoryview(CONTENT)) == [blake2b(DIGEST_KEY)(CONTENT)]
        expected = expected_digest(CONTENT, blake2b(DIGEST_KEY))
        assert writer.digests([Range(0, len(CONTENT))]) == [expected]
        writer.close()


def test_without_zstd_everything_crosses_the_wire(
    service: WriterProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_service, "libzstd", lambda: None)
    writer = open_writer(service.access, "one")
    assert writer.write(0, memoryview(b"a" * MiB)) == MiB
    writer.flush()
    writer.close()


def test_a_block_has_another_tag_under_another_key() -> None:
    block = memoryview(b"block" * 1000)
    for name in writer_service.digest_names():
        tags = {bytes(Tagger(bytes([n]) * 32, name).tags(block)[0]) for n in range(4)}
        assert len(tags) == 4
        assert all(len(tag) == writer_service.TAG_SIZE for tag in tags)


def test_a_head_is_parsed() -> None:
    request = parse_head(b"PUT /disks/a%20b?offset=17 HTTP/1.1\r\ncontent-LENGTH: 5")
    assert (request.method, request.length) == ("PUT", 5)
    assert request.number("offset") == 17
    with pytest.raises(RefusedError):
        request.number("length")


def test_neighbouring_ranges_are_read_at_once() -> None:
    ranges = [(0, 4), (4, 4), (9, 1), (10, 9), (100, 50), (0, 1)]
    assert list(adjacent(ranges, 10)) == [
        [(0, 4), (4, 4)],
        [(9, 1), (10, 9)],
        [(100, 50)],
        [(0, 1)],
    ]


def test_zeroing_punches_holes(service: WriterProcess, disk: Path) -> None:
    writer = open_writer(service.access, "one")
    writer.write(0, memoryview(os.urandom(4 * MiB)))
    writer.flush()
    before = disk.stat().st_blocks
    writer.zero(0, 4 * MiB)
    writer.flush()
    writer.close()
    assert disk.stat().st_blocks < before - 4 * MiB // 512 + 64
