# SPDX-License-Identifier: Apache-2.0
"""Every interface with more than one implementation, on one page.

DataSource ──snapshot──▶ Snapshot ──open──▶ DiskReader ─┐
                                                        ├─ streaming copies one to the other
                                     DiskWriter ────────┘
Remote: a shell on a host or in a worker.
GuestTree: the guest's files, as a morphing step sees them.
PackageSystem: the guest's own way to install software.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from tradewind.model.guest import ChrootAccess, GuestOS, MorphOptions, Outcome
from tradewind.model.machine import Disk, MachineSummary, VirtualMachine
from tradewind.model.migrate import ShutDown
from tradewind.model.overview import MachineOverview
from tradewind.model.progress import DiskProgress
from tradewind.model.run import Run
from tradewind.model.source import SourceFindings
from tradewind.model.storage import Checkpoint, Extent, Tracking

ProgressListener = Callable[[DiskProgress], None]


class DataSource(Protocol):
    """Where machines and the contents of their disks come from."""

    def machines(self) -> Iterable[MachineSummary]:
        """List what can be moved."""
        ...

    def overview(self) -> Iterable[MachineOverview]:
        """Describe them all to a person, as cheaply as it goes; nothing is checked or changed."""
        ...

    def inspect(self, machine_id: str) -> VirtualMachine:
        """Describe one machine; NotFoundError names it and the ones there are."""
        ...

    def preflight_source(self, machine: VirtualMachine) -> SourceFindings:
        """Return what would keep the machine from being read; nothing is changed."""
        ...

    def snapshot(
        self,
        machine: VirtualMachine,
        run: Run,
        since: Checkpoint | None = None,
        *,
        track: bool = True,
    ) -> AbstractContextManager["Snapshot"]:
        """Freeze one point in time of all disks; leaving the context releases it.

        `run` labels whatever has to be made on the source for it. A disk of `since` whose changes
        are not known any more is looked at in full, and says so. With `track`, changes are tracked
        from this point on, where the source can; that ends when the context is left by an error.
        """
        ...

    def retire_checkpoints(
        self, machine: VirtualMachine, transfer: str, keep: Checkpoint | None
    ) -> None:
        """Remove the checkpoints that executions of a transfer made, but for one."""
        ...

    def forget_replica(
        self, machine: VirtualMachine, run: Run, last: Checkpoint | None
    ) -> tuple[str, ...]:
        """Remove all checkpoints of the run's transfer, whether or not the machine runs; name them.

        `last` is the one that the ledger knows, which the source may have forgotten.
        """
        ...

    def clean_up(self, runs: Collection[str]) -> None:
        """Remove what runs that ended badly left on the source."""
        ...

    def shut_down(self, machine: VirtualMachine, *, timeout: float, force: bool) -> ShutDown:
        """Shut the machine down, gently first; LateError when it still runs."""
        ...

    def start(self, machine: VirtualMachine) -> None:
        """Start the machine where it was; nothing happens when it runs."""
        ...

    def start_with_host(self, machine: VirtualMachine, *, wanted: bool) -> None:
        """See to it that the machine starts with its host, or does not; nothing happens when so."""
        ...


class Snapshot(Protocol):
    """A frozen view of one machine."""

    @property
    def consistency(self) -> str:
        """How the point in time came about, in words for the report."""
        ...

    @property
    def moment(self) -> datetime:
        """When it was."""
        ...

    @property
    def checkpoint(self) -> Checkpoint | None:
        """What to pass as `since` next time; None when no change is tracked from here on."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what a person has to know of it, as things are now; for the report."""
        ...

    def tracking(self, disk: Disk) -> Tracking:
        """Return whether clean ranges of this disk are known, and if not, why."""
        ...

    def extents(self, disk: Disk) -> Iterable[Extent]:
        """All of the disk, sorted, without gaps or overlap.

        Data, or known to read as zero; or clean, if only `tracking` says so.
        """
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
    """One connection to the disk that receives.

    `write` and `zero` may return before it is done: a WriterError about them comes at the latest
    with the next `flush` or `digests`, and the connection goes on. The order is kept.
    """

    def write(self, offset: int, view: memoryview) -> int:
        """Write the bytes at `offset`; returns how many bytes crossed the wire for them.

        The view may be used for something else at once.
        """
        ...

    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zero, without sending zeroes."""
        ...

    def flush(self) -> None:
        """Return when everything written through this connection is durable."""
        ...

    def tags(self, view: memoryview) -> list[bytes]:
        """Tag each 64 KiB block of bytes that are here, as `digests` does over there."""
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
    """The guest's files, from its own root; nothing leads out of it, symlinks included.

    Only regular files and folders are opened. A folder of more than 10,000 entries is an error.
    """

    def exists(self, path: str) -> bool:
        """Whether the path exists (a dangling symlink does not)."""
        ...

    def present(self, *paths: str) -> tuple[str, ...]:
        """Return which of these paths exist, in their order."""
        ...

    def read_text(self, path: str) -> str:
        """Read a text file of at most 1 MiB; MorphingError names it when it is missing."""
        ...

    def read_texts(self, *patterns: str) -> dict[str, str]:
        """Read all text files that match ("*", "?"), by path, at most 1 MiB each and 8 MiB in all.

        What is no regular file is left out. MorphingError names what is over a bound.
        """
        ...

    def write_text(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a text file, parent folders included."""
        ...

    def write_bytes(self, path: str, content: bytes) -> None:
        """Write a file that only root reads, parent folders included."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file; nothing happens when there is none."""
        ...

    def list(self, folder: str) -> tuple[str, ...]:
        """Name the entries of a folder, sorted; empty when there is no such folder."""
        ...

    def label(self, labels: Sequence[tuple[str, str]]) -> None:
        """Give files SELinux labels: pairs of path and label."""
        ...

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float = 60,
        check: bool = True,
        reach: ChrootAccess = ChrootAccess.FILES,
    ) -> Completed:
        """Run a command inside the guest's root; LateError names it when it did not end."""
        ...


class PackageSystem(Protocol):
    """How one guest installs and removes software: apt, dnf, zypper."""

    @property
    def name(self) -> str:
        """The program, as its users call it."""
        ...

    @property
    def suffix(self) -> str:
        """What the names of its package files end in: ".deb", ".rpm"."""
        ...

    def installed(self, *packages: str) -> bool:
        """Whether all packages are installed and configured."""
        ...

    def matching(self, *patterns: str) -> tuple[str, ...]:
        """Name the installed packages that match shell patterns, sorted."""
        ...

    def versions(self) -> frozenset[str]:
        """Name every installed package as its file would be named, without the suffix."""
        ...

    def install(self, *packages: str) -> None:
        """Install from the guest's own repositories, without what is only recommended.

        PackageError says why not; no package is half-installed then.
        """
        ...

    def install_from(self, folder: str, *packages: str) -> None:
        """Install from package files in a folder of the guest, and from nothing else.

        Of the other files there, only those that the packages need. PackageError as above.
        """
        ...

    def leaving_with(self, *packages: str) -> frozenset[str]:
        """Return what else would be removed with these packages; nothing is changed."""
        ...

    def remove(self, *packages: str) -> None:
        """Remove packages and nothing else; PackageError when that cannot be."""
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
