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
        there = ", ".join(block_names(kind)) or "none"
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
