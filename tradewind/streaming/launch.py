# SPDX-License-Identifier: Apache-2.0
"""Start the writer service in a worker, and learn how to reach it."""

import io
import json
import secrets
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from tradewind.errors import RemoteCommandError, StreamError
from tradewind.model.option_types import DataTransferMechanism
from tradewind.model.storage import ReplicaVolume
from tradewind.model.worker import HttpsAccess, SshAccess, Worker, WriterAccess
from tradewind.ports import Remote
from tradewind.streaming import writer_service
from tradewind.streaming.certificates import make_certificates
from tradewind.waiting import wait_for

PORT: Final = 8677
DIGEST_KEY_BYTES: Final = 32
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

# What serves one connection over SSH.
SERVE_STDIO: Final = (
    "python3", "-I", f"{FOLDER}/writer_service.py", "--stdio", f"{FOLDER}/config.json",
)  # fmt: skip

_INSTALL: Final = """\
set -e
umask 077
mkdir -p "$1"
tar -x -C "$1"
shift
exec "$@" </dev/null
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


def start_writer(
    remote: Remote,
    worker: Worker,
    volumes: Sequence[ReplicaVolume],
    mechanism: DataTransferMechanism = DataTransferMechanism.HTTPS,
) -> WriterAccess:
    """Install the service for these volumes, and say how it is reached."""
    wait_for_devices(remote, volumes)
    disks = {volume.serial: device(volume.serial) for volume in volumes}
    if mechanism is DataTransferMechanism.SSH:
        return _offer_over_ssh(remote, worker, disks)
    return _serve_https(remote, worker, disks)


def _serve_https(remote: Remote, worker: Worker, disks: Mapping[str, str]) -> HttpsAccess:
    """Start the service as a unit, with certificates made for this worker only.

    It tells systemd when it listens, and only then does systemd-run return.
    """
    certificates = make_certificates(worker.address, worker.domain)
    digest_key = secrets.token_hex(DIGEST_KEY_BYTES)
    config = {
        "address": worker.address,
        "port": PORT,
        "certificate": f"{FOLDER}/server.pem",
        "key": f"{FOLDER}/server.key",
        "ca": f"{FOLDER}/ca.pem",
        "digest_key": digest_key,
        "disks": disks,
    }
    files = {
        "server.pem": certificates.server_certificate,
        "server.key": certificates.server_key.get_secret_value(),
        "ca.pem": certificates.ca_certificate,
        **_program(config),
    }
    try:
        _run(remote, [_START, "sh", FOLDER, UNIT], files)
    except RemoteCommandError as error:
        said = remote.run(["journalctl", "-u", UNIT, "-n", "5", "-o", "cat"], check=False)
        raise _not_started(said.stdout.strip() or error.message) from None
    return HttpsAccess(
        address=worker.address,
        port=PORT,
        ca_certificate=certificates.ca_certificate,
        client_certificate=certificates.client_certificate,
        client_key=certificates.client_key,
        via=worker.via,
        digest_key=SecretStr(digest_key),
    )


def _offer_over_ssh(remote: Remote, worker: Worker, disks: Mapping[str, str]) -> SshAccess:
    """Install the service, and let it run once without a client: what is missing shows here."""
    digest_key = secrets.token_hex(DIGEST_KEY_BYTES)
    program = _program({"disks": disks, "digest_key": digest_key})
    try:
        _run(remote, [_INSTALL, "sh", FOLDER, *SERVE_STDIO], program)
    except RemoteCommandError as error:
        raise _not_started(error.message) from None
    return SshAccess(worker=worker, command=SERVE_STDIO, digest_key=SecretStr(digest_key))


def _program(config: Mapping[str, object]) -> dict[str, str]:
    return {
        "config.json": json.dumps(config),
        "writer_service.py": Path(writer_service.__file__).read_text(),
    }


def _run(remote: Remote, script: Sequence[str], files: Mapping[str, str]) -> None:
    """Unpack the files and run a script, in one command: each costs a second under emulation."""
    remote.run(["sh", "-c", *script], stdin=_archive(files), timeout=START_TIMEOUT)


def _not_started(reason: str) -> StreamError:
    return StreamError(
        f"the writer service did not start: {reason}",
        "see that the worker image has Python 3 and systemd",
    )


def _archive(files: Mapping[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in files.items():
            content = text.encode()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o600
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
