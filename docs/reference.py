# SPDX-License-Identifier: Apache-2.0
"""The reference pages of the documentation, made from the code while the site is built.

A hook of MkDocs (https://www.mkdocs.org/user-guide/configuration/#hooks).
"""

from collections.abc import Iterable, Iterator
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

import typer
import typer.cli
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from blocks.disk_images import DiskImageFolder
from blocks.endpoint import LibvirtEndpoint
from cli.commands.endpoints import ListedEndpoint, SeenEndpoint
from cli.commands.images import ListedImages
from cli.main import app
from cli.transfer_details import TransferDetail
from cli.transfer_tables import ListedTransfer
from deployments.stored import Stored
from tradewind.model.groups import GroupReport, GroupRequest
from tradewind.model.ledger import Kept
from tradewind.model.migrate import MigrateReport, MigrateRequest
from tradewind.model.options import NOT_FOR_ONE_RUN, OptionFields
from tradewind.model.overview import MachineOverview
from tradewind.model.preflight import PreflightReport
from tradewind.model.report import DeployReport, SweepReport, TransferReport
from tradewind.model.requests import DeployRequest, RemovalReport, RemovalRequest, TransferRequest

_BLOCKS: Final = (LibvirtEndpoint, DiskImageFolder)
_REQUESTS: Final = (TransferRequest, DeployRequest, MigrateRequest, GroupRequest, RemovalRequest)
# By the command that prints it; what is a list is an array of them.
_PRINTED: Final = (
    MachineOverview,
    ListedTransfer,
    TransferDetail,
    Stored,
    ListedEndpoint,
    SeenEndpoint,
    ListedImages,
    TransferReport,
    DeployReport,
    MigrateReport,
    GroupReport,
    PreflightReport,
    SweepReport,
    RemovalReport,
    Kept,
)
_JSON: Final = """What commands print with `--json`.

| command | prints |
|---|---|
| `machines list` | array of MachineOverview |
| `transfer list`, `status` | array of ListedTransfer |
| `transfer show` | Detail |
| `kept list` | array of Kept |
| `schedule list` | array of Stored |
| `endpoint list` | array of ListedEndpoint |
| `endpoint validate` | SeenEndpoint |
| `images list` | array of ListedImages |
| `transfer run` | TransferReport |
| `deploy`, `rehearse` | DeployReport |
| `migrate` | MigrateReport |
| `replicate` | GroupReport |
| `preflight` | PreflightReport |
| `sweep` | array of SweepReport |
| `transfer delete` | RemovalReport |
| `report` | TransferReport or DeployReport |"""
# What every block of Prefect has, and nobody fills in.
_PREFECTS_OWN: Final = frozenset({"block_type_slug"})


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not written by hand."""
    pages = {
        "options": options(),
        "blocks": page("Blocks", "What an operator stores in Prefect.", _BLOCKS),
        "parameters": page("Parameters of the flows", "What a run is asked for.", requests()),
        "commands": commands(),
        "json": page("JSON output", _JSON, json_output()),
    }
    for name, text in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def options() -> str:
    """Describe the provider options."""
    begin = (
        "# Provider options\n\nSection `[libvirt_migration_provider]` of an INI file, the block"
        " *Tradewind Provider Options*, and the overrides of one request: the same names,"
        " meanings and defaults. No single request may set "
        + ", ".join(f"`{name}`" for name in sorted(NOT_FOR_ONE_RUN))
        + ".\n\n"
    )
    return begin + table(OptionFields)


def page(title: str, summary: str, models: Iterable[type[BaseModel]]) -> str:
    """Describe some models under one title."""
    parts = [f"# {title}\n\n{summary}\n"]
    parts += [f"## {model.__name__}\n\n{_first(model)}\n\n{table(model)}" for model in models]
    return "\n".join(parts)


def requests() -> tuple[type[BaseModel], ...]:
    """List the requests, and the records within them, once each."""
    return _with_parts(_REQUESTS)


def _with_parts(models: Iterable[type[BaseModel]]) -> tuple[type[BaseModel], ...]:
    found: dict[type[BaseModel], None] = {}
    waiting: list[type[BaseModel]] = list(models)
    while waiting:
        model = waiting.pop(0)
        if model not in found:
            found[model] = None
            waiting += [m for field in model.model_fields.values() for m in _records(field)]
    return tuple(found)


def json_output() -> tuple[type[BaseModel], ...]:
    """List what commands print for programs, and the records within it, once each."""
    return _with_parts(_PRINTED)


def _records(field: FieldInfo) -> Iterator[type[BaseModel]]:
    for kind in _leaves(field.annotation):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield kind


def _leaves(annotation: Any) -> Iterator[Any]:
    """Walk through unions, containers and Annotated down to plain types."""
    inner = get_args(annotation)
    if get_origin(annotation) is Annotated:
        yield from _leaves(inner[0])
    elif inner:
        for each in inner:
            yield from _leaves(each)
    else:
        yield annotation


def _first(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip()


def table(model: type[BaseModel]) -> str:
    """Make a row of each field."""
    fields = {n: f for n, f in model.model_fields.items() if n not in _PREFECTS_OWN}
    rows = [f"| `{name}` | {_kind(field)} | {_default(field)} | {_meaning(field)} |"
            for name, field in fields.items()]  # fmt: skip
    return "\n".join(["| name | kind | default | meaning |", "|---|---|---|---|", *rows]) + "\n"


def _kind(field: FieldInfo) -> str:
    return _spoken(field.annotation).replace("|", "\\|")


def _spoken(annotation: Any) -> str:
    """Write a type as a person would: "text", "a or b", "list of number"."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _spoken(inner[0])
    if origin in {Union, UnionType}:
        return " or ".join(_spoken(each) for each in inner if each is not type(None))
    if origin in {tuple, list, frozenset}:
        return "list of " + _spoken(inner[0])
    if inner:
        return " → ".join(_spoken(each) for each in inner)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{member.value}`" if member.value else "empty" for member in annotation)
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


_WORDS: Final = {
    str: "text",
    int: "number",
    float: "number",
    bool: "true or false",
    SecretStr: "secret",
}


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel) or value is None or value in ({}, (), "", []):
        return "–"
    if isinstance(value, tuple):
        return f"`{','.join(map(str, value))}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _meaning(field: FieldInfo) -> str:
    return " ".join((field.description or field.title or "").split()).replace("|", "\\|")


def commands() -> str:
    """Describe the commands, as their --help does."""
    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="tradewind")
    return typer.cli.get_docs_for_click(obj=command, ctx=context, name="tradewind")
