# SPDX-License-Identifier: Apache-2.0
"""The ledger that provider options name, for commands that only look."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from deployments.stored_options import stored_options
from tradewind.model.options import OptionOverrides

if TYPE_CHECKING:
    from tradewind.ledger import Ledger

T = TypeVar("T")


@contextmanager
def ledger_of(options: str, overrides: OptionOverrides | None = None) -> "Iterator[Ledger]":
    """Lend the ledger; NotFoundError names the blocks of options that there are."""
    from tradewind.ledger import open_ledger  # noqa: PLC0415 - it takes half a second to import
    from tradewind.ledger.database import seen  # noqa: PLC0415

    stored = stored_options(options)
    chosen = stored.with_overrides(overrides) if overrides else stored
    with open_ledger(seen(chosen.sqlite_database_file)) as ledger:
        yield ledger


@contextmanager
def beside(ask: Callable[[], T]) -> "Iterator[Future[T]]":
    """Have something asked while the ledger is opened: each takes as long as the other."""
    with ThreadPoolExecutor(1) as aside:
        yield aside.submit(ask)
