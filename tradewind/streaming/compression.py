# SPDX-License-Identifier: Apache-2.0
"""Compress what is sent, where measuring says that it is then sent sooner.

A thread packs, then sends, so a byte costs `packing + ratio × wire` seconds. Samples of each piece
tell its ratio; the seconds are those of what was moved just before. The wire's include whatever
makes sending slow: the link, other threads, a limit, an emulated CPU that deciphers over there.
"""

import mmap
import time
import weakref
from typing import Final

from tradewind.streaming.writer_service import MAX_BODY, LibZstd, address
from tradewind.units import KiB, MiB

RAW: Final = 0

# Of zstd 1.5 on a Debian system disk, one core: 550, 350 and 125 MB/s, to 29, 26 and 24 %.
LEVELS: Final = (1, 3, 6)

# What does not shrink at least this far is sent as it is: the worker need not expand it.
_WORTH_SENDING: Final = 0.9
# Packing, and packing harder, has to promise this much less time.
_CLEAR_WIN: Final = 0.95
# After so many pieces one is packed at a neighbouring level: data and link change.
_PROBE_EVERY: Final = 32

# A disk is a mixture: one sample told half of the system disk's pieces wrong. These cost 2 % of
# what packing all of the piece would.
_SAMPLES: Final = 4
_SAMPLE_SIZE: Final = 16 * KiB

# What is known halves in weight with so many bytes.
_HALF_LIFE: Final = 16 * MiB

# Until it is known a link counts as slow (200 Mbit/s): a short stream ends before it is known,
# and on a quick link 30 MiB of packing in vain take 60 ms.
_WIRE_AT_FIRST: Final = 40e-9
_PACKING_AT_FIRST: Final = 2e-9

_LEVEL_PARAMETER: Final = 100  # ZSTD_c_compressionLevel, zstd.h


class Average:
    """An amount per byte; what came later weighs more."""

    def __init__(self, value: float = 0.0, size: int = 0) -> None:
        self._amount = value * size
        self._size = float(size)

    @property
    def is_known(self) -> bool:
        """Whether there was anything at all."""
        return self._size > 0

    @property
    def value(self) -> float:
        """Amount per byte."""
        return self._amount / self._size if self._size else 0.0

    def add(self, amount: float, size: int) -> None:
        """Take in what some bytes came to."""
        weight = 0.5 ** (size / _HALF_LIFE)
        self._amount = self._amount * weight + amount
        self._size = self._size * weight + size


class LevelChoice:
    """Which level the next piece is packed at. Pure: it is told all times."""

    def __init__(self) -> None:
        self._level = LEVELS[0]
        self._packed = 0
        self._wire = Average(_WIRE_AT_FIRST, _HALF_LIFE // 2)
        self._seconds = {level: Average() for level in LEVELS}
        self._seconds[self._level] = Average(_PACKING_AT_FIRST, MiB)
        self._ratios = {level: Average() for level in LEVELS}

    def next(self, ratio: float) -> int:
        """Choose for a piece whose samples shrank to `ratio`: RAW, or the best level known."""
        packing = self._seconds[self._level].value + ratio * self._wire.value
        if ratio > _WORTH_SENDING or packing > _CLEAR_WIN * self._wire.value:
            return RAW
        self._packed += 1
        if self._packed % _PROBE_EVERY == 0:
            return self._neighbour(self._packed // _PROBE_EVERY)
        return self._level

    def packed(self, level: int, size: int, packed: int, seconds: float) -> None:
        """Learn what packing `size` bytes took, and came to."""
        self._seconds[level].add(seconds, size)
        self._ratios[level].add(packed, size)

    def sent(self, size: int, seconds: float) -> None:
        """Learn what sending took, and think again about the level."""
        self._wire.add(seconds, size)
        known = [level for level in LEVELS if self._ratios[level].is_known]
        best = min(known, key=self._cost, default=self._level)
        enough = _CLEAR_WIN if best > self._level else 1.0
        if self._cost(best) < enough * self._cost(self._level):
            self._level = best

    def _cost(self, level: int) -> float:
        return self._seconds[level].value + self._ratios[level].value * self._wire.value

    def _neighbour(self, turn: int) -> int:
        at = LEVELS.index(self._level)
        beside = [level for level in LEVELS[max(at - 1, 0) : at + 2] if level != self._level]
        return beside[turn % len(beside)]


class Packer:
    """Compresses into a buffer of its own, again and again; for one thread."""

    def __init__(self, library: LibZstd, size: int = MAX_BODY) -> None:
        self._library = library
        self._context = library.packer()
        self._buffer = memoryview(mmap.mmap(-1, size))
        weakref.finalize(self, library.free_packer, self._context)

    def pack(self, view: memoryview, level: int) -> memoryview:
        """Make one zstd frame, good until the next call; the view itself when it shrinks little.

        The view has to be writable.
        """
        room = int(len(view) * _WORTH_SENDING)
        self._library.set_parameter(self._context, _LEVEL_PARAMETER, level)
        count = int(
            self._library.compress(
                self._context, address(self._buffer), room, address(view), len(view)
            )
        )
        return view if self._library.is_error(count) else self._buffer[:count]


class Sampler:
    """Tells how far a piece will shrink, from a few places of it; for one thread."""

    def __init__(self, library: LibZstd) -> None:
        # A context of its own: zstd makes its tables anew when sizes go up and down.
        self._packer = Packer(library, _SAMPLE_SIZE)

    def ratio(self, view: memoryview) -> float:
        """Estimate the part that will be left; for a short piece that is packed in any case, 0."""
        if len(view) <= _SAMPLES * _SAMPLE_SIZE:
            return 0.0
        step = len(view) // _SAMPLES
        packed = (
            len(self._packer.pack(view[start : start + _SAMPLE_SIZE], LEVELS[0]))
            for start in range(step // 2, _SAMPLES * step, step)
        )
        return sum(packed) / (_SAMPLES * _SAMPLE_SIZE)


class Compressor:
    """One connection's packer and its choice; without libzstd everything goes as it is."""

    def __init__(self, library: LibZstd | None) -> None:
        self._tools = (Packer(library), Sampler(library)) if library else None
        self._choice = LevelChoice()

    def pack(self, view: memoryview) -> memoryview:
        """Give what shall be sent, at most 4 MiB: fewer bytes than the view, or all of it."""
        if self._tools is None:
            return view
        if view.readonly:
            view = memoryview(bytearray(view))
        packer, sampler = self._tools
        level = self._choice.next(sampler.ratio(view))
        if level == RAW:
            return view
        # Not CPU time: waiting for a processor is what packing costs where they are scarce. On two
        # busy ones a system disk took 4.5 s on the loopback and 6.1 s at 1 Gbit/s by CPU time, and
        # 3.5 s and 5.0 s by the clock.
        begun = time.perf_counter()
        packed = packer.pack(view, level)
        self._choice.packed(level, len(view), len(packed), time.perf_counter() - begun)
        return packed

    def sent(self, size: int, seconds: float) -> None:
        """Learn how long what was packed took to go."""
        self._choice.sent(size, seconds)
