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
from tradewind.model.host import HttpsAccess, SshAccess, Worker, WriterAccess
from tradewind.model.option_types import DataTransferMechanism
from tradewind.model.storage import ReplicaVolume
from tradewind.plain_text import plain
from tradewind.ports import Remote
from tradewind.shell_programs import program
from tradewind.streaming import writer_service
from tradewind.streaming.certificates import make_certificates
from tradewind.units import KiB
from tradewind.waiting import wait_for

PORT: Final = 8677
SSH_PORT: Final = 22
DIGEST_KEY_BYTES: Final = 32
FOLDER: Final = "/run/tradewind"
UNIT: Final = "tradewind-writer"
START: Final = "start_writer.sh"
CLOSE_PORTS: Final = "close_ports.sh"
# How that one begins its line when nobody else reaches the ports.
_CLOSED: Final = "closed: "

# What serves one connection over SSH.
SERVE_STDIO: Final = (
    "python3", "-I", f"{FOLDER}/writer_service.py", "--stdio", f"{FOLDER}/config.json",
)  # fmt: skip

_UNPACK: Final = program(__file__, "unpack.sh")

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
        **_program(config, START),
    }
    start = ("sh", f"{FOLDER}/{START}", FOLDER, UNIT)
    try:
        exposure = _run_closed(remote, (SSH_PORT, PORT), start, files)
    except RemoteCommandError as error:
        # Its own lines: what systemd says of the unit would hide them.
        asked = ["journalctl", f"_SYSTEMD_UNIT={UNIT}.service", "-n", "5", "-o", "cat"]
        said = remote.run(asked, check=False)
        raise _not_started(plain(said.stdout[-KiB:], KiB) or error.message) from None
    return HttpsAccess(
        address=worker.address,
        port=PORT,
        ca_certificate=certificates.ca_certificate,
        client_certificate=certificates.client_certificate,
        client_key=certificates.client_key,
        via=worker.via,
        digest_key=SecretStr(digest_key),
        exposure=exposure,
    )


def _offer_over_ssh(remote: Remote, worker: Worker, disks: Mapping[str, str]) -> SshAccess:
    """Install the service, and let it run once without a client: what is missing shows here."""
    digest_key = secrets.token_hex(DIGEST_KEY_BYTES)
    files = _program({"disks": disks, "digest_key": digest_key})
    try:
        exposure = _run_closed(remote, (SSH_PORT,), SERVE_STDIO, files)
    except RemoteCommandError as error:
        raise _not_started(error.message) from None
    return SshAccess(
        worker=worker, command=SERVE_STDIO, digest_key=SecretStr(digest_key), exposure=exposure
    )


def _program(config: Mapping[str, object], *scripts: str) -> dict[str, str]:
    service = Path(writer_service.__file__)
    return {
        "config.json": json.dumps(config),
        service.name: service.read_text(),
        **{name: program(__file__, name) for name in (CLOSE_PORTS, *scripts)},
    }


def _run_closed(
    remote: Remote, ports: Sequence[int], command: Sequence[str], files: Mapping[str, str]
) -> str:
    """Unpack the files, close the ports to everybody else, and run the command.

    All in one: each costs a second under emulation. Says why the ports are open, if they are.
    """
    closing = ("sh", f"{FOLDER}/{CLOSE_PORTS}", ",".join(map(str, ports)))
    argv = ["sh", "-c", _UNPACK, "sh", FOLDER, *closing, *command]
    said = remote.run(argv, stdin=_archive(files), timeout=START_TIMEOUT).stdout
    first = plain(said.partition("\n")[0])
    if first.startswith(_CLOSED):
        return ""
    return (
        f"the worker's TCP ports {' and '.join(map(str, ports))} were open to its network, guarded"
        f" by certificates and keys alone: {first.removeprefix('open: ') or 'it does not say why'}"
    )


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
