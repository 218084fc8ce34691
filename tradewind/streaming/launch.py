# SPDX-License-Identifier: Apache-2.0
"""Start the writer service in a worker, and learn how to reach it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tradewind.errors import StreamError
from tradewind.model.storage import ReplicaVolume
from tradewind.model.worker import Worker, WriterAccess
from tradewind.ports import Remote
from tradewind.streaming import writer_service
from tradewind.streaming.certificates import make_certificates
from tradewind.waiting import wait_for

PORT: Final = 8677
FOLDER: Final = "/run/tradewind"
UNIT: Final = "tradewind-writer"

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
        hint="see the worker's console log",
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
    remote.run(["mkdir", "-p", "-m", "0700", FOLDER])
    files = {
        "server.pem": certificates.server_certificate,
        "server.key": certificates.server_key.get_secret_value(),
        "ca.pem": certificates.ca_certificate,
        "config.json": json.dumps(config),
        "writer_service.py": Path(writer_service.__file__).read_text(),
    }
    for name, text in files.items():
        remote.write(f"{FOLDER}/{name}", text.encode())
    _run_as_unit(remote)
    return WriterAccess(
        address=worker.address,
        port=PORT,
        ca_certificate=certificates.ca_certificate,
        client_certificate=certificates.client_certificate,
        client_key=certificates.client_key,
    )


def _run_as_unit(remote: Remote) -> None:
    # A retried step finds the unit of the attempt before it.
    remote.run(["systemctl", "stop", UNIT], check=False)
    remote.run(["systemctl", "reset-failed", UNIT], check=False)
    service = ["python3", f"{FOLDER}/writer_service.py", f"{FOLDER}/config.json"]
    remote.run(["systemd-run", "--quiet", f"--unit={UNIT}", *service])
    listening = ["ss", "-Hltn", f"sport = :{PORT}"]

    def started() -> bool:
        if remote.run(["systemctl", "is-failed", "--quiet", UNIT], check=False).status == 0:
            said = remote.run(["journalctl", "-u", UNIT, "-n", "5", "-o", "cat"], check=False)
            raise StreamError(f"the writer service did not start: {said.stdout.strip()}")
        return bool(remote.run(listening).stdout.strip())

    wait_for(started, "the writer service listens", START_TIMEOUT, every=0.5)
