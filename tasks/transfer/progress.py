# SPDX-License-Identifier: Apache-2.0
"""A progress artifact for each disk: bytes, rate and ETA, as Prefect's UI shows them."""

import hashlib
import re
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from tradewind.model.progress import DiskProgress
from tradewind.units import human_duration, human_size

# One update costs about 20 ms of API time; a person does not read faster than this.
EVERY: Final = 3.0

_UNFIT: Final = re.compile(r"[^a-z0-9]+")
_FIT: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


def artifact_key(*parts: str) -> str:
    """Make a key as Prefect wants it: lower-case letters, digits and dashes.

    What loses something in that gets a digest of what it was: web_1 and web-1 are two machines.
    """
    key = _UNFIT.sub("-", "-".join(parts).lower()).strip("-")
    if all(_FIT.fullmatch(part) for part in parts):
        return key
    return f"{key}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:8]}"


class ProgressArtifacts:
    """Listens to the disks' progress, and tells it every few seconds."""

    def __init__(self, machine: str) -> None:
        self._machine = machine
        self._artifacts: dict[str, UUID] = {}
        self._told: dict[str, float] = {}

    def __call__(self, progress: DiskProgress) -> None:
        """Take one disk's progress."""
        now = time.monotonic()
        finished = progress.done >= progress.total
        if not finished and now - self._told.get(progress.disk_id, -EVERY) < EVERY:
            return
        self._told[progress.disk_id] = now
        self._tell(progress)

    def of_upload(self, name: str) -> Callable[[int, int], None]:
        """Listen to an upload, which knows only bytes done and bytes in all."""
        begun = time.monotonic()

        def listen(done: int, total: int) -> None:
            seconds = time.monotonic() - begun
            self(DiskProgress(disk_id=name, total=total, done=done, sent=done, seconds=seconds))

        return listen

    def _tell(self, progress: DiskProgress) -> None:
        percent = 100.0 * progress.done / progress.total if progress.total else 100.0
        known = self._artifacts.get(progress.disk_id)
        if known is not None:
            update_progress_artifact(known, percent, description=describe(progress))
            return
        created = create_progress_artifact(
            percent,
            key=artifact_key("disk", self._machine, progress.disk_id),
            description=describe(progress),
        )
        assert isinstance(created, UUID)  # noqa: S101 - a sync caller gets no coroutine
        self._artifacts[progress.disk_id] = created


def describe(progress: DiskProgress) -> str:
    """Say one disk's progress in a line."""
    line = (
        f"{human_size(progress.done)} of {human_size(progress.total)},"
        f" {human_size(progress.rate)}/s, {human_size(progress.sent)} sent"
    )
    unknown = progress.eta is None or progress.done >= progress.total
    return line if unknown else f"{line}, {human_duration(progress.eta or 0)} left"
