# SPDX-License-Identifier: Apache-2.0
"""End processes, and wait until they are gone."""

import os
import select
import signal
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress

_PATIENCE = 5.0  # seconds between asking and insisting; QEMU needs well under one


def end(pids: Iterable[int]) -> None:
    """Ask processes to end, insist after a few seconds, and return when they are gone."""
    with ExitStack() as stack:
        handles = []
        for pid in pids:
            # A pid that is gone already is what we want.
            with suppress(ProcessLookupError):
                handle = os.pidfd_open(pid)
                stack.callback(os.close, handle)
                handles.append(handle)
        left = _signal_and_wait(handles, signal.SIGTERM)
        _signal_and_wait(left, signal.SIGKILL)


def _signal_and_wait(handles: list[int], number: signal.Signals) -> list[int]:
    """Return the processes that have not ended in time."""
    for handle in handles:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, number)
    deadline = time.monotonic() + _PATIENCE
    left = list(handles)
    while left and (rest := deadline - time.monotonic()) > 0:
        # A pidfd becomes readable when its process has ended: pidfd_open(2).
        ended, _, _ = select.select(left, [], [], rest)
        left = [handle for handle in left if handle not in ended]
    return left
