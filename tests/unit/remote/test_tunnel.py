# SPDX-License-Identifier: Apache-2.0
"""The OpenSSH client's wrapper, and unix sockets through it."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.ssh_server import Server, free_port
from tradewind.errors import AccessRefusedError, ConnectionFailedError, HostKeyError, OptionError
from tradewind.remote.client import client_files
from tradewind.remote.tunnel import forward


@pytest.fixture
def greeter(tmp_path: Path) -> Iterator[Path]:
    """A unix socket that greets and then echoes, like a server that speaks first."""
    path = tmp_path / "far.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve(connection: socket.socket) -> None:
            with connection:
                connection.sendall(b"hello")
                while piece := connection.recv(65536):
                    connection.sendall(piece)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield path
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_the_wrapper_logs_in_without_any_configuration(server: Server) -> None:
    with client_files(server.access()) as files:
        said = subprocess.run(
            [files.ssh, "-p", str(server.port), "-l", "root", "--", "127.0.0.1", "echo", "there"],
            capture_output=True,
            check=True,
        )
        assert said.stdout == b"there\n"
        assert files.folder.stat().st_mode & 0o777 == 0o700
        assert files.key.stat().st_mode & 0o777 == 0o600


def test_this_process_never_opens_the_wrapper_for_writing(server: Server) -> None:
    """A child that another thread forks meanwhile would hold it open: "text file busy"."""
    written: list[str] = []

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_ACCMODE:
            written.append(Path(str(arguments[0])).name)

    sys.addaudithook(note)  # stays: an audit hook cannot be taken back, and this one is harmless
    with client_files(server.access()) as files:
        assert files.ssh.stat().st_mode & 0o777 == 0o700
    assert "known_hosts" in written
    assert "ssh" not in written


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_a_fingerprint_becomes_a_known_hosts_line(server: Server, kind: str) -> None:
    with client_files(server.access(server.fingerprint(kind))) as files:
        assert server.host_key(kind) in files.known_hosts.read_text()
        subprocess.run(
            [files.ssh, "-p", str(server.port), "-l", "root", "--", "127.0.0.1", "true"],
            check=True,
        )


def test_the_wrapper_refuses_a_changed_host_key(server: Server) -> None:
    pinned = (server.folder / "stranger.pub").read_text()
    with client_files(server.access(pinned)) as files:
        said = subprocess.run(
            [files.ssh, "-p", str(server.port), "-l", "root", "--", "127.0.0.1", "true"],
            capture_output=True,
            check=False,
        )
        assert said.returncode == 255
        assert b"verification failed" in said.stderr


def test_a_wrong_fingerprint_is_refused_before_any_file_is_made(server: Server) -> None:
    with pytest.raises(HostKeyError):
        client_files(server.access("SHA256:" + "A" * 43)).__enter__()


def test_the_files_are_gone_after_a_failure(server: Server) -> None:
    folder = Path()

    def fail() -> None:
        nonlocal folder
        with client_files(server.access()) as files:
            folder = files.folder
            assert files.key.read_text() == server.key.get_secret_value()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not folder.exists()


def test_a_far_socket_is_reached(server: Server, greeter: Path, tmp_path: Path) -> None:
    local_folder = tmp_path / "local"
    local_folder.mkdir()
    with forward(server.access(), str(greeter), local_folder) as local:
        for _ in range(2):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(local))
                client.sendall(b"x" * 100_000)
                received = bytearray()
                while len(received) < 100_005:
                    received += client.recv(65536)
                assert received.startswith(b"hellox")
    assert list(local_folder.iterdir()) == []


def test_a_far_socket_that_is_not_there_is_said(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ConnectionFailedError, match=r"no tunnel to /\S+no\.sock") as caught:
        forward(server.access(), str(tmp_path / "no.sock"), tmp_path).__enter__()
    assert "AllowStreamLocalForwarding" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_what_ssh_says_of_the_host_is_said_of_the_tunnel(server: Server, tmp_path: Path) -> None:
    pinned = (server.folder / "stranger.pub").read_text()
    with pytest.raises(HostKeyError):
        forward(server.access(pinned), "/x", tmp_path).__enter__()
    stranger = server.access().model_copy(update={"username": "nobody"})
    with pytest.raises(AccessRefusedError):
        forward(stranger, "/x", tmp_path).__enter__()
    away = server.access().model_copy(update={"port": free_port()})
    with pytest.raises(ConnectionFailedError, match="nothing listens"):
        forward(away, "/x", tmp_path).__enter__()


def test_a_folder_with_a_long_name_is_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="too long"):
        forward(server.access(), "/x", tmp_path / ("a" * 100)).__enter__()
