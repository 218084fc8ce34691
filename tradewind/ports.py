# SPDX-License-Identifier: Apache-2.0
"""Every interface with more than one implementation, on one page.

DataSource ──snapshot──▶ Snapshot ──open──▶ DiskReader ─┐
                                                        ├─ streaming copies one to the other
                                     DiskWriter ────────┘
Remote: a shell on a host or in a worker.
GuestTree: the guest's files, as a morphing step sees them.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tradewind.model.guest import GuestOS, MorphOptions, Outcome
from tradewind.model.machine import Disk, MachineSummary, VirtualMachine
from tradewind.model.progress import DiskProgress
from tradewind.model.storage import Checkpoint, Extent

ProgressListener = Callable[[DiskProgress], None]


class DataSource(Protocol):
    """Where machines and the contents of their disks come from."""

    def machines(self) -> Iterable[MachineSummary]:
        """List what can be moved."""
        ...

    def inspect(self, machine_id: str) -> VirtualMachine:
        """Describe one machine; NotFoundError names it and the ones there are."""
        ...

    def snapshot(
        self, machine: VirtualMachine, run_id: str, since: Checkpoint | None = None
    ) -> AbstractContextManager["Snapshot"]:
        """Freeze one point in time of all disks; leaving the context releases it.

        `run_id` labels whatever has to be made on the source for it.
        """
        ...


class Snapshot(Protocol):
    """A frozen view of one machine."""

    @property
    def consistency(self) -> str:
        """How the point in time came about, in words for the report."""
        ...

    def extents(self, disk: Disk) -> Iterable[Extent]:
        """All of the disk, sorted, without gaps or overlap: data, or known to read as zero."""
        ...

    def open(self, disk: Disk) -> AbstractContextManager["DiskReader"]:
        """Open one more connection to the disk; readers of one disk may work in parallel."""
        ...


class DiskReader(Protocol):
    """One connection to a disk of a snapshot."""

    def readinto(self, buffer: memoryview, offset: int) -> None:
        """Fill the whole buffer with the bytes at `offset`; StreamError when they cannot come."""
        ...


class Range(NamedTuple):
    """A range of bytes."""

    start: int
    length: int


class DiskWriter(Protocol):
    """One connection to the disk that receives."""

    def write(self, offset: int, view: memoryview) -> None:
        """Write the bytes at `offset`."""
        ...

    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zero, without sending zeroes."""
        ...

    def flush(self) -> None:
        """Return when everything written (through any connection) is durable."""
        ...

    def digests(self, ranges: Sequence[Range]) -> list[bytes]:
        """Read ranges back from the device, past its caches; one digest for each, in order."""
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command ended; both outputs as text."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str


class Remote(Protocol):
    """A shell somewhere else, as root or as the account it was opened for."""

    def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60, check: bool = True
    ) -> Completed:
        """Run a command without a shell in between (arguments are quoted).

        With `check`, a status other than 0 raises RemoteCommandError with the command and the
        end of what it printed. After `timeout` seconds: LateError.
        """
        ...

    def write(self, path: str, content: bytes, mode: int = 0o600) -> None:
        """Put a file there, never readable by others meanwhile."""
        ...


class GuestTree(Protocol):
    """The guest's files, from its own root; nothing leads out of it, symlinks included."""

    def exists(self, path: str) -> bool:
        """Whether the path exists (a dangling symlink does not)."""
        ...

    def read_text(self, path: str) -> str:
        """Read a text file of at most 1 MiB; MorphingError names it when it is missing."""
        ...

    def write_text(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a text file, parent folders included."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file; nothing happens when there is none."""
        ...

    def list(self, folder: str) -> tuple[str, ...]:
        """Name the entries of a folder, sorted; empty when there is no such folder."""
        ...

    def run(self, argv: Sequence[str], *, timeout: float = 60, check: bool = True) -> Completed:
        """Run a command inside the guest's root."""
        ...


class MorphStep(Protocol):
    """One change to a guest. Modules satisfy it; the module's docstring is its purpose."""

    __name__: str
    __doc__: str | None

    def applies_to(self, os: GuestOS, options: MorphOptions) -> bool:
        """Whether this guest needs the step."""
        ...

    def apply(self, guest: GuestTree, os: GuestOS, options: MorphOptions) -> Outcome:
        """Do it, and prove it; a second time changes nothing."""
        ...
