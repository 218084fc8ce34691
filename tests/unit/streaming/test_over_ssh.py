# SPDX-License-Identifier: Apache-2.0
"""The writer service over a real SSH connection: what the contract does not say."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.local_remote import LocalRemote
from tests.fakes.ssh_server import Server, running_sshd
from tests.fakes.writer_process import running_writer, ssh_access, worker_at
from tradewind.errors import CancelledError, StreamError, WriterError
from tradewind.model.host import HttpsAccess, SshAccess
from tradewind.model.option_types import DataTransferMechanism
from tradewind.model.storage import ReplicaVolume, Volume
from tradewind.ports import Range
from tradewind.streaming import launch, writer_service
from tradewind.streaming.jobs import writers
from tradewind.streaming.over_https import open_writer as open_over_https
from tradewind.streaming.over_ssh import open_writer as open_over_ssh
from tradewind.streaming.writer import ServiceWriter

MiB = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    path.touch()
    os.truncate(path, 8 * MiB)
    return path


@pytest.fixture
def access(server: Server, tmp_path: Path, disk: Path) -> SshAccess:
    return ssh_access(server, tmp_path, {"one": disk})


@pytest.fixture
def writer(access: SshAccess) -> Iterator[ServiceWriter]:
    opened = open_over_ssh(access, "one")
    yield opened
    opened.close()


def service_pid(access: SshAccess) -> int:
    found = subprocess.run(
        ["pgrep", "-f", f"^{' '.join(access.command)}"], capture_output=True, text=True, check=True
    )
    return int(found.stdout.split()[-1])


def test_a_disk_that_is_not_there_is_named_with_those_that_are(access: SshAccess) -> None:
    with pytest.raises(WriterError, match="no such disk, only one"):
        writers(access)("missing")


def test_a_worker_that_does_not_let_us_in_is_said_in_the_words_of_ssh(access: SshAccess) -> None:
    worker = access.worker.model_copy(update={"username": "nobody"})
    with pytest.raises(StreamError, match="Permission denied"):
        writers(access.model_copy(update={"worker": worker}))("one")


def test_a_worker_without_python_is_said_in_the_words_of_its_shell(access: SshAccess) -> None:
    with pytest.raises(StreamError, match=r"no-python3: .*not found"):
        writers(access.model_copy(update={"command": ("no-python3",)}))("one")


def test_a_service_that_dies_is_a_stream_error(access: SshAccess, writer: ServiceWriter) -> None:
    os.kill(service_pid(access), signal.SIGKILL)
    with pytest.raises(StreamError, match="the connection broke") as caught:
        write_and_wait(writer)
    assert caught.value.transient


def write_and_wait(writer: ServiceWriter) -> None:
    writer.write(0, memoryview(bytes(MiB)))
    writer.flush()


def test_an_answer_that_does_not_come_is_a_stream_error(access: SshAccess) -> None:
    writer = open_over_ssh(access, "one")
    writer._connection.settimeout(1)
    pid = service_pid(access)
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StreamError, match="timed out"):
            writer.flush()
        writer.close()
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_call_that_hangs_is_interrupted_at_once(access: SshAccess, writer: ServiceWriter) -> None:
    pid = service_pid(access)
    os.kill(pid, signal.SIGSTOP)
    errors: list[BaseException] = []

    def flush() -> None:
        try:
            writer.flush()
        except CancelledError as error:
            errors.append(error)

    thread = threading.Thread(target=flush)
    thread.start()
    time.sleep(0.2)
    writer.interrupt()
    thread.join(30)
    assert errors  # while the service still hangs
    os.kill(pid, signal.SIGCONT)


def test_a_service_ends_with_its_client(access: SshAccess) -> None:
    writer = open_over_ssh(access, "one")
    pid = service_pid(access)
    writer.close()
    deadline = time.monotonic() + 60
    while Path("/proc", str(pid)).exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_the_service_prints_is_no_answer(access: SshAccess) -> None:
    """A broken request is answered by an end, and its reason is told."""
    writer = open_over_ssh(access, "one")
    writer._connection.sendall(b"x" * 100_000)
    with pytest.raises(StreamError, match="the head of a request is too long"):
        writer.flush()
    writer.close()


def volume(serial: str) -> ReplicaVolume:
    return ReplicaVolume(
        disk_id=serial,
        volume=Volume(pool="p", name=serial, capacity=8 * MiB, format="raw"),
        serial=serial,
        blank=True,
    )


@pytest.fixture
def _worker_is_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    monkeypatch.setattr(launch, "FOLDER", str(folder))
    monkeypatch.setattr(launch, "device", lambda _serial: str(tmp_path / "disk"))
    program = ("python3", "-I", f"{folder}/writer_service.py", "--stdio", f"{folder}/config.json")
    monkeypatch.setattr(launch, "SERVE_STDIO", program)


@pytest.mark.usefixtures("_worker_is_here")
def test_the_service_is_installed_and_reached(server: Server, disk: Path) -> None:
    worker = worker_at(server, server.access())
    access = launch.start_writer(LocalRemote(), worker, [volume("a")], DataTransferMechanism.SSH)
    assert isinstance(access, SshAccess)
    assert access.worker.via == server.access()
    # Here nobody is logged in whose address could be let in alone.
    assert "TCP ports 22 were open to its network" in access.exposure
    assert "nobody is logged in over SSH" in access.exposure
    writer = writers(access)("a")
    data = bytearray(os.urandom(5 * MiB))
    writer.write(4096, memoryview(data))
    writer.zero(4096 + 100_000, 200_000)
    writer.flush()
    data[100_000:300_000] = bytes(200_000)
    tags = writer.tags(memoryview(data))
    assert writer.digests([Range(4096, len(data))]) == [writer_service.combined(tags)]
    writer.close()
    assert disk.read_bytes()[4096 : 4096 + len(data)] == data
    assert Path(launch.FOLDER, "config.json").stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("_worker_is_here", "disk")
def test_a_worker_that_cannot_run_the_service_is_said_before_the_stream(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "SERVE_STDIO", ("no-python3",))
    with pytest.raises(StreamError, match=r"writer service did not start.*no-python3"):
        launch.start_writer(
            LocalRemote(), worker_at(server), [volume("a")], DataTransferMechanism.SSH
        )


def test_https_through_a_host_says_why_nothing_answers(server: Server, tmp_path: Path) -> None:
    with running_writer(tmp_path, {}) as service:
        gone: HttpsAccess = service.access.model_copy(update={"via": server.access(), "port": 1})
    with pytest.raises(StreamError, match=r"cannot be reached: .*Connection refused"):
        open_over_https(gone, "one")
