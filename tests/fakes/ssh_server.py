# SPDX-License-Identifier: Apache-2.0
"""A real OpenSSH server on the loopback, with its own keys."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from tradewind.model.host import HostAccess

# The default exchange, sntrup761, takes a third of a connection's time, and RSA keys of 3072 bits
# most of the server's start; nothing here depends on either.
CONFIGURATION = """
Port {port}
KexAlgorithms -sntrup761*
ListenAddress 127.0.0.1
HostKey {folder}/host_ed25519
HostKey {folder}/host_rsa
AuthorizedKeysFile {folder}/authorized_keys
PidFile {folder}/sshd.pid
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
"""


@dataclass(frozen=True)
class Server:
    """Where the server listens and what belongs to it."""

    port: int
    folder: Path

    @property
    def key(self) -> SecretStr:
        return SecretStr((self.folder / "client").read_text())

    def host_key(self, kind: str = "ed25519") -> str:
        return " ".join((self.folder / f"host_{kind}.pub").read_text().split()[:2])

    def fingerprint(self, kind: str = "ed25519") -> str:
        listed = subprocess.run(
            ["ssh-keygen", "-lf", self.folder / f"host_{kind}.pub"],
            check=True,
            capture_output=True,
            text=True,
        )
        return listed.stdout.split()[1]

    def access(self, host_key: str | None = None) -> HostAccess:
        return HostAccess(
            host="127.0.0.1",
            port=self.port,
            username="root",
            private_key=self.key,
            host_key=host_key or self.host_key(),
        )


def keygen(path: Path, kind: str = "ed25519") -> None:
    bits = ["-b", "2048"] if kind == "rsa" else []
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *bits, "-N", "", "-f", path], check=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert isinstance(port, int)
    return port


def greets(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


@contextmanager
def running_sshd(folder: Path, more: str = "") -> Iterator[Server]:
    """Start a server whose files lie in `folder`; it has ended when the context is left.

    `more` is configuration on top of what every server here has.
    """
    keygen(folder / "host_ed25519")
    keygen(folder / "host_rsa", "rsa")
    for kind in ("ed25519", "ecdsa", "rsa"):
        keygen(folder / ("client" if kind == "ed25519" else f"client_{kind}"), kind)
    keygen(folder / "stranger")
    publics = [(folder / name).read_text() for name in ("client.pub", "client_ecdsa.pub")]
    publics.append((folder / "client_rsa.pub").read_text())
    (folder / "authorized_keys").write_text("".join(publics))
    port = free_port()
    (folder / "config").write_text(CONFIGURATION.format(port=port, folder=folder) + more + "\n")
    Path("/run/sshd").mkdir(exist_ok=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-e", "-f", folder / "config"], stderr=log
        )
    try:
        deadline = time.monotonic() + 10
        while not greets(port):
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        yield Server(port, folder)
    finally:
        process.terminate()
        process.wait(10)
