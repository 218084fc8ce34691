# SPDX-License-Identifier: Apache-2.0
"""The route to a worker: directly, or through the SSH connection to its host."""

import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tradewind.errors import AccessRefusedError, ConnectionFailedError, LateError
from tradewind.model.host import HostAccess, WorkerAccess
from tradewind.remote.client import (
    CONNECT_TIMEOUT,
    TALKATIVE,
    Client,
    Stream,
    client_files,
    client_stream,
    socket_path,
    started,
)
from tradewind.remote.handshake import directly, resolve_host_key
from tradewind.waiting import wait_for

# ssh_config(5), ProxyUseFdpass: so no process stands between the client and the socket.
_HAND_OVER: Final = (
    "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
    "socket.send_fds(socket.socket(fileno=1), [b'.'], [s.fileno()])"
)


# A worker that is gone says nothing: half a minute without an acknowledgement is its death.
_SILENCE_SECONDS: Final = 30
_TCP_OPTIONS: Final = (
    (socket.TCP_NODELAY, 1),
    (socket.TCP_KEEPIDLE, 10),
    (socket.TCP_KEEPINTVL, 5),
    (socket.TCP_KEEPCNT, 4),
    (socket.TCP_USER_TIMEOUT, _SILENCE_SECONDS * 1000),
)


def _notice_death(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _TCP_OPTIONS:
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


@dataclass(frozen=True, slots=True)
class Route:
    """Opens connections to workers; `via` is the host that they go through, if any."""

    via: HostAccess | None = None

    @contextmanager
    def connect_tcp(self, address: str, port: int, timeout: float) -> Iterator[socket.socket]:
        """Lend a connection for an SSH handshake (a `handshake.Dial`).

        When it breaks, ConnectionFailedError says what the host's side of it said.
        """
        if self.via is None:
            with directly(address, port, timeout) as connection:
                yield connection
            return
        with self.stream(address, port, timeout) as stream:
            try:
                yield stream.connection
            except AccessRefusedError:
                raise
            except ConnectionFailedError as error:
                if words := stream.client_error():
                    raise unreachable(f"{address}:{port}", self.via, words) from error
                raise

    @contextmanager
    def stream(self, address: str, port: int, timeout: float) -> Iterator[Stream]:
        """Lend a connection to a TCP port; `timeout` is also that of its reads and writes.

        OSError when it cannot be made directly, ConnectionFailedError when the host cannot be
        reached. Beyond the host a connection that leads nowhere ends at the first read; its
        complaint says why.
        """
        if self.via is None:
            patience = min(timeout, CONNECT_TIMEOUT)
            with closing(socket.create_connection((address, port), patience)) as connection:
                connection.settimeout(timeout)
                _notice_death(connection)
                yield Stream(connection)
            return
        with (
            forwarded(self.via, f"[{address}]:{port}") as (local, client),
            socket.socket(socket.AF_UNIX) as connection,
        ):
            connection.settimeout(timeout)
            connection.connect(str(local))
            yield Stream(connection, client.client_error)

    @contextmanager
    def command(self, login: HostAccess, argv: Sequence[str], timeout: float) -> Iterator[Stream]:
        """Lend the input and output of a command on a worker, over a connection of its own."""
        with ExitStack() as stack:
            files = stack.enter_context(client_files(login, TALKATIVE))
            ssh = [str(files.ssh), "-T", "-p", str(login.port), "-l", login.username]
            said: Callable[[], str] = str
            if self.via is not None:
                route = forwarded(self.via, f"[{login.host}]:{login.port}")
                local, client = stack.enter_context(route)
                ssh += _over(local)
                said = client.client_error
            ssh += ["--", login.host, shlex.join(argv)]
            stream = stack.enter_context(client_stream(ssh))
            stream.connection.settimeout(timeout)
            yield Stream(stream.connection, lambda: said() or stream.client_error())


DIRECT: Final = Route()


def route_to_workers(access: HostAccess) -> Route:
    """Choose the route to the workers on a host.

    A host key that is pinned by its fingerprint is asked for here, once, and not again for each
    connection: HostKeyError, ConnectionFailedError.
    """
    if access.worker_access is WorkerAccess.DIRECT:
        return DIRECT
    line = resolve_host_key(access.host, access.port, access.host_key)
    return Route(access.model_copy(update={"host_key": line}))


@contextmanager
def forwarded(access: HostAccess, target: str) -> Iterator[tuple[Path, Client]]:
    """Lend a private unix socket that leads to `target`, "host:port" as the host reaches it.

    Not `ssh -W`: sshd switches Nagle's algorithm off only when a session is opened. Without one
    the short answer to a long request waited for a delayed ACK, 40 ms each (OpenSSH 9.2). The
    session is a `cat`, which ends with us, however we die. ConnectionFailedError.
    """
    with client_files(access, TALKATIVE) as files:
        local = socket_path(files.folder, "route")
        argv = [
            str(files.ssh), "-o", "ExitOnForwardFailure=yes", "-L", f"{local}:{target}",
            "-p", str(access.port), "-l", access.username, "--", access.host, "cat",
        ]  # fmt: skip
        with started(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as client:
            _wait_until_open(local, client, target, access)
            yield local, client


def _wait_until_open(local: Path, client: Client, target: str, access: HostAccess) -> None:
    try:
        wait_for(
            lambda: client.has_ended() or _listening(local),
            f"the route to {target}",
            CONNECT_TIMEOUT + 5,
            every=0.02,
        )
    except LateError as error:
        raise unreachable(target, access, error.message) from None
    if client.has_ended():
        raise unreachable(target, access, client.client_error())


def _listening(local: Path) -> bool:
    """Whether the socket takes connections; it is there an instant earlier.

    Asked of the kernel (proc_pid_net(5), flag __SO_ACCEPTCON): a connection to find out would go
    on to the worker.
    """
    lines = (line.split() for line in Path("/proc/net/unix").read_text().splitlines())
    return any(words[3] == "00010000" and words[-1] == str(local) for words in lines)


def unreachable(target: str, via: HostAccess, words: str) -> ConnectionFailedError:
    """Say that a connection through a host came to nothing, and what the client said of it."""
    return ConnectionFailedError(
        f"{target} cannot be reached through {via.host}: {words}",
        "see that the worker runs, and that the host's sshd allows AllowTcpForwarding",
    )


def _over(local: Path) -> list[str]:
    """Let a client talk over a unix socket: a program hands it the connected descriptor."""
    command = shlex.join([sys.executable, "-I", "-c", _HAND_OVER, str(local)])
    return ["-o", "ProxyUseFdpass=yes", "-o", f"ProxyCommand={command.replace('%', '%%')}"]
