# SPDX-License-Identifier: Apache-2.0
"""What is lent is given back, and the first error is the one that is told."""

import contextlib
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def given_back(*undo: Callable[[], object], only_on_error: bool = False) -> Iterator[None]:
    """Call each `undo` in order when the block is left, whatever happens in it or in the others.

    An error of the block is raised, with what could not be undone as its notes: it is the one
    that says why. Without one, the first error of an `undo` is raised.
    """
    try:
        yield
    except BaseException as error:
        for failure in _all(undo):
            error.add_note(f"Besides, it could not be undone: {failure}")
        raise
    if only_on_error:
        return
    for failure in _all(undo):
        raise failure


def _all(calls: tuple[Callable[[], object], ...]) -> list[Exception]:
    """Call them all; a signal's exception is no Exception, and ends the undoing too."""
    failures = []
    for call in calls:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next call has to be made
            failures.append(error)
    return failures
