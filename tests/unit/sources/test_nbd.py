# SPDX-License-Identifier: Apache-2.0
import socket
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.images import make_qcow2
from tradewind.errors import NotFoundError, StreamError
from tradewind.model.storage import Extent, ExtentKind
from tradewind.sources import libnbd, nbd
from tradewind.sources.images import qemu
from tradewind.sources.images.door import open_image
from tradewind.sources.nbd import NbdReader, allocation, clipped, merged, open_reader

MiB = 1 << 20
DATA, ZERO = ExtentKind.DATA, ExtentKind.ZERO


@pytest.fixture
def image(tmp_path: Path) -> bytes:
    return make_qcow2(tmp_path / "a.qcow2", 8 * MiB, {MiB: b"\x07" * MiB, 2 * MiB: b"\x08" * 65536})


@pytest.fixture
def socket_path(tmp_path: Path, image: bytes) -> Iterator[Path]:
    with (
        open_image(tmp_path, tmp_path / "a.qcow2") as opened,
        qemu.served(opened, tmp_path, "one") as path,
    ):
        yield path


def test_reads_what_is_there(socket_path: Path, image: bytes) -> None:
    buffer = bytearray(8 * MiB)
    with open_reader(socket_path) as reader:
        assert reader.size == 8 * MiB
        reader.readinto(memoryview(buffer), 0)
    assert buffer == image


def test_reads_more_requests_than_are_under_way_at_once(socket_path: Path, image: bytes) -> None:
    start, length = MiB - 512, MiB + 65536 + 1000
    buffer = bytearray(length)
    with open_reader(socket_path) as reader:
        reader.readinto(memoryview(buffer), start)
    assert buffer == image[start : start + length]


def test_extents_join_neighbours(socket_path: Path) -> None:
    assert list(nbd.extents(socket_path, "", 8 * MiB)) == [
        Extent(0, MiB, ZERO),
        Extent(MiB, MiB + 65536, DATA),
        Extent(2 * MiB + 65536, 6 * MiB - 65536, ZERO),
    ]


def test_extents_are_asked_for_step_by_step(
    socket_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = list(nbd.extents(socket_path, "", 8 * MiB))
    monkeypatch.setattr(nbd, "_STATUS_STEP", 3 * 65536)
    assert list(nbd.extents(socket_path, "", 8 * MiB)) == whole


def test_a_disk_of_another_size_is_refused(socket_path: Path) -> None:
    with pytest.raises(StreamError, match="8388608 bytes, the disk has 1"):
        list(nbd.extents(socket_path, "", 1))


def test_without_metadata_everything_is_data(socket_path: Path) -> None:
    reader = NbdReader(socket_path, contexts=())
    assert list(reader.extents()) == [Extent(0, 8 * MiB, DATA)]
    reader.close()


def test_errors_carry_what_libnbd_says(socket_path: Path) -> None:
    with open_reader(socket_path) as reader, pytest.raises(StreamError, match="out of bounds"):
        reader.readinto(memoryview(bytearray(1024)), 8 * MiB)


def test_an_unknown_export_is_named(socket_path: Path) -> None:
    with pytest.raises(StreamError, match="no export named 'nope'"):
        NbdReader(socket_path, "nope")


def test_no_socket_is_named(tmp_path: Path) -> None:
    with pytest.raises(StreamError, match=r"nowhere\.sock does not answer"):
        NbdReader(tmp_path / "nowhere.sock")


@pytest.fixture
def silent_server(tmp_path: Path) -> Iterator[Path]:
    """Accepts nobody: a client that connects is never greeted."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "silent.sock"))
        listener.listen()
        yield tmp_path / "silent.sock"


def test_a_server_that_never_greets_is_left_in_time(silent_server: Path) -> None:
    started = time.monotonic()
    with pytest.raises(StreamError):
        NbdReader(silent_server, timeout=0.3)
    assert time.monotonic() - started < 15


def test_an_interrupt_ends_a_read_that_hangs(socket_path: Path, tmp_path: Path) -> None:
    """Through a relay that stops passing bytes on after the handshake."""
    with Relay(tmp_path / "relay.sock", socket_path) as relay:
        reader = NbdReader(relay.path)
        relay.is_stuck.set()
        threading.Timer(0.3, reader.interrupt).start()
        started = time.monotonic()
        with pytest.raises(StreamError):
            reader.readinto(memoryview(bytearray(1024)), 0)
        assert 0.2 < time.monotonic() - started < 30
        reader.close()


class Relay:
    """Passes bytes between one client and a server until it is stuck."""

    def __init__(self, path: Path, target: Path) -> None:
        self.path = path
        self.is_stuck = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(str(target))
        self._threads = [threading.Thread(target=self._serve)]

    def __enter__(self) -> "Relay":
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._server.close()
        self._listener.close()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        back = threading.Thread(target=self._pass, args=[self._server, client])
        self._threads.append(back)
        back.start()
        self._pass(client, self._server)
        back.join(5)
        client.close()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                if not self.is_stuck.is_set():
                    other.sendall(data)
        except OSError:
            return


def test_a_missing_library_is_named_with_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    libnbd._library.cache_clear()
    monkeypatch.setattr(libnbd, "LIBRARY", "libnbd-that-is-not-there.so")
    with pytest.raises(NotFoundError, match="libnbd0 on Debian"):
        libnbd.Connection("", ())


def test_the_last_answer_is_clipped_to_the_disk() -> None:
    entries = [(10, 0), (5, 3), (1000, 0), (7, 0)]
    assert list(clipped(entries, allocation, 100, 120)) == [
        Extent(100, 10, ExtentKind.DATA),
        Extent(110, 5, ExtentKind.ZERO),
        Extent(115, 5, ExtentKind.DATA),
    ]


@given(st.lists(st.tuples(st.integers(1, 50), st.sampled_from(ExtentKind)), max_size=20))
def test_merging_keeps_every_byte_and_alternates(parts: list[tuple[int, ExtentKind]]) -> None:
    extents, position = [], 0
    for length, kind in parts:
        extents.append(Extent(position, length, kind))
        position += length
    found = list(merged(extents))
    assert sum(extent.length for extent in found) == position
    assert all(a.end == b.start and a.kind is not b.kind for a, b in pairwise(found))
    for extent in extents:
        [home] = [each for each in found if each.start <= extent.start < each.end]
        assert home.kind is extent.kind


def test_a_reply_has_no_more_ranges_than_the_protocol_allows() -> None:
    """A server that answers with more is not listened to: each would take our memory."""
    ffi, reply = libnbd._ffi, libnbd._Reply(b"base:allocation")
    handle, context = ffi.new_handle(reply), ffi.new("char []", b"base:allocation")
    entries = ffi.new("uint32_t []", 2 << 20)
    assert libnbd._collect(handle, context, 0, entries, 2 << 20, ffi.NULL) == 0
    assert len(reply.entries) == 2 << 20
    assert libnbd._collect(handle, context, 0, entries, 2, ffi.NULL) == -1
    assert len(reply.entries) == 2 << 20
