# SPDX-License-Identifier: Apache-2.0
"""Commands that look at the machines of a source."""

from collections.abc import Sequence

import typer
from rich.table import Table
from rich.text import Text

from cli.commands.provider_options import stored_options
from cli.options import Images, Json, Options, Source
from cli.parsing import source_kind
from cli.printing import show_all
from tradewind.model.overview import MachineOverview
from tradewind.units import human_size

machines_app = typer.Typer(help="Machines of a source.", no_args_is_help=True)


@machines_app.command("list")
def list_machines(
    source: Source,
    options: Options = "default",
    images: Images = False,
    json: Json = False,
) -> None:
    """List the machines of a source.

    Shows which of them can be moved, and which of their disks are change-tracked: an execution
    reads only the changes of these disks, and all of the others.
    """
    from tasks.environment import open_source  # noqa: PLC0415 - Prefect takes seconds to import

    kind = source_kind(images=images)
    found = open_source(kind, source, stored_options(options)).overview()
    machines = sorted(found, key=lambda machine: machine.name)
    show_all(machines, machine_table, json=json, none=f"{source} has no machines")


def machine_table(machines: Sequence[MachineOverview]) -> Table:
    """Lay out machines; what keeps one from being moved takes the place of its disks."""
    table = Table("machine", "state", "firmware", "size", "disks", "changes tracked")
    for each in machines:
        disks = [f"{disk.id} {human_size(disk.capacity)}" for disk in each.disks]
        table.add_row(
            Text(each.name),  # a name may contain what means something to rich
            each.state,
            each.firmware or "–",
            human_size(each.capacity) if each.disks else "–",
            Text(each.problem, "red") if each.problem else Text(", ".join(disks)),
            Text(each.tracked),
        )
    return table
