# SPDX-License-Identifier: Apache-2.0
"""Unix sockets and ports of a host, through the OpenSSH client.

paramiko cannot forward to a unix socket (`direct-streamlocal@openssh.com`).
"""

import contextlib
import secrets
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tradewind.errors import ConnectionFailedError
from tradewind.model.host import HostAccess
from tradewind.plain_text import plain
from tradewind.remote import shell
from tradewind.remote.client import (
    CONNECT_TIMEOUT,
    ClientFiles,
    client_files,
    end,
    last_words,
    socket_path,
)
from tradewind.units import KiB
from tradewind.waiting import wait_for


@contextlib.contextmanager
def forward(access: HostAccess, far: str, local_folder: Path) -> Iterator[Path]:
    """Lend a local unix socket that leads to `far` on the host: a socket's path, or "name:port".

    ConnectionFailedError when it cannot be opened. The client ends with this
    process, even if that is killed: it runs `cat`, which ends when our end of the pipe does.
    """
    local = socket_path(local_folder, f"{secrets.token_hex(6)}.sock")
    with client_files(access) as files, (files.folder / "stderr").open("wb+") as said:
        client = subprocess.Popen(
            _forwarding(access, files, f"{local}:{far}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
        try:
            _wait_until_open(access, client, local, said, far)
            yield local
        finally:
            end(client)
            local.unlink(missing_ok=True)


def _forwarding(access: HostAccess, files: ClientFiles, ends: str) -> list[str]:
    return [
        str(files.ssh),
        "-o", "ExitOnForwardFailure=yes",
        "-L", ends,
        "-p", str(access.port),
        "-l", access.username,
        "--", access.host, "cat",
    ]  # fmt: skip


def _wait_until_open(
    access: HostAccess, client: subprocess.Popen[bytes], local: Path, said: IO[bytes], far: str
) -> None:
    def opened() -> bool:
        if client.poll() is not None:
            _explain(access, said, far)
        return local.exists() and _greets(local)

    what = f"{access.host}:{access.port}: the tunnel to {local.name}"
    try:
        wait_for(opened, what, CONNECT_TIMEOUT + 5, every=0.05)
    except ConnectionRefusedError:
        _explain(access, said, far)


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


def _explain(access: HostAccess, said: IO[bytes], far: str) -> None:
    """Raise why there is no tunnel: what SSH itself says of the host, else the client's words."""
    with shell.connect_to_host(access):
        words = plain(last_words(said), KiB)
    option = "AllowStreamLocalForwarding" if far.startswith("/") else "AllowTcpForwarding"
    raise ConnectionFailedError(
        f"{access.host}:{access.port}: no tunnel to {far}: {words or 'the host closed it'}",
        f"set {option} yes in the host's sshd_config; if it is set, see that the account may open"
        f" {far}",
    )
