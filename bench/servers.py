# SPDX-License-Identifier: Apache-2.0
"""The far ends: our writer service, and qemu-nbd with mutual TLS for the peers."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import SecretStr

from bench.links import PORTS, OpenLink
from tradewind.model.host import HttpsAccess
from tradewind.streaming import writer_service
from tradewind.streaming.certificates import WriterCertificates, make_certificates
from tradewind.waiting import wait_for


@contextmanager
def writer(line: OpenLink, folder: Path, targets: Sequence[Path]) -> Iterator[HttpsAccess]:
    """Lend our service; the disks' serials are their numbers."""
    certificates = make_certificates(line.address, "bench")
    key = secrets.token_hex(32)
    config = {
        "address": line.address,
        "port": PORTS[0],
        "digest_key": key,
        "disks": {str(number): str(path) for number, path in enumerate(targets)},
        **_written(folder, certificates),
    }
    path = folder / "writer.json"
    path.write_text(json.dumps(config))
    argv = [*line.far, sys.executable, "-I", writer_service.__file__, str(path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it was asked for
            process.stdout.readline()
            yield HttpsAccess(
                address=line.address,
                port=line.reached_at(PORTS[0]),
                ca_certificate=certificates.ca_certificate,
                client_certificate=certificates.client_certificate,
                client_key=certificates.client_key,
                digest_key=SecretStr(key),
            )
        finally:
            process.terminate()


@contextmanager
def nbd(line: OpenLink, folder: Path, targets: Sequence[Path]) -> Iterator[list[int]]:
    """Lend one qemu-nbd for each target, and the ports at which they are reached."""
    certificates = make_certificates(line.address, "bench")
    _write(
        folder,
        {
            "ca-cert.pem": certificates.ca_certificate,
            "server-cert.pem": certificates.server_certificate,
            "server-key.pem": certificates.server_key.get_secret_value(),
            "client-cert.pem": certificates.client_certificate,
            "client-key.pem": certificates.client_key.get_secret_value(),
        },
    )
    with ExitStack() as stack:
        for port, target in zip(PORTS, targets, strict=False):
            stack.enter_context(_qemu_nbd(line, folder, target, port))
        yield [line.reached_at(port) for port in PORTS[: len(targets)]]


@contextmanager
def _qemu_nbd(line: OpenLink, folder: Path, target: Path, port: int) -> Iterator[None]:
    pid_file = folder / f"{port}.pid"
    pid_file.unlink(missing_ok=True)
    argv = [
        *line.far, "qemu-nbd", "--persistent", "--shared=0", "--format=raw", "--cache=writeback",
        f"--object=tls-creds-x509,id=tls,endpoint=server,dir={folder},verify-peer=on",
        "--tls-creds=tls", f"--bind={line.address}", f"--port={port}", f"--pid-file={pid_file}",
        str(target),
    ]  # fmt: skip
    with subprocess.Popen(argv) as process:
        try:
            wait_for(pid_file.exists, "qemu-nbd with TLS", 30, every=0.05)
            yield
        finally:
            process.terminate()


def _written(folder: Path, certificates: WriterCertificates) -> dict[str, str]:
    texts = {
        "certificate": certificates.server_certificate,
        "key": certificates.server_key.get_secret_value(),
        "ca": certificates.ca_certificate,
    }
    _write(folder, texts)
    return {name: str(folder / name) for name in texts}


def _write(folder: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        (folder / name).write_text(text)
