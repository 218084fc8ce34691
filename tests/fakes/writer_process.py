# SPDX-License-Identifier: Apache-2.0
"""The real writer service as a process on the loopback, with files as its devices."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from tests.fakes.ssh_server import Server
from tradewind.model.host import HostAccess, HttpsAccess, SshAccess, Worker
from tradewind.model.run import Purpose
from tradewind.streaming import writer_service
from tradewind.streaming.certificates import WriterCertificates, make_certificates

ADDRESS = "127.0.0.1"
DIGEST_KEY = bytes(range(100, 132))


@dataclass(frozen=True, slots=True)
class WriterProcess:
    """A running service: how to reach it, with which certificates it was started, its pid."""

    access: HttpsAccess
    certificates: WriterCertificates
    pid: int


def access_with(certificates: WriterCertificates, port: int) -> HttpsAccess:
    """Say how to reach a service on the loopback."""
    return HttpsAccess(
        address=ADDRESS,
        port=port,
        ca_certificate=certificates.ca_certificate,
        client_certificate=certificates.client_certificate,
        client_key=certificates.client_key,
        digest_key=SecretStr(DIGEST_KEY.hex()),
    )


def ssh_access(server: Server, folder: Path, disks: Mapping[str, Path]) -> SshAccess:
    """Say how to reach the service through an SSH server on the loopback."""
    config = folder / "stdio.json"
    paths = {name: str(path) for name, path in disks.items()}
    config.write_text(json.dumps({"disks": paths, "digest_key": DIGEST_KEY.hex()}))
    program = (sys.executable, "-I", writer_service.__file__)
    return SshAccess(
        worker=worker_at(server),
        command=(*program, "--stdio", str(config)),
        digest_key=SecretStr(DIGEST_KEY.hex()),
    )


def worker_at(server: Server, via: HostAccess | None = None) -> Worker:
    """Take an SSH server on the loopback for a worker."""
    login = server.access()
    return Worker(
        domain="worker",
        address=login.host,
        port=login.port,
        username=login.username,
        private_key=login.private_key,
        host_key=login.host_key,
        purpose=Purpose.TRANSFER,
        run_id="run",
        seconds_to_ssh=1,
        via=via,
    )


# The service with another of its constants; started so, it does not start itself again for ciphers.
_CHANGED = """\
import runpy, sys
service = runpy.run_path(sys.argv[1])
service["main"].__globals__.update(HANDSHAKE_TIMEOUT=float(sys.argv[2]))
service["main"]()
"""


@contextmanager
def running_writer(
    folder: Path,
    disks: Mapping[str, Path],
    *,
    files: int | None = None,
    handshake_timeout: float | None = None,
    certificates: WriterCertificates | None = None,
    port: int = 0,
) -> Iterator[WriterProcess]:
    """Start the service for these disks; it has ended when the context is left.

    `files` is how many descriptors it may have.
    """
    certificates = certificates or make_certificates(ADDRESS, "test")
    argv = [sys.executable, "-I"]
    if handshake_timeout is None:
        argv += [writer_service.__file__]
    else:
        argv += ["-c", _CHANGED, writer_service.__file__, str(handshake_timeout)]
    limited = [] if files is None else ["prlimit", f"--nofile={files}", "--"]
    with subprocess.Popen(
        [*limited, *argv, str(_write_config(folder, certificates, disks, port))],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TRADEWIND_CIPHERS": writer_service.CIPHERS}
        if handshake_timeout
        else None,
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().split()[-1])
            yield WriterProcess(access_with(certificates, port), certificates, process.pid)
        finally:
            process.terminate()


def _write_config(
    folder: Path, certificates: WriterCertificates, disks: Mapping[str, Path], port: int
) -> Path:
    texts = {
        "certificate": certificates.server_certificate,
        "key": certificates.server_key.get_secret_value(),
        "ca": certificates.ca_certificate,
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    config = folder / "writer.json"
    config.write_text(
        json.dumps(
            {
                "address": ADDRESS,
                "port": port,
                "digest_key": DIGEST_KEY.hex(),
                "disks": {k: str(v) for k, v in disks.items()},
            }
            | {name: str(folder / name) for name in texts}
        )
    )
    return config
