# SPDX-License-Identifier: Apache-2.0
"""Unix sockets of a host, through the OpenSSH client.

paramiko cannot forward to a unix socket (`direct-streamlocal@openssh.com`).
"""

import contextlib
import secrets
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tradewind.errors import ConnectionFailedError
from tradewind.model.host import HostAccess
from tradewind.remote import shell
from tradewind.remote.client import CONNECT_TIMEOUT, ClientFiles, client_files, end, socket_path
from tradewind.waiting import wait_for


@contextlib.contextmanager
def forward_unix_socket(
    access: HostAccess, remote_socket: str, local_folder: Path
) -> Iterator[Path]:
    """Lend a local unix socket that leads to one on the host.

    ConnectionFailedError when the host's socket cannot be opened. The client ends with this
    process, even if that is killed: it runs `cat`, which ends when our end of the pipe does.
    """
    local = socket_path(local_folder, f"{secrets.token_hex(6)}.sock")
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
            end(client)
            local.unlink(missing_ok=True)


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
