# SPDX-License-Identifier: Apache-2.0
"""Watch the room for scratch files while a machine is read, and give the snapshot up in time.

Two watch: a thread here, and scratch_guard.sh on the host with half the reserve, for the time in
which this process is dead or cut off.
"""

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from tradewind.errors import CapacityError, StreamError, TradewindError
from tradewind.model.host import HostAccess
from tradewind.model.source import SourceCare
from tradewind.ports import Remote
from tradewind.remote import shell
from tradewind.shell_programs import program
from tradewind.sources.libvirt import scratch
from tradewind.sources.libvirt.scratch import ScratchSpace
from tradewind.waiting import repeatedly

# Seconds between two looks; and for how many of them the growth is counted on to go on, so that the
# job has ended before the room has.
EVERY: Final = 1.0
AHEAD: Final = 2.0
# Seconds without a look after which a snapshot that no guard watches is given up.
BLIND: Final = 15.0

NO_GUARD: Final = (
    "the source host has no virsh: if this controller had died, nobody would have watched the room"
    " for scratch files (install libvirt-clients there)"
)

_GUARD: Final = program(__file__, "scratch_guard.sh").encode()
_START: Final = program(__file__, "scratch_guard_start.sh").encode()


@dataclass(frozen=True, slots=True)
class WatchedSnapshot:
    """What is watched: a machine's snapshot, and how it is given up.

    The guard knows the machine by its UUID: a name may look like an option of virsh.
    """

    access: HostAccess
    machine: str
    uuid: str
    care: SourceCare
    folders: Collection[str]
    run_folder: str
    give_up: Callable[[], object]


@dataclass(slots=True)
class ScratchWatch:
    """One watch; `reason` is why the snapshot was given up."""

    watched: WatchedSnapshot
    remote: Remote
    is_guarded: bool
    reason: TradewindError | None = None
    _seen: float = field(default_factory=time.monotonic)
    _before: dict[str, int] = field(default_factory=dict)

    def look(self) -> bool:
        """Look at the room once, and give the snapshot up if need be; whether it is given up."""
        self.reason = self.reason or self._why()
        if self.reason is not None:
            self.watched.give_up()  # a call that fails is made again with the next look
        return self.reason is not None

    def why_ended(self) -> TradewindError | None:
        """Return why the snapshot was given up, here or by the guard on the host."""
        if self.reason is None:
            with contextlib.suppress(TradewindError):
                self.reason = self._word_of_guard()
        return self.reason

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Put the reason in the place of what reading a snapshot that is given up comes to."""
        try:
            yield
        except StreamError as error:
            if (reason := self.why_ended()) is not None:
                raise reason from error
            raise

    def _why(self) -> TradewindError | None:
        now = time.monotonic()
        try:
            rooms = scratch.measure(self.remote, self.watched.folders)
        except TradewindError as error:
            return self._blind(now, error)
        growing = [room for room in rooms if self._is_short(room, now - self._seen)]
        self._seen = now
        self._before = {room.folder: room.free for room in rooms}
        return next((self._given_up(room.folder, room.free) for room in growing), None)

    def _is_short(self, room: ScratchSpace, seconds: float) -> bool:
        """Whether the reserve is reached, or will be before the next look has been of use."""
        lost = max(self._before.get(room.folder, room.free) - room.free, 0)
        soon = lost / max(seconds, EVERY) * AHEAD
        return room.above(self.watched.care) - soon <= 0

    def _blind(self, now: float, error: TradewindError) -> TradewindError | None:
        if self.is_guarded or now - self._seen < BLIND:
            return None
        return StreamError(
            f"the snapshot of {self.watched.machine} was given up: the room for what its guest"
            f" overwrites cannot be watched any more: {error.message}"
        )

    def _word_of_guard(self) -> CapacityError | None:
        path = f"{self.watched.run_folder}/given-up"
        said = self.remote.run(["cat", path], timeout=EVERY * 10, check=False)
        if said.status != 0:
            return None
        folder, _, free = said.stdout.partition("\n")
        return self._given_up(folder, int(free) if free.strip().isdecimal() else 0)

    def _given_up(self, folder: str, free: int) -> CapacityError:
        return scratch.given_up(self.watched.machine, folder, free)


@contextlib.contextmanager
def watching(watched: WatchedSnapshot) -> Iterator[ScratchWatch]:
    """Watch from before the snapshot is taken until it is given back.

    CapacityError: there is no room to begin with.
    """
    with shell.connect_to_host(watched.access) as remote:
        rooms = scratch.measure(remote, watched.folders)
        scratch.require_room(rooms, watched.care)
        watch = ScratchWatch(watched, remote, is_guarded=_start_guard(remote, watched, rooms))
        with repeatedly(watch.look, EVERY):
            yield watch


def _start_guard(remote: Remote, watched: WatchedSnapshot, rooms: Sequence[ScratchSpace]) -> bool:
    """Start the guard on the host; False when it cannot end a job there, for want of virsh."""
    guard = f"{watched.run_folder}/guard.sh"
    remote.write(guard, _GUARD, 0o700)
    uri = f"qemu:///{watched.access.libvirt_path}"
    limits = [
        word
        for room in rooms
        for word in (room.folder, str(watched.care.reserve_of(room.size) // 2))
    ]
    argv = ["sh", "-s", "--", guard, uri, watched.uuid, watched.run_folder, *limits]
    return remote.run(argv, stdin=_START, check=False).status == 0
