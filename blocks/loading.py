# SPDX-License-Identifier: Apache-2.0
"""Load a block by name, or say which names there are."""

from http import HTTPStatus
from typing import TypeVar

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError
from pydantic import ValidationError

from tradewind.errors import NotFoundError, OptionError
from tradewind.model.record import faults
from tradewind.nearest import listed

B = TypeVar("B", bound=Block)


def load_block(kind: type[B], name: str) -> B:
    """Load a block document; NotFoundError names the blocks of its kind.

    OptionError: what is stored does not fit this version any more.
    """
    try:
        loaded = kind.load(name)
    except RuntimeError as error:
        if not isinstance(error.__cause__, ValidationError):
            raise
        raise OptionError(
            f"{kind.get_block_type_slug()} block “{name}” is not valid: {faults(error.__cause__)}",
            "store it again, in Prefect's UI under Blocks or with `tradewind`",
        ) from None
    except ValueError:
        there = listed(block_names(kind), name)
        raise NotFoundError(
            f"no {kind.get_block_type_slug()} block is called “{name}”",
            f"there are: {there}; add one in Prefect's UI under Blocks, or with `tradewind`",
        ) from None
    assert isinstance(loaded, kind)  # noqa: S101 - a sync caller gets no coroutine
    return loaded


def block_names(kind: type[Block]) -> list[str]:
    """Name the blocks of a kind that are stored, in alphabetical order."""
    try:
        with get_client(sync_client=True) as client:
            documents = client.read_block_documents_by_type(kind.get_block_type_slug())
    except PrefectHTTPStatusError as error:
        if error.response.status_code == HTTPStatus.NOT_FOUND:  # the type was never registered
            return []
        raise
    return sorted(document.name or "" for document in documents)


def require_new(kind: type[Block], name: str, *, replace: bool) -> None:
    """Raise OptionError when a block is stored under that name, unless it shall be replaced."""
    if not replace and name in block_names(kind):
        raise OptionError(
            f"a {kind.get_block_type_slug()} block is called “{name}” already",
            "choose another name, or --replace it",
        )


def remove_block(kind: type[Block], name: str) -> None:
    """Remove a block; NotFoundError names the blocks of its kind."""
    load_block(kind, name)
    with get_client(sync_client=True) as client:
        document = client.read_block_document_by_name(name, kind.get_block_type_slug())
        client.delete_block_document(document.id)
