# SPDX-License-Identifier: Apache-2.0
"""The OpenSSH client: the private files it needs, and its standard input and output as a socket."""

import os
import re
import shlex
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from tradewind.errors import OptionError
from tradewind.model.host import HostAccess
from tradewind.plain_text import plain
from tradewind.private_folders import private_folder
from tradewind.remote.handshake import resolve_host_key
from tradewind.remote.hostkey import PublicKey, algorithms

CONNECT_TIMEOUT: Final = 20
# AES-GCM has hardware on both sides nearly everywhere, and needs no separate MAC.
_CIPHERS: Final = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes256-ctr"
_ALIAS: Final = "tradewind-host"
# At this level, not at ERROR, a client says why it could not open a connection:
# "channel 2: open failed: connect failed: No route to host".
TALKATIVE: Final = "INFO"
_REFUSED: Final = re.compile(r"open failed: [^\r\n]+")
# Length of sun_path in unix(7), with the closing zero.
_SOCKET_PATH_MAX: Final = 107
# What a client says of its end is a line or two; a worker's own output may come with it.
_WORDS_LIMIT: Final = 2000
# What it may say in all, in ulimit's blocks of 512 bytes: it ends when it says more.
_SAID_BLOCKS: Final = 2048


@dataclass(frozen=True, slots=True)
class ClientFiles:
    """A private folder: `ssh` is a wrapper that knows the key and the host's key."""

    folder: Path
    ssh: Path
    known_hosts: Path
    key: Path


@contextmanager
def client_files(access: HostAccess, log_level: str = "ERROR") -> Iterator[ClientFiles]:
    """Lend the files which an OpenSSH client needs; they are gone afterwards.

    A host key that is pinned by its fingerprint is asked from the host and compared first:
    HostKeyError or ConnectionFailedError.
    """
    line = resolve_host_key(access.host, access.port, access.host_key)
    with private_folder() as folder:
        files = ClientFiles(folder, folder / "ssh", folder / "known_hosts", folder / "key")
        secret = access.private_key.get_secret_value().strip() + "\n"
        _write(files.key, secret, 0o600)
        # An alias instead of the name: no guessing how the client spells name, address and port.
        _write(files.known_hosts, f"{_ALIAS} {line}\n", 0o600)
        _write_program(files.ssh, _wrapper(files, PublicKey(*line.split()), log_level))
        yield files


def _write(path: Path, text: str, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _write_program(path: Path, text: str) -> None:
    """Let another process write what will be executed.

    A descriptor of ours that is open for writing would be copied into every process that another
    thread starts at this moment; until that one has executed its own program, executing this file
    fails: ETXTBSY, see execve(2).
    """
    writer = ["sh", "-c", 'umask 077 && cat >"$1" && chmod 700 "$1"', "sh", str(path)]
    subprocess.run(writer, input=text.encode(), check=True)


def _wrapper(files: ClientFiles, host_key: PublicKey, log_level: str) -> str:
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
        "LogLevel": log_level,
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
    # What the far end says on its standard error lands in a file of ours.
    return f'#!/bin/sh\nulimit -f {_SAID_BLOCKS}\nexec {shlex.join(argv)} "$@"\n'


@dataclass(frozen=True, slots=True)
class Stream:
    """A connected socket. `complaint` is what the client behind it said of its end, or ""."""

    connection: socket.socket
    client_error: Callable[[], str] = str


@contextmanager
def client_stream(argv: Sequence[str]) -> Iterator[Stream]:
    """Lend the input and output of an OpenSSH client as one socket; afterwards it has ended.

    When this process dies, however it dies, the socket closes, and the client ends by itself.
    """
    ours, its = socket.socketpair()
    with ours, its, started(argv, stdin=its.fileno(), stdout=its.fileno()) as client:
        its.close()
        yield Stream(ours, client.client_error)


def socket_path(folder: Path, name: str) -> Path:
    """Name a unix socket; OptionError when its folder's name leaves no room for it."""
    path = folder / name
    if len(os.fsencode(path)) > _SOCKET_PATH_MAX:
        raise OptionError(
            f"{path} is too long for a unix socket", "set TMPDIR to a folder with a short name"
        )
    return path


@dataclass(frozen=True, slots=True)
class Client:
    """A running OpenSSH client, and the file that receives what it says."""

    process: subprocess.Popen[bytes]
    said: IO[bytes]

    def has_ended(self) -> bool:
        """Whether it runs no more."""
        return self.process.poll() is not None

    def client_error(self) -> str:
        """Return what it said of a connection that it could not open, or of its end; or ""."""
        with suppress(ValueError):  # it was given back meanwhile, and the file with it
            if refused := _REFUSED.search(self._last_words()):
                return plain(refused[0])
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(1)  # its end of a socket closes an instant before it is gone
            if self.has_ended():
                words = plain(self._last_words(), _WORDS_LIMIT)
                return words or f"the SSH client ended with status {self.process.returncode}"
        return ""

    def _last_words(self) -> str:
        return last_words(self.said)


def last_words(said: IO[bytes]) -> str:
    """Read the end of what a client said, which may be going on."""
    # Not read(): the client writes at the offset that we would move. A banner comes first.
    begin = max(0, os.fstat(said.fileno()).st_size - _WORDS_LIMIT)
    return os.pread(said.fileno(), _WORDS_LIMIT, begin).decode(errors="replace")


@contextmanager
def started(argv: Sequence[str], *, stdin: int, stdout: int) -> Iterator[Client]:
    """Lend a client that runs; afterwards it has ended and is reaped."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            list(argv), stdin=stdin, stdout=stdout, stderr=said, start_new_session=True
        )
        try:
            yield Client(process, said)
        finally:
            end(process)


def end(client: subprocess.Popen[bytes]) -> None:
    """End a client and reap it."""
    client.terminate()
    try:
        client.wait(5)
    except subprocess.TimeoutExpired:
        client.kill()
        client.wait()
    if client.stdin is not None:
        client.stdin.close()
