# SPDX-License-Identifier: Apache-2.0
"""The OpenSSH client where paramiko does not reach: libvirt's transport, and unix sockets.

paramiko cannot forward to a unix socket (`direct-streamlocal@openssh.com`), and libvirt starts a
client by itself. Both get a private folder with a key, a known_hosts file and a wrapper.
"""

import contextlib
import os
import secrets
import shlex
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tradewind.errors import ConnectionFailedError, OptionError
from tradewind.model.host import HostAccess
from tradewind.remote import shell
from tradewind.remote.hostkey import PublicKey, algorithms
from tradewind.waiting import wait_for

CONNECT_TIMEOUT: Final = 20
# AES-GCM has hardware on both sides nearly everywhere, and needs no separate MAC.
_CIPHERS: Final = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes256-ctr"
# Length of sun_path in unix(7), with the closing zero.
_SOCKET_PATH_MAX: Final = 107


@dataclass(frozen=True, slots=True)
class ClientFiles:
    """A private folder: `ssh` is a wrapper that knows the key and the host's key."""

    folder: Path
    ssh: Path
    known_hosts: Path
    key: Path


@contextlib.contextmanager
def client_files(access: HostAccess) -> Iterator[ClientFiles]:
    """Lend the files which an OpenSSH client needs; they are gone afterwards.

    A host key that is pinned by its fingerprint is asked from the host and compared first:
    HostKeyError or ConnectionFailedError.
    """
    line = shell.resolve_host_key(access.host, access.port, access.host_key)
    with tempfile.TemporaryDirectory(prefix="tradewind-") as name:
        folder = Path(name)
        files = ClientFiles(folder, folder / "ssh", folder / "known_hosts", folder / "key")
        secret = access.private_key.get_secret_value().strip() + "\n"
        _write(files.key, secret, 0o600)
        # An alias instead of the name: no guessing how the client spells name, address and port.
        _write(files.known_hosts, f"{_ALIAS} {line}\n", 0o600)
        _write(files.ssh, _wrapper(files, PublicKey(*line.split())), 0o700)
        yield files


@contextlib.contextmanager
def forward_unix_socket(
    access: HostAccess, remote_socket: str, local_folder: Path
) -> Iterator[Path]:
    """Lend a local unix socket that leads to one on the host.

    ConnectionFailedError when the host's socket cannot be opened. The client ends with this
    process, even if that is killed: it runs `cat`, which ends when our end of the pipe does.
    """
    local = local_folder / f"{secrets.token_hex(6)}.sock"
    if len(os.fsencode(local)) > _SOCKET_PATH_MAX:
        raise OptionError(
            f"{local} is too long for a unix socket", "set TMPDIR to a folder with a short name"
        )
    with client_files(access) as files, (files.folder / "stderr").open("wb+") as said:
        client = subprocess.Popen(
            _forwarding(access, files, f"{local}:{remote_socket}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
        try:
            _wait_until_open(access, client, local, files.folder / "stderr")
            yield local
        finally:
            _end(client)
            local.unlink(missing_ok=True)


_ALIAS: Final = "tradewind-host"


def _write(path: Path, text: str, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _wrapper(files: ClientFiles, host_key: PublicKey) -> str:
    options = {
        "BatchMode": "yes",
        "CheckHostIP": "no",
        "Ciphers": _CIPHERS,
        "ConnectTimeout": str(CONNECT_TIMEOUT),
        "ControlMaster": "no",
        "GlobalKnownHostsFile": "/dev/null",
        "HostKeyAlgorithms": ",".join(algorithms(host_key.type)),
        "HostKeyAlias": _ALIAS,
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "LogLevel": "ERROR",
        "PreferredAuthentications": "publickey",
        "ServerAliveCountMax": "4",
        "ServerAliveInterval": "10",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "UserKnownHostsFile": str(files.known_hosts),
    }
    argv = ["ssh", "-F", "/dev/null", "-i", str(files.key)]
    for name, value in options.items():
        argv += ["-o", f"{name}={value}"]
    return f'#!/bin/sh\nexec {shlex.join(argv)} "$@"\n'


def _forwarding(access: HostAccess, files: ClientFiles, forward: str) -> list[str]:
    return [
        str(files.ssh),
        "-o", "ExitOnForwardFailure=yes",
        "-L", forward,
        "-p", str(access.port),
        "-l", access.username,
        "--", access.host, "cat",
    ]  # fmt: skip


def _wait_until_open(
    access: HostAccess, client: subprocess.Popen[bytes], local: Path, said: Path
) -> None:
    def opened() -> bool:
        if client.poll() is not None:
            _explain(access, said)
        return local.exists() and _greets(local)

    what = f"{access.host}:{access.port}: the tunnel to {local.name}"
    try:
        wait_for(opened, what, CONNECT_TIMEOUT + 5, every=0.05)
    except ConnectionRefusedError:
        _explain(access, said)


def _greets(local: Path) -> bool:
    """Whether the far socket takes a connection.

    The client accepts first and asks the host then: a socket which the host cannot open shows as
    a connection that ends at once. Servers that speak first (NBD does) answer the question soon.
    """
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(local))
        except (ConnectionRefusedError, FileNotFoundError):
            return False  # bound, not listening yet
        probe.settimeout(2)
        try:
            greeting = probe.recv(1)
        except TimeoutError:
            return True
        except ConnectionResetError:
            greeting = b""
    if not greeting:
        raise ConnectionRefusedError
    return True


def _explain(access: HostAccess, said: Path) -> None:
    """Raise why there is no tunnel: what SSH itself says of the host, else the client's words."""
    with shell.connect_to_host(access):
        words = " ".join(said.read_text(errors="replace").split())
    raise ConnectionFailedError(
        f"{access.host}:{access.port}: no tunnel to the socket: {words or 'the host closed it'}",
        "see that the socket exists, that the account may open it, and that the host's sshd "
        "allows AllowStreamLocalForwarding",
    )


def _end(client: subprocess.Popen[bytes]) -> None:
    client.terminate()
    try:
        client.wait(5)
    except subprocess.TimeoutExpired:
        client.kill()
        client.wait()
    if client.stdin is not None:
        client.stdin.close()
