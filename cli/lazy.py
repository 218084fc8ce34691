# SPDX-License-Identifier: Apache-2.0
"""Import a command's module when it is asked for: `--help` and completion take no longer.

A group that loads its commands late is what Click's documentation calls lazily loading subcommands
(click.palletsprojects.com/en/stable/complex/).
"""

import functools
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from cli.server_url import require_server_named


class LazyCommand(NamedTuple):
    """A command or a group of them: its name, `module:attribute`, and its line in the help.

    `offline` names those of them that need no Prefect server.
    """

    name: str
    path: str
    help: str
    hidden: bool = False
    offline: tuple[str, ...] = ()

    def load(self) -> Any:
        """Import it, as a command of its name."""
        module, _, attribute = self.path.partition(":")
        found = getattr(importlib.import_module(module), attribute)
        parent = typer.Typer(rich_markup_mode=None, pretty_exceptions_show_locals=False)
        parent.callback()(lambda: None)
        if isinstance(found, typer.Typer):
            parent.add_typer(found, name=self.name, hidden=self.hidden)
        else:
            parent.command(self.name, hidden=self.hidden)(found)
        command = typer.main.get_group(parent).commands[self.name]
        for each in _leaves(command):
            if each.name not in self.offline:
                each.callback = _with_server(each.callback)
        return command


def _leaves(command: Any) -> Iterator[Any]:
    """Walk the commands that do something; a group only leads to them."""
    if not isinstance(command, TyperGroup):
        yield command
        return
    for child in command.commands.values():
        yield from _leaves(child)


def _with_server(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command begin only where Prefect's server is named."""

    @functools.wraps(command)
    def checked(*words: Any, **options: Any) -> Any:
        require_server_named()
        return command(*words, **options)

    return checked


class LazyGroup(TyperGroup):
    """The commands of `lazy`, in its order; the help is made of their lines there."""

    lazy: ClassVar[tuple[LazyCommand, ...]] = ()

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self._lines_only: Final[list[bool]] = []

    def list_commands(self, ctx: Any) -> list[str]:
        """Name all of them."""
        return [each.name for each in self.lazy]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Load one; None when there is none of this name."""
        known = next((each for each in self.lazy if each.name == cmd_name), None)
        if known is None:
            return None
        if self._lines_only:
            return TyperCommand(known.name, callback=None, help=known.help, hidden=known.hidden)
        return self.commands.setdefault(cmd_name, known.load())

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Load the one that is called; a typing mistake is compared with all names."""
        known = {each.name for each in self.lazy}
        if args and args[0] not in known:
            with self._lines():
                for name in known:
                    self.commands[name] = self.get_command(ctx, name)
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Show the help without loading the commands."""
        with self._lines():
            super().format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Complete names without loading the commands."""
        with self._lines():
            return super().shell_complete(ctx, incomplete)

    @contextmanager
    def _lines(self) -> Iterator[None]:
        self._lines_only.append(True)
        try:
            yield
        finally:
            self._lines_only.pop()
