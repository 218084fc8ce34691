# SPDX-License-Identifier: Apache-2.0
"""What those who have no certificate can do to the real service: nothing that a client notices."""

import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from tests.fakes.writer_process import ADDRESS, WriterProcess, running_writer
from tradewind.model.host import HttpsAccess
from tradewind.streaming import writer_service
from tradewind.streaming.over_https import client_context, open_writer

MiB = 1 << 20
CROWD = 1050
# The longest handshake record there may be, of which a client then sends a byte at a time.
DRIP = b"\x16\x03\x01\x40\x00"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    path.touch()
    os.truncate(path, MiB)
    return path


def stranger(service: WriterProcess, said: bytes = b"") -> socket.socket:
    connection = socket.create_connection((ADDRESS, service.access.port), timeout=10)
    connection.sendall(said)
    return connection


@contextmanager
def crowd(service: WriterProcess, size: int = CROWD) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(stranger(service, DRIP * (n % 2))) for n in range(size)]


@contextmanager
def cutting(service: WriterProcess, times: int) -> Iterator[HttpsAccess]:
    """Stand before the service, and cut off the first clients in the middle of their handshake."""

    def stand(listener: socket.socket) -> None:
        for turn in count():
            connection, _ = listener.accept()
            hello = connection.recv(65536)
            if turn < times:
                connection.close()
                continue
            with connection, stranger(service, hello) as onward:
                pass_on(connection, onward)
            return

    with socket.create_server((ADDRESS, 0)) as listener:
        standing = threading.Thread(target=stand, args=(listener,), daemon=True)
        standing.start()
        yield replace_port(service.access, listener.getsockname()[1])
        standing.join(10)


def pass_on(one: socket.socket, other: socket.socket) -> None:
    while True:
        for ready in select.select([one, other], [], [])[0]:
            said = ready.recv(65536)
            if not said:
                return
            (other if ready is one else one).sendall(said)


def replace_port(access: HttpsAccess, port: int) -> HttpsAccess:
    return access.model_copy(update={"port": port})


def open_files(service: WriterProcess) -> int:
    return sum(1 for _ in Path(f"/proc/{service.pid}/fd").iterdir())


def threads(service: WriterProcess) -> int:
    return sum(1 for _ in Path(f"/proc/{service.pid}/task").iterdir())


def write_byte(service: WriterProcess, offset: int) -> None:
    writer = open_writer(service.access, "one")
    writer.write(offset, memoryview(b"x"))
    writer.flush()
    writer.close()


def has_ended(connection: socket.socket) -> bool:
    connection.settimeout(10)
    with suppress(ConnectionResetError):
        return connection.recv(1) == b""
    return True


def test_a_client_is_let_in_through_a_crowd_of_strangers(tmp_path: Path, disk: Path) -> None:
    with running_writer(tmp_path, {"one": disk}, files=1024) as service:
        before = open_writer(service.access, "one")
        with crowd(service):
            before.write(0, memoryview(b"ab"))
            before.flush()
            write_byte(service, 2)
            assert open_files(service) < 3 * writer_service.MAX_HANDSHAKES + 32
            assert threads(service) < 8
        before.close()
        write_byte(service, 3)
    assert disk.read_bytes()[:4] == b"abxx"


def test_a_client_whose_hello_was_answered_is_not_pushed_out(tmp_path: Path, disk: Path) -> None:
    with running_writer(tmp_path, {"one": disk}) as service, ExitStack() as stack:
        context = client_context(service.access)
        received, sending = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(received, sending, server_hostname=ADDRESS)
        with suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        connection = stack.enter_context(stranger(service, sending.read()))
        while tls.version() is None:
            received.write(connection.recv(65536))
            with suppress(ssl.SSLWantReadError):
                tls.do_handshake()
        stack.enter_context(crowd(service))
        tls.write(b"GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        connection.sendall(sending.read())
        received.write(connection.recv(65536))
        assert tls.read(12) == b"HTTP/1.1 200"


def test_who_was_pushed_out_tries_again(tmp_path: Path, disk: Path) -> None:
    with running_writer(tmp_path, {"one": disk}) as service, cutting(service, times=2) as access:
        writer = open_writer(access, "one")
        writer.write(0, memoryview(b"x"))
        writer.flush()
        writer.close()
    assert disk.read_bytes()[:1] == b"x"


def test_clients_are_let_in_while_strangers_keep_coming(tmp_path: Path, disk: Path) -> None:
    ended = threading.Event()

    def come(service: WriterProcess, opened: list[int]) -> None:
        with ExitStack() as stack:
            while not ended.is_set() and len(opened) < 4000:
                stack.enter_context(stranger(service, DRIP * (len(opened) % 2)))
                opened.append(1)

    with running_writer(tmp_path, {"one": disk}, files=1024) as service:
        opened: list[int] = []
        flood = threading.Thread(target=come, args=(service, opened))
        flood.start()
        for offset in range(10):
            write_byte(service, offset)
        ended.set()
        flood.join()
    assert opened
    assert disk.read_bytes()[:10] == b"x" * 10


def test_without_a_descriptor_left_the_service_goes_on(tmp_path: Path, disk: Path) -> None:
    with running_writer(tmp_path, {"one": disk}, files=48) as service, crowd(service, 200):
        for offset in range(3):
            write_byte(service, offset)
    assert disk.read_bytes()[:3] == b"xxx"


def test_when_clients_have_all_descriptors_it_listens_again_afterwards(
    tmp_path: Path, disk: Path
) -> None:
    with running_writer(tmp_path, {"one": disk}, files=20) as service:
        writers = []
        with suppress(Exception):
            while True:
                writers.append(open_writer(service.access, "one", timeout=5))
        assert 0 < len(writers) < writer_service.MAX_CONNECTIONS
        for writer in writers:
            writer.close()
        write_byte(service, 0)
    assert disk.read_bytes()[:1] == b"x"


def test_who_drips_is_cut_off_in_time_and_so_is_who_says_nothing(
    tmp_path: Path, disk: Path
) -> None:
    with running_writer(tmp_path, {"one": disk}, handshake_timeout=1.5) as service:
        begun = time.monotonic()
        silent, dripping = stranger(service), stranger(service, DRIP)
        with suppress(OSError):
            while time.monotonic() - begun < 30:
                dripping.sendall(b"x")
                time.sleep(0.1)
        assert time.monotonic() - begun < 30
        assert has_ended(silent)
        dripping.close()
        silent.close()


def test_who_is_refused_cannot_stay_by_talking_on(tmp_path: Path, disk: Path) -> None:
    with running_writer(tmp_path, {"one": disk}) as service:
        refused = stranger(service, b"GET / HTTP/1.1\r\n\r\n")
        begun = time.monotonic()
        with suppress(OSError):
            while time.monotonic() - begun < writer_service.HANDSHAKE_TIMEOUT:
                refused.sendall(b"x")
                time.sleep(0.1)
        assert time.monotonic() - begun < writer_service.HANDSHAKE_TIMEOUT
        refused.close()


def test_a_crowd_from_one_address_does_not_push_out_another(tmp_path: Path, disk: Path) -> None:
    with running_writer(tmp_path, {"one": disk}) as service:
        place = (ADDRESS, service.access.port)
        with (
            socket.create_connection(place, source_address=("127.0.0.2", 0)) as neighbour,
            crowd(service, 3 * writer_service.MAX_HANDSHAKES),
        ):
            write_byte(service, 0)
            context = ssl.create_default_context(cadata=service.access.ca_certificate)
            with context.wrap_socket(neighbour, server_hostname=ADDRESS) as secure:
                assert secure.version() == "TLSv1.3"
