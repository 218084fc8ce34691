# SPDX-License-Identifier: Apache-2.0
"""What the documentation promises to have a section for."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import cli.main
from docs import reference
from tradewind import errors
from tradewind.model.options import OptionFields

DOCS = Path(reference.__file__).parent


def test_every_class_of_error_has_its_section_in_troubleshooting() -> None:
    classes = {
        name
        for name, each in vars(errors).items()
        if isinstance(each, type) and issubclass(each, errors.TradewindError)
    }
    text = (DOCS / "troubleshooting.md").read_text()
    assert set(re.findall(r"^### (\w+)$", text, re.MULTILINE)) == classes


def test_the_reference_has_every_option_command_and_request() -> None:
    options, commands = reference.options(), reference.commands()
    for name in OptionFields.model_fields:
        assert f"| `{name}` |" in options
    for command in ("transfer run", "endpoint add", "schedule add-group"):
        assert f"`tradewind {command}`" in commands
    for model in (*reference.requests(), *reference.json_output()):
        assert reference.table(model).count("\n") == len(model.model_fields) + 2
    assert {"TransferRequest", "OptionOverrides"} <= {m.__name__ for m in reference.requests()}


def test_layers_are_those_that_import_linter_checks() -> None:
    contracts = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["tool"]["importlinter"]
    house, library = (each["layers"] for each in contracts["contracts"] if "layers" in each)
    said = " ".join((DOCS / "architecture.md").read_text().split())
    assert " → ".join(house) in said
    assert f"tradewind: {' → '.join(library)} " in said


def leaves(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """Walk the commands: the words of each, and its options."""
    if not hasattr(command, "list_commands"):
        yield (
            path,
            {
                option
                for parameter in command.params
                for option in (*parameter.opts, *parameter.secondary_opts)
            },
        )
        return
    for name in command.list_commands(None):
        yield from leaves(command.get_command(None, name), *path, name)


COMMANDS = dict(leaves(typer.main.get_command(cli.main.app)))
PAGES = [*DOCS.rglob("*.md"), *(DOCS.parent / name for name in ("README.md", "CONTRIBUTING.md"))]


def commands_in(text: str) -> Iterator[str]:
    """Find what a page tells people to type: lines of its programs, and words in its sentences."""
    for program in re.findall(r"^ *```sh\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL):
        joined = program.replace("\\\n", " ")
        lines = (line.partition(" #")[0] for line in re.split(r"[\n|;&()]", joined))
        yield from (line for line in lines if "tradewind " in line)
    yield from (found for found in re.findall(r"`(tradewind [^`]+)`", text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_command_in_the_documents_is_there_with_its_options(page: Path) -> None:
    for said in commands_in(page.read_text()):
        found = re.search(r"(?:^|\s|/bin/)tradewind ((?:[a-z][a-z-]* ?)*)(.*)$", said.strip())
        if found is None or not found[1]:
            continue
        words = tuple(found[1].split())
        paths = [path for path in COMMANDS if words[: len(path)] == path]
        groups = [path for path in COMMANDS if path[: len(words)] == words]
        assert paths or groups, f"{page.name}: {said}"
        options = re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", found[2].split("#")[0])
        for option in options if paths else ():
            assert option in COMMANDS[paths[0]] | {"--help"}, f"{page.name}: {said}"
