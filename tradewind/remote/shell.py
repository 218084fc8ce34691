# SPDX-License-Identifier: Apache-2.0
"""A shell on a host or in a worker, over one SSH connection."""

import contextlib
import math
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import paramiko
from pydantic import SecretStr

from tradewind.errors import (
    AccessRefusedError,
    ConnectionFailedError,
    LateError,
    RemoteCommandError,
)
from tradewind.model.host import HostAccess, Worker
from tradewind.plain_text import plain
from tradewind.ports import Completed
from tradewind.remote.handshake import (
    answers,
    offered_host_key,
    offered_host_keys,
    proven,
)
from tradewind.remote.keys import login_key
from tradewind.remote.route import DIRECT, Route
from tradewind.shell_programs import program
from tradewind.units import KiB, MiB

__all__ = [
    "Shell",
    "connect",
    "connect_to_host",
    "connect_to_worker",
    "offered_host_key",
    "offered_host_keys",
    "probe",
]

_TIMEOUT: Final = 30
# More than any command we run has to say; a hostile guest cannot fill the controller's memory.
MAX_OUTPUT: Final = 32 * MiB
# Seconds a command has to end after SIGTERM, and that we wait longer than the far side does.
_KILL_AFTER: Final = 5
_GRACE: Final = 15
_PIECE: Final = 32 * 1024
_TAIL_LINES: Final = 12

# Who asks for a connection, for the far side's log; and its refusal (RFC 4254, section 5.1).
_ORIGIN: Final = ("127.0.0.1", 0)
_PROHIBITED: Final = 1

_WRITE: Final = program(__file__, "write.sh")


@contextlib.contextmanager
def connect(
    address: str,
    port: int,
    username: str,
    private_key: SecretStr,
    host_key: str,
    timeout: float = _TIMEOUT,
) -> Iterator["Shell"]:
    """Lend a shell; `private_key` is the key's text and never leaves memory.

    `host_key` is pinned: a known_hosts line, its "type base64" part, or "SHA256:…". Raises
    HostKeyError, ConnectionFailedError (unreachable within `timeout` seconds), AccessRefusedError
    (the host does not accept the account or the key) or KeyMaterialError.
    """
    access = HostAccess(
        host=address, port=port, username=username, private_key=private_key, host_key=host_key
    )
    with _logged_in(access, timeout, DIRECT) as shell:
        yield shell


@contextlib.contextmanager
def _logged_in(access: HostAccess, timeout: float, route: Route) -> Iterator["Shell"]:
    key = login_key(access.private_key)
    with proven(access.host, access.port, access.host_key, timeout, route.connect_tcp) as transport:
        where = f"{access.username}@{access.host}:{access.port}"
        transport.auth_timeout = timeout
        try:
            transport.auth_publickey(access.username, key)
        except paramiko.AuthenticationException as error:
            raise _refused(where, key, error) from None
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise ConnectionFailedError(f"{where}: lost while logging in: {error}") from None
        yield Shell(transport, where)


def probe(
    address: str, port: int, host_key: str, timeout: float = 5, route: Route = DIRECT
) -> bool:
    """Whether an SSH server with the pinned key answers there within `timeout` seconds.

    False for anything else that may be there: nothing, no SSH server, one with another key.
    """
    return answers(address, port, host_key, timeout, route.connect_tcp)


class Shell:
    """Commands over one connection, as the account it was opened for; satisfies `ports.Remote`."""

    def __init__(self, transport: paramiko.Transport, where: str) -> None:
        self._transport = transport
        self._where = where

    def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60, check: bool = True
    ) -> Completed:
        """Run a command; both outputs are drained while it runs.

        After `timeout` seconds it is killed on the far side (a closed channel alone would leave
        it running there): LateError. Outputs are decoded as UTF-8 with surrogateescape, so that
        text in another encoding can be written back unchanged.
        """
        limit = math.ceil(timeout)
        command = shlex.join(["timeout", "-k", str(_KILL_AFTER), str(limit), *argv])
        started = time.monotonic()
        with self._channel(argv, timeout) as channel:
            talk = _RunningCommand(channel, stdin, limit + _GRACE)
            status = talk.wait(command)
        late = time.monotonic() - started >= timeout
        if status is None or (late and status in {124, 137}):
            raise LateError(f"{self._where}: `{_short(argv)}` did not end within {timeout:.0f} s")
        completed = Completed(tuple(argv), status, talk.stdout, talk.stderr)
        self._judge(completed, check=check)
        return completed

    def write(self, path: str, content: bytes, mode: int = 0o600) -> None:
        """Put a file there in one move: a reader sees the old file or the whole new one."""
        self.run(["sh", "-c", _WRITE, "sh", path, f"{mode:o}"], stdin=content)

    def reaches(self, address: str, port: int, timeout: float = 1) -> bool:
        """Whether a TCP port answers when it is tried from there."""
        target = (address, port)
        try:
            self._transport.open_channel("direct-tcpip", target, _ORIGIN, timeout=timeout).close()
        except (paramiko.SSHException, EOFError, OSError):
            return False
        return True

    def forwards(self) -> bool:
        """Whether the SSH server opens connections for us, wherever they lead."""
        try:
            self._transport.open_channel(
                "direct-tcpip", ("127.0.0.1", 22), _ORIGIN, timeout=_TIMEOUT
            ).close()
        except paramiko.ChannelException as error:
            return error.code != _PROHIBITED
        except (paramiko.SSHException, EOFError, OSError):
            return False
        return True

    @contextlib.contextmanager
    def _channel(self, argv: Sequence[str], timeout: float) -> Iterator[paramiko.Channel]:
        try:
            with self._transport.open_session(timeout=min(timeout, 60)) as channel:
                yield channel
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise ConnectionFailedError(
                f"{self._where}: the connection broke at `{_short(argv)}`: {error or 'closed'}"
            ) from None

    def _judge(self, completed: Completed, *, check: bool) -> None:
        if completed.status < 0 and not self._transport.is_active():
            raise ConnectionFailedError(
                f"{self._where}: the connection broke while `{_short(completed.argv)}` ran"
            )
        if not check or completed.status == 0:
            return
        how = f"status {completed.status}" if completed.status >= 0 else "a signal"
        said = _tail(completed.stderr) or _tail(completed.stdout) or "(it said nothing)"
        raise RemoteCommandError(
            f"{self._where}: `{_short(completed.argv)}` ended with {how}:\n{said}"
        )


