# SPDX-License-Identifier: Apache-2.0
"""Backup jobs in pull mode. Format: https://libvirt.org/formatbackup.html."""

from collections.abc import Sequence
from dataclasses import dataclass

from tradewind.domainxml.document import E, Element, attribute, parse, to_text


@dataclass(frozen=True, slots=True)
class BackupDisk:
    """A disk to read: its target ("vda"), and the file that keeps what is overwritten meanwhile.

    `since` names the checkpoint that its changes are asked for; `tracked` says whether a new
    checkpoint covers it. Where one of them is missing, `why` says why in words. `export` is its
    name at the NBD server; empty means the target's.
    """

    target: str
    scratch: str
    export: str = ""
    since: str | None = None
    tracked: bool = False
    why: str = ""


def backup_xml(address: str, disks: Sequence[BackupDisk], *, others: Sequence[str] = ()) -> str:
    """Describe a backup that QEMU serves over NBD: at a unix socket's path, or at "name:port".

    `others` names the targets that take no part. Leaving a disk out of the list means the same;
    naming it says that it was meant.
    """
    return to_text(
        E.domainbackup(
            _server(address),
            E.disks(
                *(_taking_part(disk) for disk in disks),
                *(E.disk(name=target, backup="no") for target in others),
            ),
            mode="pull",
        )
    )


def _server(address: str) -> Element:
    if address.startswith("/"):
        return E.server(transport="unix", socket=address)
    name, _, port = address.rpartition(":")
    return E.server(transport="tcp", name=name, port=port)


def _taking_part(disk: BackupDisk) -> Element:
    # Per disk, so that one without a usable bitmap is read in full beside the others.
    mode = {"backupmode": "incremental", "incremental": disk.since} if disk.since else {}
    return E.disk(
        E.scratch(file=disk.scratch),
        name=disk.target,
        backup="yes",
        type="file",
        **({"exportname": disk.export} if disk.export else {}),
        **(mode or {"backupmode": "full"}),
    )


@dataclass(frozen=True, slots=True)
class BackupJobFacts:
    """A backup job's address, as `backup_xml` takes it, and its scratch files.

    A push job has no address.
    """

    address: str | None
    scratch: tuple[str, ...]


def job_of(xml: str) -> BackupJobFacts:
    """Read the XML of a backup job under way."""
    document = parse(xml)
    socket = attribute(document, "server", "socket")
    name, port = (attribute(document, "server", each) for each in ("name", "port"))
    files = (each.get("file", "") for each in document.iterfind("disks/disk/scratch"))
    address = socket or (f"{name}:{port}" if port else None)
    return BackupJobFacts(address, tuple(filter(None, files)))
