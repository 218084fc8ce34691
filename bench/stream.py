# SPDX-License-Identifier: Apache-2.0
"""Our mover beside nbdcopy: the same random data, over TLS on the loopback, in turns.

Usage: python -m bench.stream [MiB] [rounds]

Both read from the same qemu-nbd. nbdcopy writes to a second qemu-nbd (mutual TLS), ours to the
writer service. nbdcopy proves nothing, so ours is printed twice: until everything was sent, and
until it was flushed, read back and proven.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.fakes.writer_process import ADDRESS, running_writer
from tradewind.model.progress import DiskProgress
from tradewind.model.worker import WriterAccess
from tradewind.ports import DiskWriter
from tradewind.sources import nbd, qemu_nbd
from tradewind.streaming.certificates import WriterCertificates, make_certificates
from tradewind.streaming.copy import CopyJob, copy_disk
from tradewind.streaming.https_writer import HttpsWriter, open_writer
from tradewind.units import MiB
from tradewind.waiting import wait_for


@dataclass(frozen=True, slots=True)
class Rates:
    """MiB/s of one round."""

    nbdcopy: float
    sent: float
    proven: float


class TimedWriter(HttpsWriter):
    """A writer that notes when it had sent everything."""

    sent_at = 0.0

    def flush(self) -> None:
        """Stop the clock of all lanes, then flush."""
        TimedWriter.sent_at = time.monotonic()
        super().flush()


def ours(source: Path, size: int, access: WriterAccess) -> tuple[float, float]:
    """Move the disk; seconds until it was sent, and until it was proven."""

    def timed_writer() -> DiskWriter:
        writer = open_writer(access, "disk")
        writer.__class__ = TimedWriter
        return writer

    job = CopyJob(
        disk_id="disk",
        capacity=size,
        blank=True,
        extents=partial(nbd.extents, source, "", size),
        open_reader=partial(nbd.open_reader, source),
        open_writer=timed_writer,
    )
    started = time.monotonic()
    copy_disk(job, threading.Event(), _quiet)
    return TimedWriter.sent_at - started, time.monotonic() - started


def theirs(source: Path, port: int, credentials: Path) -> float:
    """Let nbdcopy move the disk and flush it; seconds."""
    target = f"nbds://{ADDRESS}:{port}?tls-certificates={credentials}"
    started = time.monotonic()
    argv = ["nbdcopy", "--flush", f"nbd+unix:///?socket={source}", target]
    subprocess.run(argv, check=True, timeout=600)
    return time.monotonic() - started


@contextmanager
def tls_target(folder: Path, path: Path) -> Iterator[int]:
    """Serve a file for writing over NBD with mutual TLS; yields the port."""
    credentials = _credentials(folder, make_certificates(ADDRESS, "bench"))
    with socket.create_server((ADDRESS, 0)) as free:
        port: int = free.getsockname()[1]
    pid_file = folder / "target.pid"
    argv = [
        "qemu-nbd", "--persistent", "--shared=0", "--format=raw", "--cache=writeback",
        f"--object=tls-creds-x509,id=tls,endpoint=server,dir={credentials},verify-peer=on",
        "--tls-creds=tls", f"--bind={ADDRESS}", f"--port={port}", f"--pid-file={pid_file}",
        str(path),
    ]  # fmt: skip
    with subprocess.Popen(argv) as process:
        try:
            wait_for(pid_file.exists, "qemu-nbd with TLS", 30, every=0.05)
            yield port
        finally:
            process.terminate()


def _credentials(folder: Path, certificates: WriterCertificates) -> Path:
    texts = {
        "ca-cert.pem": certificates.ca_certificate,
        "server-cert.pem": certificates.server_certificate,
        "server-key.pem": certificates.server_key.get_secret_value(),
        "client-cert.pem": certificates.client_certificate,
        "client-key.pem": certificates.client_key.get_secret_value(),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return folder


def _blank(path: Path, size: int) -> Path:
    path.unlink(missing_ok=True)
    path.touch()
    os.truncate(path, size)
    return path


def _quiet(_: DiskProgress) -> None:
    return


def round_of(folder: Path, source: Path, size: int) -> Rates:
    """Move the data once by each, to a new file."""
    target = _blank(folder / "target", size)
    with tls_target(folder, target) as port:
        seconds = theirs(source, port, folder)
    target = _blank(folder / "target", size)
    with running_writer(folder, {"disk": target}) as service:
        sent, proven = ours(source, size, service.access)
    (folder / "target.pid").unlink(missing_ok=True)
    return Rates(*(size / MiB / each for each in (seconds, sent, proven)))


def main(mebibytes: int = 512, rounds: int = 3) -> None:
    """Print the medians and their ratios."""
    size = mebibytes * MiB
    with tempfile.TemporaryDirectory(prefix="tradewind-bench-", dir="/dev/shm") as name:
        folder = Path(name)
        image = folder / "source.raw"
        with image.open("wb") as file:
            for _ in range(mebibytes):
                file.write(os.urandom(MiB))
        with qemu_nbd.served(image, "raw", folder, "source") as source:
            found = [round_of(folder, source, size) for _ in range(rounds)]
    nbdcopy, sent, proven = (
        statistics.median(getattr(each, name) for each in found)
        for name in ("nbdcopy", "sent", "proven")
    )
    print(f"{mebibytes} MiB of random data, {rounds} rounds, medians")
    print(f"nbdcopy, TLS, sent and flushed        {nbdcopy:7.0f} MiB/s   1.00")
    print(f"tradewind, mutual TLS, sent           {sent:7.0f} MiB/s   {sent / nbdcopy:.2f}")
    print(f"tradewind, flushed, read back, proven {proven:7.0f} MiB/s   {proven / nbdcopy:.2f}")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
