# SPDX-License-Identifier: Apache-2.0
"""The real writer service as a process on the loopback, with files as its devices."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tradewind.model.worker import WriterAccess
from tradewind.streaming import writer_service
from tradewind.streaming.certificates import WriterCertificates, make_certificates

ADDRESS = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class WriterProcess:
    """A running service: how to reach it, with which certificates it was started, its pid."""

    access: WriterAccess
    certificates: WriterCertificates
    pid: int


def access_with(certificates: WriterCertificates, port: int) -> WriterAccess:
    """Say how to reach a service on the loopback."""
    return WriterAccess(
        address=ADDRESS,
        port=port,
        ca_certificate=certificates.ca_certificate,
        client_certificate=certificates.client_certificate,
        client_key=certificates.client_key,
    )


@contextmanager
def running_writer(folder: Path, disks: Mapping[str, Path]) -> Iterator[WriterProcess]:
    """Start the service for these disks; it has ended when the context is left."""
    certificates = make_certificates(ADDRESS, "test")
    with subprocess.Popen(
        [sys.executable, "-I", writer_service.__file__, _write_config(folder, certificates, disks)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().split()[-1])
            yield WriterProcess(access_with(certificates, port), certificates, process.pid)
        finally:
            process.terminate()


def _write_config(
    folder: Path, certificates: WriterCertificates, disks: Mapping[str, Path]
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
            {"address": ADDRESS, "port": 0, "disks": {k: str(v) for k, v in disks.items()}}
            | {name: str(folder / name) for name in texts}
        )
    )
    return config
