# SPDX-License-Identifier: Apache-2.0
"""Backup jobs in pull mode. Format: https://libvirt.org/formatbackup.html."""

from collections.abc import Sequence
from dataclasses import dataclass

from tradewind.domainxml.document import E, Element, attribute, parse, to_text


@dataclass(frozen=True, slots=True)
class BackupDisk:
    """A disk to read: its target ("vda"), and the file that keeps what is overwritten meanwhile.

    `since` names the checkpoint that its changes are asked for; `tracked` says whether a new
    checkpoint covers it. Where one of them is missing, `why` says why in words.
    """

    target: str
    scratch: str
    since: str | None = None
    tracked: bool = False
    why: str = ""


def backup_xml(socket: str, disks: Sequence[BackupDisk], *, others: Sequence[str] = ()) -> str:
    """Describe a backup that QEMU serves over NBD on a unix socket of the host.

    `others` names the targets that take no part. Leaving a disk out of the list means the same;
    naming it says that it was meant.
    """
    return to_text(
        E.domainbackup(
            E.server(transport="unix", socket=socket),
            E.disks(
                *(_taking_part(disk) for disk in disks),
                *(E.disk(name=target, backup="no") for target in others),
            ),
            mode="pull",
        )
    )


def _taking_part(disk: BackupDisk) -> Element:
    # Per disk, so that one without a usable bitmap is read in full beside the others.
    mode = {"backupmode": "incremental", "incremental": disk.since} if disk.since else {}
    return E.disk(
        E.scratch(file=disk.scratch),
        name=disk.target,
        backup="yes",
        type="file",
        **(mode or {"backupmode": "full"}),
    )


def socket_of(xml: str) -> str | None:
    """Name the unix socket of a backup job's XML; None for a push job or one over TCP."""
    return attribute(parse(xml), "server", "socket")