class _RunningCommand:
    """One command: feeds its input and drains both outputs at once, until it ends or is late."""

    def __init__(self, channel: paramiko.Channel, stdin: bytes, timeout: float) -> None:
        self._channel = channel
        self._stdin = stdin
        self._deadline = time.monotonic() + timeout
        self._stdout = bytearray()
        self._stderr = bytearray()

    @property
    def stdout(self) -> str:
        return self._stdout.decode(errors="surrogateescape")

    @property
    def stderr(self) -> str:
        return self._stderr.decode(errors="surrogateescape")

    def wait(self, command: str) -> int | None:
        """Return the command's status; None when it did not end in time."""
        self._channel.settimeout(None)
        self._channel.exec_command(command)
        threads = [
            threading.Thread(target=work, daemon=True)
            for work in (
                self._feed,
                lambda: self._drain(self._channel.recv, self._stdout),
                lambda: self._drain(self._channel.recv_stderr, self._stderr),
            )
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0, self._deadline - time.monotonic()))
        remaining = max(0, self._deadline - time.monotonic())
        if any(t.is_alive() for t in threads) or not self._channel.status_event.wait(remaining):
            return None
        self._refuse_floods(command)
        return self._channel.exit_status

    def _refuse_floods(self, command: str) -> None:
        if max(len(self._stdout), len(self._stderr)) > MAX_OUTPUT:
            raise RemoteCommandError(
                f"`{command[:200]}` printed more than {MAX_OUTPUT // MiB} MiB; it was stopped"
            )

    def _feed(self) -> None:
        # Small pieces: on one large object paramiko copies the rest at every packet.
        with contextlib.suppress(OSError):
            for start in range(0, len(self._stdin), _PIECE):
                self._channel.sendall(self._stdin[start : start + _PIECE])
        with contextlib.suppress(OSError):
            self._channel.shutdown_write()

    def _drain(self, receive: Callable[[int], bytes], into: bytearray) -> None:
        with contextlib.suppress(OSError):
            while piece := receive(_PIECE):
                into += piece
                if len(into) > MAX_OUTPUT:
                    self._channel.close()
                    return


def _refused(
    where: str, key: paramiko.PKey, error: paramiko.AuthenticationException
) -> AccessRefusedError:
    if isinstance(error, paramiko.BadAuthenticationType):
        return AccessRefusedError(
            f"{where}: the host does not accept public keys, only"
            f" {plain(', '.join(error.allowed_types))}",
            "allow PubkeyAuthentication in its sshd_config",
        )
    return AccessRefusedError(
        f"{where}: the host refuses the key {key.fingerprint}",
        "add its public half to the account's authorized_keys on the host, and see that the "
        "account is not locked",
    )


def _short(argv: Sequence[str]) -> str:
    text = " ".join(shlex.join(argv).split())
    return text if len(text) <= 160 else text[:157] + "…"


def _tail(text: str) -> str:
    lines = text.encode(errors="replace").decode().strip().splitlines()
    return "\n".join("    " + plain(line[:KiB], 400) for line in lines[-_TAIL_LINES:])


def connect_to_worker(worker: Worker) -> contextlib.AbstractContextManager[Shell]:
    """Lend a root shell in a worker, over the route that leads to it."""
    return _logged_in(worker.login, _TIMEOUT, Route(worker.via))


def connect_to_host(access: HostAccess) -> contextlib.AbstractContextManager[Shell]:
    """Lend a shell on a host, with the rights of its account."""
    return _logged_in(access, _TIMEOUT, DIRECT)
