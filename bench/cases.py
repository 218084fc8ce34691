# SPDX-License-Identifier: Apache-2.0
"""What is moved: images in a folder, made before anything is measured."""

import os
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import images
from bench.links import LOOPBACK, Link
from bench.movers import MoverName
from tradewind.units import GiB, KiB, MiB

_SEED: Final = 1
_CHANGE: Final = 64 * KiB
_GRID: Final = 8 * MiB

ALL: Final = tuple(MoverName)
OURS_ONLY: Final = (MoverName.OURS,)


@dataclass(frozen=True, slots=True)
class Case:
    """Images that are moved at once.

    `changed` is the part of the disk that an incremental sends, in blocks that begin at multiples
    of `grid`. The peers know no incrementals: they copy all of it, once for all cases of one
    `peers`.
    """

    name: str
    images: tuple[Path, ...]
    movers: tuple[MoverName, ...] = ALL
    changed: float | None = None
    peers: str = ""
    grid: int = _CHANGE

    @property
    def size(self) -> int:
        """Bytes of one image."""
        return self.images[0].stat().st_size

    def changes(self) -> tuple[tuple[int, int], ...] | None:
        """Choose the changed blocks of 64 KiB, spread over the disk."""
        if self.changed is None:
            return None
        chance = random.Random(_SEED)  # noqa: S311 - the same blocks in every run
        count = max(round(self.size // _CHANGE * self.changed), 1)
        chosen = chance.sample(range(0, self.size, self.grid), count)
        return tuple((start, _CHANGE) for start in sorted(chosen))


def cases(link: Link, folder: Path, *, quick: bool) -> Iterator[Case]:
    """Return what is moved over a link: less of it where it is slow, so that all takes minutes."""
    size = 64 * MiB if quick else GiB if link == LOOPBACK else 128 * MiB
    yield Case("full copy, OS disk", (os_disk(folder),))
    yield Case(f"full copy, {size // MiB} MiB random", (random_disk(folder, size),))
    yield Case("full copy, sparse disk", (sparse_disk(folder),))
    yield from _incrementals(folder, 64 * MiB if quick else 512 * MiB)
    each = size if link == LOOPBACK else size // 2
    for count in (1, 8) if quick else (1, 2, 4, 8):
        parts = tuple(random_disk(folder, each // count, n) for n in range(count))
        yield Case(f"disks: {count} × {each // count // MiB} MiB random", parts)


def _incrementals(folder: Path, size: int) -> Iterator[Case]:
    disk = random_disk(folder, size)
    for changed in (0.001, 0.01, 0.1):
        name = f"incremental, {changed:.1%} of {size // MiB} MiB"
        yield Case(name, (disk,), changed=changed, peers="incremental")
    # As many blocks as 1 % of the disk above.
    large = large_disk(folder)
    changed = 0.01 * size / large.stat().st_size
    name = f"incremental, the same {0.01 * size / MiB:.1f} MiB of {large.stat().st_size // GiB} GiB"
    yield Case(name, (large,), OURS_ONLY, changed=changed, grid=_GRID)


def os_disk(folder: Path) -> Path:
    """Unpack the Debian image of the lab: 20 GiB, 0.7 GiB of them data."""
    path = folder / "os.raw"
    if not path.exists():
        built = images.build("debian12-bios").disks[0]
        argv = ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(built), str(path)]
        subprocess.run(argv, check=True)
    return path


def random_disk(folder: Path, size: int, number: int = 0) -> Path:
    """Make a disk that nothing can compress."""
    path = folder / f"random-{size // MiB}-{number}.raw"
    if not path.exists():
        with path.open("wb") as file:
            for _ in range(size // MiB):
                file.write(os.urandom(MiB))
    return path


def sparse_disk(folder: Path) -> Path:
    """Make 16 GiB with 1 MiB of random data in every 512 MiB."""
    return _scattered(folder / "sparse.raw", 16 * GiB, 512 * MiB, MiB)


def large_disk(folder: Path) -> Path:
    """Make 16 GiB of which a block in every 8 MiB is random."""
    return _scattered(folder / "large.raw", 16 * GiB, _GRID, _CHANGE)


def _scattered(path: Path, size: int, step: int, length: int) -> Path:
    if not path.exists():
        with path.open("wb") as file:
            for start in range(0, size, step):
                file.seek(start)
                file.write(os.urandom(length))
        os.truncate(path, size)
    return path
