# SPDX-License-Identifier: Apache-2.0
"""Start the writer service in a worker, and learn how to reach it."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tradewind.errors import RemoteCommandError, StreamError
from tradewind.model.storage import ReplicaVolume
from tradewind.model.worker import Worker, WriterAccess
from tradewind.ports import Remote
from tradewind.streaming import writer_service
from tradewind.streaming.certificates import make_certificates
from tradewind.waiting import wait_for

PORT: Final = 8677
FOLDER: Final = "/run/tradewind"
UNIT: Final = "tradewind-writer"

# A retried step finds the unit of the attempt before it.
_START: Final = """\
set -e
umask 077
mkdir -p "$1"
tar -x -C "$1"
systemctl stop "$2" 2>/dev/null || true
systemctl reset-failed "$2" 2>/dev/null || true
exec systemd-run --quiet --unit="$2" --service-type=notify --property=NotifyAccess=main \
    python3 -I "$1/writer_service.py" "$1/config.json"
"""

# Seconds until a hot-attached disk has its name under /dev/disk/by-id, under emulation.
DEVICE_TIMEOUT: Final = 30
START_TIMEOUT: Final = 60


def device(serial: str) -> str:
    """Name a disk inside the worker; never by its order."""
    return f"/dev/disk/by-id/virtio-{serial}"


def wait_for_devices(remote: Remote, volumes: Sequence[ReplicaVolume]) -> None:
    """Return when every attached volume has shown up in the worker."""
    paths = [device(volume.serial) for volume in volumes]
    wait_for(
        lambda: not remote.run(["ls", *paths], check=False).status,
        f"the worker sees its disks ({', '.join(volume.serial for volume in volumes)})",
        DEVICE_TIMEOUT,
        hint="the worker did not notice the hot-plug: see that its image has a running udev",
    )


def start_writer(remote: Remote, worker: Worker, volumes: Sequence[ReplicaVolume]) -> WriterAccess:
    """Install and start the service, with certificates made for this worker only."""
    wait_for_devices(remote, volumes)
    certificates = make_certificates(worker.address, worker.domain)
    disks = {volume.serial: device(volume.serial) for volume in volumes}
    config = {
        "address": worker.address,
        "port": PORT,
        "certificate": f"{FOLDER}/server.pem",
        "key": f"{FOLDER}/server.key",
        "ca": f"{FOLDER}/ca.pem",
        "disks": disks,
    }
    files = {
        "server.pem": certificates.server_certificate,
        "server.key": certificates.server_key.get_secret_value(),
        "ca.pem": certificates.ca_certificate,
        "config.json": json.dumps(config),
        "writer_service.py": Path(writer_service.__file__).read_text(),
    }
    _start(remote, files)
    return WriterAccess(
        address=worker.address,
        port=PORT,
        ca_certificate=certificates.ca_certificate,
        client_certificate=certificates.client_certificate,
        client_key=certificates.client_key,
    )


def _start(remote: Remote, files: Mapping[str, str]) -> None:
    """Unpack the files and start the unit, in one command: each costs a second under emulation.

    The service tells systemd when it listens, and only then does systemd-run return.
    """
    try:
        remote.run(
            ["sh", "-c", _START, "sh", FOLDER, UNIT], stdin=_archive(files), timeout=START_TIMEOUT
        )
    except RemoteCommandError as error:
        said = remote.run(["journalctl", "-u", UNIT, "-n", "5", "-o", "cat"], check=False)
        raise StreamError(
            f"the writer service did not start: {said.stdout.strip() or error.message}",
            "see that the worker image has Python 3 and systemd",
        ) from None


def _archive(files: Mapping[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in files.items():
            content = text.encode()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o600
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
