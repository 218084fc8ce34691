# SPDX-License-Identifier: Apache-2.0
"""The command that looks at the whole installation."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import Json, Options
from cli.printing import console

if TYPE_CHECKING:
    from deployments.doctor import DoctorReport


def doctor(
    options: Options = "default",
    bundle: Annotated[
        Path | None, typer.Option(help="Also write a .tar.gz for a support person.")
    ] = None,
    json: Json = False,
) -> None:
    """Check the whole installation; report all problems at once.

    Changes nothing. Exits with 1 if any problem is an error. Keys and passwords are never printed
    or written.
    """
    from deployments import doctor as looking  # noqa: PLC0415 - Prefect takes seconds to import
    from tradewind.errors import OptionError  # noqa: PLC0415

    if bundle is not None and bundle.exists():
        raise OptionError(f"{bundle} is there already", "name a file that is not")
    report = looking.examine(options)
    if bundle is not None:
        looking.bundle(report, options, bundle)
    if json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        _show(report)
    if bundle is not None:
        console.print(f"written: {bundle}", markup=False)
    if not report.healthy:
        raise typer.Exit(1)


def _show(report: "DoctorReport") -> None:
    for name, said in report.versions.items():
        console.print(f"{name}: {said}", markup=False, highlight=False)
    for each in report.looked:
        console.print(f"\n{each.area}: {'' if each.findings else 'nothing to say'}", markup=False)
        for found in each.findings:
            console.print(f"  {found.severity}: {found.what}", markup=False, soft_wrap=True)
            console.print(f"    → {found.remedy}", markup=False, soft_wrap=True)
