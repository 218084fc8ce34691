# SPDX-License-Identifier: Apache-2.0
"""Commands over a real SSH connection, and each way in which it can be refused."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from pydantic import SecretStr

from tests.fakes.ssh_server import Server, free_port, running_sshd
from tradewind.errors import (
    AccessRefusedError,
    ConnectionFailedError,
    HostKeyError,
    KeyMaterialError,
    LateError,
    RemoteCommandError,
    UnreachableError,
)
from tradewind.model.host import Worker
from tradewind.model.run import Purpose
from tradewind.ports import Remote
from tradewind.remote.handshake import directly
from tradewind.remote.shell import (
    Shell,
    connect,
    connect_to_host,
    connect_to_worker,
    offered_host_key,
    probe,
)


def opened(
    server: Server, *, key: SecretStr | None = None, host_key: str | None = None
) -> AbstractContextManager[Shell]:
    pinned = server.host_key() if host_key is None else host_key
    return connect("127.0.0.1", server.port, "root", server.key if key is None else key, pinned, 10)


@pytest.fixture(scope="module")
def shell(server: Server) -> Iterator[Shell]:
    with opened(server) as shell:
        yield shell


def test_a_shell_is_a_remote(shell: Shell) -> None:
    remote: Remote = shell
    assert remote.run(["echo", "hello"]).stdout == "hello\n"


def test_arguments_arrive_as_they_were_given(shell: Shell) -> None:
    odd = ["a b", "$HOME", "'", '"', "*", "", "line\nbreak", "ü"]
    done = shell.run(["printf", "%s\\0", *odd])
    assert done.stdout.split("\0")[:-1] == odd


def test_the_input_arrives_whole(shell: Shell) -> None:
    done = shell.run(["md5sum"], stdin=bytes(range(256)) * 20_000)
    local = subprocess.run(
        ["md5sum"], input=bytes(range(256)) * 20_000, capture_output=True, check=True
    )
    assert done.stdout == local.stdout.decode()


def test_a_command_that_ignores_its_input_does_not_block(shell: Shell) -> None:
    assert shell.run(["true"], stdin=b"x" * 8_000_000, timeout=20).status == 0


def test_big_outputs_on_both_sides_do_not_block(shell: Shell) -> None:
    script = "head -c 6000000 /dev/zero | tr '\\0' e >&2; head -c 6000000 /dev/zero | tr '\\0' o"
    done = shell.run(["sh", "-c", script], timeout=30)
    assert done.stdout == "o" * 6_000_000
    assert done.stderr == "e" * 6_000_000


def test_endless_output_is_stopped(shell: Shell) -> None:
    with pytest.raises(RemoteCommandError, match="more than 32 MiB"):
        shell.run(["yes"], timeout=60)
    assert shell.run(["true"]).status == 0


def test_bytes_that_are_not_utf8_survive(shell: Shell, tmp_path: Path) -> None:
    text = shell.run(["printf", "caf\\351"]).stdout
    shell.write(str(tmp_path / "f"), text.encode(errors="surrogateescape"))
    assert (tmp_path / "f").read_bytes() == b"caf\xe9"


def test_a_failure_names_command_status_and_last_words(shell: Shell) -> None:
    with pytest.raises(RemoteCommandError) as caught:
        shell.run(["sh", "-c", "for i in $(seq 100); do echo line-$i; done >&2; exit 7"])
    assert "status 7" in caught.value.message
    assert "seq 100" in caught.value.message
    assert "line-100" in caught.value.message
    assert "line-10\n" not in caught.value.message


def test_the_last_words_steer_no_terminal(shell: Shell) -> None:
    with pytest.raises(RemoteCommandError) as caught:
        shell.run(["sh", "-c", "printf '\\033[2J\\033]0;title\\007no room\\033[31m' >&2; exit 7"])
    assert caught.value.message.endswith(":\n    no room")
    assert "title" not in caught.value.message.splitlines()[-1]


def test_a_missing_command_is_a_failure(shell: Shell) -> None:
    with pytest.raises(RemoteCommandError, match="status 127"):
        shell.run(["no-such-command"])


def test_the_status_is_returned_when_nobody_checks(shell: Shell) -> None:
    assert shell.run(["sh", "-c", "exit 3"], check=False).status == 3
    assert shell.run(["sh", "-c", "exit 124"], check=False).status == 124


def test_a_late_command_is_killed_on_the_far_side(shell: Shell, tmp_path: Path) -> None:
    before = time.monotonic()
    with pytest.raises(LateError, match="did not end within 1 s"):
        shell.run(["sh", "-c", f"echo $$ > {tmp_path}/pid; sleep 300"], timeout=1)
    assert time.monotonic() - before < 100  # of the 300 that it sleeps
    pid = (tmp_path / "pid").read_text().strip()
    assert not Path(f"/proc/{pid}").exists()
    assert shell.run(["true"]).status == 0


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_written_files_have_content_and_mode(shell: Shell, tmp_path: Path, mode: int) -> None:
    target = tmp_path / "a file"
    shell.write(str(target), b"first")
    shell.write(str(target), b"\x00second\xff", mode)
    assert target.read_bytes() == b"\x00second\xff"
    assert target.stat().st_mode & 0o7777 == mode
    assert [entry.name for entry in tmp_path.iterdir()] == ["a file"]


def test_writing_into_a_folder_that_is_not_there_fails(shell: Shell, tmp_path: Path) -> None:
    with pytest.raises(RemoteCommandError, match="missing"):
        shell.write(str(tmp_path / "missing" / "file"), b"")


@pytest.mark.parametrize("name", ["client_ecdsa", "client_rsa"])
def test_other_kinds_of_keys_are_accepted(server: Server, name: str) -> None:
    with opened(server, key=SecretStr((server.folder / name).read_text())) as shell:
        assert shell.run(["true"]).status == 0


def test_a_pkcs8_key_is_accepted(server: Server) -> None:
    key = serialization.load_ssh_private_key(server.key.get_secret_value().encode(), None)
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with opened(server, key=SecretStr(text.decode())) as shell:
        assert shell.run(["true"]).status == 0


def test_a_key_the_host_does_not_know_is_refused(server: Server) -> None:
    stranger = SecretStr((server.folder / "stranger").read_text())
    with pytest.raises(AccessRefusedError, match="refuses the key SHA256:") as caught:
        opened(server, key=stranger).__enter__()
    assert "authorized_keys" in caught.value.hint


@pytest.mark.parametrize("text", ["", "secret-nonsense", "-----BEGIN OPENSSH PRIVATE KEY-----\nx"])
def test_what_is_no_key_is_said_without_printing_it(server: Server, text: str) -> None:
    with pytest.raises(KeyMaterialError) as caught:
        opened(server, key=SecretStr(text)).__enter__()
    assert "nonsense" not in str(caught.value)


def test_a_locked_key_is_said_to_be_locked(server: Server, tmp_path: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "letmein", "-f", tmp_path / "k"], check=True
    )
    with pytest.raises(KeyMaterialError, match="passphrase"):
        opened(server, key=SecretStr((tmp_path / "k").read_text())).__enter__()


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_each_way_to_pin_the_host_key_is_accepted(server: Server, kind: str) -> None:
    line = server.host_key(kind)
    pins = [line, f"{line} comment", f"[127.0.0.1]:{server.port} {line}", server.fingerprint(kind)]
    for pin in pins:
        with opened(server, host_key=pin) as shell:
            assert shell.run(["true"]).status == 0


def test_a_changed_host_key_is_refused_and_told(server: Server) -> None:
    stranger = (server.folder / "stranger.pub").read_text()
    with pytest.raises(HostKeyError) as caught:
        opened(server, host_key=stranger).__enter__()
    assert f"shows ssh-ed25519 {server.fingerprint()}" in caught.value.message
    assert server.fingerprint() in caught.value.hint
    assert "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in caught.value.hint


def test_an_unknown_fingerprint_is_refused(server: Server) -> None:
    with pytest.raises(HostKeyError, match="not the pinned one"):
        opened(server, host_key="SHA256:" + "A" * 43).__enter__()


def test_a_host_that_lacks_the_pinned_type_is_refused(server: Server, tmp_path: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", tmp_path / "other"], check=True
    )
    pinned = (tmp_path / "other.pub").read_text()
    with pytest.raises(HostKeyError) as caught:
        opened(server, host_key=pinned).__enter__()
    assert server.fingerprint() in caught.value.message


def test_no_pinned_key_is_refused_and_the_offered_one_told(server: Server) -> None:
    with pytest.raises(HostKeyError, match="no host key is pinned") as caught:
        opened(server, host_key="").__enter__()
    assert server.fingerprint() in caught.value.hint


@pytest.mark.parametrize(
    "pin",
    ["rubbish", "ssh-ed25519", "ssh-ed25519 AAAA", "host ssh-rsa !!!", "SHA256:short",
     "@cert-authority * ssh-ed25519 AAAA", "ssh-dss AAAAB3NzaC1kc3M="],
)  # fmt: skip
def test_what_is_no_host_key_is_refused_with_the_forms_there_are(server: Server, pin: str) -> None:
    with pytest.raises(HostKeyError, match=r"host key of 127\.0\.0\.1") as caught:
        opened(server, host_key=pin).__enter__()
    assert "SHA256:" in caught.value.hint


def test_the_offered_key_is_a_line_that_can_be_pinned(server: Server) -> None:
    line = offered_host_key("127.0.0.1", server.port)
    assert line == server.host_key()


def test_no_listener_is_said(server: Server) -> None:
    port = free_port()
    with pytest.raises(UnreachableError, match=f"127.0.0.1:{port}: nothing listens") as caught:
        connect("127.0.0.1", port, "root", server.key, server.host_key()).__enter__()
    assert not caught.value.transient


def test_a_host_that_answered_before_may_come_back(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as there:
        port = there.getsockname()[1]
        with directly("127.0.0.1", port, 5):
            pass
    with pytest.raises(ConnectionFailedError, match="nothing listens") as caught:
        directly("127.0.0.1", port, 5).__enter__()
    assert caught.value.transient


def test_a_name_that_is_not_there_is_said(server: Server) -> None:
    with pytest.raises(UnreachableError, match=r"no-such-host\.invalid cannot be resolved"):
        connect("no-such-host.invalid", 22, "root", server.key, server.host_key()).__enter__()


def test_a_listener_that_says_nothing_is_told_in_time(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        before = time.monotonic()
        with pytest.raises(ConnectionFailedError, match="does not complete an SSH handshake"):
            connect("127.0.0.1", port, "root", server.key, server.host_key(), 1).__enter__()
        assert time.monotonic() - before < 30


def test_a_broken_connection_is_transient(server: Server) -> None:
    with pytest.raises(ConnectionFailedError) as caught, opened(server) as shell:
        # Kills the sshd process of this connection: the parent of the command.
        shell.run(["sh", "-c", "kill -9 $(ps -o ppid= -p $(ps -o ppid= -p $$))"])
    assert caught.value.transient


def test_probe_answers_only_for_the_pinned_key(server: Server) -> None:
    assert probe("127.0.0.1", server.port, server.host_key())
    assert not probe("127.0.0.1", server.port, (server.folder / "stranger.pub").read_text())
    assert not probe("127.0.0.1", free_port(), server.host_key())


def test_probe_gives_up_soon(server: Server) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:
        before = time.monotonic()
        assert not probe("127.0.0.1", silent.getsockname()[1], server.host_key(), 1)
        assert time.monotonic() - before < 30


def test_hosts_and_workers_are_reached_by_their_records(server: Server) -> None:
    access = server.access()
    with connect_to_host(access) as shell:
        assert shell.run(["true"]).status == 0
    worker = Worker(
        domain="worker",
        address=access.host,
        port=access.port,
        username=access.username,
        private_key=access.private_key,
        host_key=access.host_key,
        purpose=Purpose.MORPHING,
        run_id="run",
        seconds_to_ssh=1,
    )
    with connect_to_worker(worker) as shell:
        assert shell.run(["true"]).status == 0


def test_a_host_that_forwards_says_so(server: Server, tmp_path: Path) -> None:
    with connect_to_host(server.access()) as shell:
        assert shell.forwards()
    with (
        running_sshd(tmp_path, "AllowTcpForwarding no") as closed,
        connect_to_host(closed.access()) as shell,
    ):
        assert not shell.forwards()
        assert not shell.reaches("127.0.0.1", server.port)


def test_what_a_host_reaches(server: Server) -> None:
    with connect_to_host(server.access()) as shell:
        assert shell.reaches("127.0.0.1", server.port)
        assert not shell.reaches("127.0.0.1", free_port())
