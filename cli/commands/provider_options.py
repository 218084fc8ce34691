# SPDX-License-Identifier: Apache-2.0
"""Commands that store provider options in Prefect."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import completion
from cli.options import Json
from cli.parsing import pairs_of
from cli.printing import console, show_one
from tradewind.errors import NotFoundError, OptionError
from tradewind.model.options import ProviderOptions
from tradewind.nearest import listed

if TYPE_CHECKING:
    from blocks.provider_options import ProviderOptionsBlock

OptionsName = Annotated[
    str,
    typer.Option("--name", help="Name of the block.", autocompletion=completion.option_blocks),
]

options_app = typer.Typer(help="Provider options.", no_args_is_help=True)


@options_app.command("set")
def set_options(
    assignments: Annotated[
        list[str], typer.Argument(help="option=value, for example default_storage_pool=default.")
    ],
    name: OptionsName = "default",
) -> None:
    """Save provider options. Options that are not named keep their values."""
    from blocks.provider_options import ProviderOptionsBlock  # noqa: PLC0415

    pairs: dict[str, object] = stored_options(name).model_dump()
    pairs.update(pairs_of(assignments))
    _store(ProviderOptionsBlock(**pairs), name)


@options_app.command("unset")
def unset_options(
    options: Annotated[list[str], typer.Argument(help="Options that get their defaults again.")],
    name: OptionsName = "default",
) -> None:
    """Reset provider options to their defaults."""
    from blocks.provider_options import ProviderOptionsBlock  # noqa: PLC0415

    for option in options:
        if option not in ProviderOptions.model_fields:
            near = listed(ProviderOptions.model_fields, option)
            raise OptionError(f"unknown option “{option}”", f"there are: {near}")
    pairs = stored_options(name).model_dump()
    kept = {option: value for option, value in pairs.items() if option not in options}
    _store(ProviderOptionsBlock(**kept), name)


@options_app.command("show")
def show_options(
    name: OptionsName = "default",
    json: Json = False,
) -> None:
    """Show provider options. Passwords in them are not shown."""
    from blocks.loading import load_block  # noqa: PLC0415
    from blocks.provider_options import ProviderOptionsBlock  # noqa: PLC0415
    from tradewind.ledger.database import without_password  # noqa: PLC0415

    options = load_block(ProviderOptionsBlock, name).options()
    place = without_password(options.sqlite_database_file)
    show_one(options.model_copy(update={"sqlite_database_file": place}), json=json)


def _store(block: "ProviderOptionsBlock", name: str) -> None:
    from tradewind.ledger.database import without_password  # noqa: PLC0415

    block.save(name, overwrite=True)
    console.print(f"provider options “{name}” stored", markup=False)
    place = block.options().sqlite_database_file
    if without_password(place) != place:
        console.print(
            "the database's password is stored where everybody who may read blocks can read it\n"
            "  → leave it out of sqlite_database_file, and put it into ~/.pgpass of the account"
            " that runs the flows",
            markup=False,
        )


def stored_options(name: str) -> ProviderOptions:
    """Load provider options; the defaults when none are stored under that name yet."""
    from blocks.loading import load_block  # noqa: PLC0415
    from blocks.provider_options import ProviderOptionsBlock  # noqa: PLC0415

    with contextlib.suppress(NotFoundError):
        return load_block(ProviderOptionsBlock, name).options()
    return ProviderOptions()


@options_app.command("import")
def import_options(
    file: Annotated[
        Path, typer.Argument(help="INI file with a section libvirt_migration_provider.")
    ],
    name: OptionsName = "default",
) -> None:
    """Import provider options from an INI file."""
    from blocks.provider_options import ProviderOptionsBlock  # noqa: PLC0415
    from tradewind.model.option_file import read_ini  # noqa: PLC0415

    before, read = stored_options(name).model_dump(), read_ini(file)
    _store(ProviderOptionsBlock(**read.model_dump()), name)
    defaults = ProviderOptions().model_dump()
    for option, value in read.model_dump().items():
        if before[option] != value == defaults[option]:
            console.print(f"reset, since the file does not say it: {option}", markup=False)
