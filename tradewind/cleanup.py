# SPDX-License-Identifier: Apache-2.0
"""What is lent is given back, and the first error is the one that is told."""

import contextlib
from collections.abc import Callable, Iterator

from tradewind import ending


@contextlib.contextmanager
def cleanup_on_exit(
    *undo: Callable[[], object], what: str = "", only_on_error: bool = False
) -> Iterator[None]:
    """Call each `undo` in order when the block is left, whatever happens in it or in the others.

    An error of the block is raised, with what could not be undone as its notes: it is the one
    that says why. Without one, the first error of an `undo` is raised. A process that was told
    to end gives each `undo` some seconds; `what` names for people what could not be given back.
    """
    with ending.lent(what) if what else contextlib.nullcontext():
        try:
            yield
        except BaseException as error:
            if ending.means_the_end(error):
                ending.begin()
            with ending.undisturbed():
                for failure in _all(undo, what):
                    error.add_note(f"Besides, it could not be undone: {failure}")
            raise
        if only_on_error:
            return
        for failure in _all(undo, what):
            raise failure


def _all(calls: tuple[Callable[[], object], ...], what: str) -> list[Exception]:
    """Call them all; a signal's exception is no Exception, and ends the undoing too."""
    failures = []
    for call in calls:
        try:
            if ending.has_begun():
                ending.bounded(call, what or "giving back")
            else:
                call()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next call has to be made
            failures.append(error)
            if ending.has_begun():
                # Prefect kills its process with the same signal when the flow has ended.
                ending.tell(what or "something", error)
    return failures
