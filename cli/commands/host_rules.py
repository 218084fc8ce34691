# SPDX-License-Identifier: Apache-2.0
"""`tradewind endpoint host-rules`: what lets a confined QEMU serve a backup."""

from pathlib import Path
from typing import Final

import typer

from cli.options import EndpointName
from cli.printing import console

_FOLDER: Final = Path(__file__).parents[2] / "deployments" / "hosts"
_FILES: Final = {"apparmor": "apparmor", "selinux": "selinux.te"}


def host_rules(name: EndpointName) -> None:
    """Print the rule that lets a confined QEMU serve a backup.

    Prints a rule for AppArmor or SELinux, whichever the host uses, with the commands that load it.
    Changes nothing on the host.
    """
    from blocks.endpoint import LibvirtEndpoint  # noqa: PLC0415
    from blocks.loading import load_block  # noqa: PLC0415
    from tradewind.host.connection import connect  # noqa: PLC0415
    from tradewind.host.domain.run_folders import confined_by  # noqa: PLC0415

    access = load_block(LibvirtEndpoint, name).access()
    with connect(access) as connection:
        confinement = confined_by(connection)
    if not confinement:
        console.print(f"{access.host}: libvirt confines QEMU by no security module; no rule needed")
        return
    typer.echo(rules_of(confinement), nl=False)


def rules_of(confinement: str) -> str:
    """Read the rule for hosts that confine QEMU by apparmor or selinux."""
    return (_FOLDER / _FILES[confinement]).read_text()
