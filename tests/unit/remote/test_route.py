# SPDX-License-Identifier: Apache-2.0
"""Connections to a worker, directly and through its host; here both are one real sshd."""

import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.ssh_server import Server, free_port
from tests.fakes.writer_process import worker_at
from tradewind.errors import AccessRefusedError, ConnectionFailedError, HostKeyError
from tradewind.model.host import HostAccess, WorkerAccess
from tradewind.remote.client import client_files, started
from tradewind.remote.route import DIRECT, Route, route_to_workers
from tradewind.remote.shell import connect_to_worker, probe


def children() -> set[str]:
    """The processes that this one started and that are not reaped yet."""
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
            found.update((task / "children").read_text().split())
    return found


@pytest.fixture(autouse=True)
def _nothing_left(
    server: Server, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    folder, before = tmp_path_factory.mktemp("private"), children()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert list(folder.iterdir()) == []
    assert children() == before


@pytest.fixture
def via(server: Server) -> HostAccess:
    return server.access()


def stranger(server: Server) -> str:
    return " ".join((server.folder / "stranger.pub").read_text().split()[:2])


def test_commands_in_a_worker_behind_its_host(server: Server, via: HostAccess) -> None:
    with connect_to_worker(worker_at(server, via)) as shell:
        assert shell.run(["wc", "-c"], stdin=bytes(3_000_000)).stdout == "3000000\n"
        assert shell.run(["sh", "-c", "echo $SSH_CONNECTION"]).stdout.startswith("127.0.0.1")


def test_a_worker_behind_its_host_has_to_prove_its_own_key(server: Server, via: HostAccess) -> None:
    assert probe("127.0.0.1", server.port, server.host_key(), route=Route(via))
    assert not probe("127.0.0.1", server.port, stranger(server), route=Route(via))
    other = worker_at(server, via).model_copy(update={"host_key": stranger(server)})
    with pytest.raises(HostKeyError, match="not the pinned one"):
        connect_to_worker(other).__enter__()


def test_a_worker_that_is_not_there_is_said_with_the_words_of_its_host(
    server: Server, via: HostAccess
) -> None:
    gone = worker_at(server, via).model_copy(update={"port": free_port()})
    with pytest.raises(ConnectionFailedError, match=r"through 127\.0\.0\.1: .*Connection refused"):
        connect_to_worker(gone).__enter__()
    assert not probe("127.0.0.1", gone.port, server.host_key(), route=Route(via))


def test_a_worker_that_refuses_the_key_is_not_taken_for_a_broken_road(
    server: Server, via: HostAccess
) -> None:
    other = worker_at(server, via).model_copy(update={"username": "nobody"})
    with pytest.raises(AccessRefusedError, match="refuses the key"):
        connect_to_worker(other).__enter__()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"username": "nobody"}, "Permission denied"),
        ({"port": 1}, "Connection refused"),
        ({"host_key": "stranger"}, "Host key verification failed"),
    ],
)
def test_a_host_that_lets_nobody_through_says_why(
    server: Server, via: HostAccess, change: dict[str, object], words: str
) -> None:
    if change.get("host_key"):
        change = {"host_key": stranger(server)}
    closed = via.model_copy(update=change)
    with pytest.raises(ConnectionFailedError, match=f"cannot be reached through .*{words}"):
        connect_to_worker(worker_at(server, closed)).__enter__()
    with pytest.raises(ConnectionFailedError, match=words):
        Route(closed).command(server.access(), ["true"], 10).__enter__()


def test_a_command_in_a_worker_that_is_not_there(server: Server, via: HostAccess) -> None:
    gone = server.access().model_copy(update={"port": free_port()})
    with Route(via).command(gone, ["true"], 10) as stream:
        assert stream.connection.recv(1) == b""
        assert stream.client_error() == "open failed: connect failed: Connection refused"


def test_a_short_answer_to_a_long_request_comes_at_once(server: Server, via: HostAccess) -> None:
    """Without a session sshd leaves Nagle's algorithm on: 40 ms for each answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                while len(connection.recv(1 << 20, socket.MSG_WAITALL)) == 1 << 20:
                    connection.sendall(b".")

        threading.Thread(target=answer, daemon=True).start()
        seconds = []
        with Route(via).stream("127.0.0.1", port, 10) as stream:
            for _ in range(20):
                begun = time.monotonic()
                stream.connection.sendall(bytes(1 << 20))
                assert stream.connection.recv(1) == b"."
                seconds.append(time.monotonic() - begun)
    assert statistics.median(seconds) < 0.035


@pytest.mark.parametrize("through_host", [False, True])
def test_a_command_talks_over_its_stream(
    server: Server, via: HostAccess, through_host: bool
) -> None:
    route = Route(via) if through_host else DIRECT
    with route.command(
        server.access(), ["sh", "-c", "cat; echo '$odd' \"it's\" >&2"], 10
    ) as stream:
        stream.connection.sendall(b"x" * 1_000_000)
        stream.connection.shutdown(socket.SHUT_WR)
        received = bytearray()
        while piece := stream.connection.recv(65536):
            received += piece
        assert received == b"x" * 1_000_000
        assert stream.client_error() == "$odd it's"


def test_what_a_host_says_without_end_fills_no_disk_of_ours(via: HostAccess) -> None:
    """Its standard error lands in a file here: the client ends before that is large."""
    flood = "yes $(printf '\\033[2J')flood >&2"
    with client_files(via) as files, Path(os.devnull).open("rb+") as nothing:
        argv = [files.ssh, "-p", str(via.port), "-l", via.username, via.host, flood]
        with started(list(map(str, argv)), stdin=nothing.fileno(), stdout=nothing.fileno()) as ssh:
            assert ssh.process.wait(60) != 0
            assert os.fstat(ssh.said.fileno()).st_size <= 2 << 20
            words = ssh.client_error()
    assert "flood" in words
    assert "\x1b" not in words
    assert len(words) <= 2000


def test_a_hanging_command_ends_with_its_context(server: Server, tmp_path: Path) -> None:
    script = f"echo $$ > {tmp_path}/pid; cat"
    with DIRECT.command(server.access(), ["sh", "-c", script], 10):
        while not (tmp_path / "pid").exists():
            time.sleep(0.02)
        pid = (tmp_path / "pid").read_text().strip()
    deadline = time.monotonic() + 60
    while Path("/proc", pid).exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_road_is_chosen_by_the_endpoint(server: Server, via: HostAccess) -> None:
    assert route_to_workers(via) == DIRECT
    pinned = server.access(server.fingerprint())
    behind = pinned.model_copy(update={"worker_access": WorkerAccess.VIA_HOST})
    route = route_to_workers(behind)
    assert route.via is not None
    assert route.via.host_key == server.host_key()


_OPEN = """
import sys, time
from pathlib import Path
from tradewind.model.host import HostAccess
from tradewind.remote.route import Route
access = HostAccess.model_validate_json(sys.stdin.read())
with Route(access if "via" in sys.argv else None).command(access, ["cat"], 20) as stream:
    stream.connection.sendall(b".")
    stream.connection.recv(1)
    print(Path("/proc/thread-self/children").read_text(), flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("route", ["direct", "via"])
def test_the_clients_end_with_us_however_we_die(
    server: Server, tmp_path_factory: pytest.TempPathFactory, route: str
) -> None:
    access = server.access().model_dump(mode="json")
    access["private_key"] = server.key.get_secret_value()
    with subprocess.Popen(
        [sys.executable, "-c", _OPEN, route],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path_factory.mktemp("t"))},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(access))
        process.stdin.close()
        clients = process.stdout.readline().split()
        names = [Path("/proc", client, "comm").read_text().strip() for client in clients]
        assert names == (["ssh", "ssh"] if route == "via" else ["ssh"])
        os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(Path("/proc", client).exists() for client in clients):
        assert time.monotonic() < deadline
        time.sleep(0.02)
