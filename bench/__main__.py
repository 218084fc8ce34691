# SPDX-License-Identifier: Apache-2.0
"""Measure, print the table, and write it down; `python -m bench --help` says what else."""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench import results
from bench.cases import Case, cases
from bench.links import LINKS, Link, OpenLink, raised
from bench.movers import Measurement, MoverName, Scene, move
from bench.ours import MovedDisk
from bench.page import page
from bench.results import Row
from tradewind.sources.images import qemu
from tradewind.sources.images.door import open_image
from tradewind.units import MiB

_ROOT: Final = Path(__file__).parents[1]
_PAGE: Final = _ROOT / "docs" / "benchmarks.md"
# Before whatever else the machine does, which on few processors disturbs one mover or another.
_NICE: Final = -5

_RESULTS: Final = _ROOT / "bench" / "results.json"


def measured(case: Case, line: OpenLink, folder: Path, mover: MoverName) -> Measurement:
    """Move a case's disks once, to files that read as zero, and see that they arrived."""
    targets = [_target(folder, number) for number in range(len(case.images))]
    for image, target in zip(case.images, targets, strict=True):
        _prepare(image, target)
    changes = case.changes() if mover is MoverName.OURS else None
    with ExitStack() as stack:
        disks = [
            MovedDisk(
                socket=_serve(stack, image, folder, f"source-{n}"),
                size=case.size,
                changed=changes,
            )
            for n, image in enumerate(case.images)
        ]
        found = move(mover, Scene(line, disks, targets, folder))
    for image, target in zip(case.images, targets, strict=True):
        _compare(image, target, changes)
    return found


def _serve(stack: ExitStack, image: Path, folder: Path, name: str) -> Path:
    opened = stack.enter_context(open_image(image.parent, image, "raw"))
    return stack.enter_context(qemu.served(opened, folder, name))


def _target(folder: Path, number: int) -> Path:
    return folder / f"target-{number}"


def _prepare(image: Path, target: Path) -> None:
    """Make a target that reads as zero; one that is going to be full keeps the memory it has."""
    size = image.stat().st_size
    is_full = image.stat().st_blocks * 512 >= size
    with target.open("r+b" if target.exists() else "wb") as file:
        file.truncate(size if is_full else 0)
        file.truncate(size)
        for _ in range(size // MiB if is_full else 0):
            file.write(bytes(MiB))


def _compare(image: Path, target: Path, changes: tuple[tuple[int, int], ...] | None) -> None:
    if changes is None:
        argv = ["qemu-img", "compare", "-q", "-f", "raw", "-F", "raw", str(image), str(target)]
        subprocess.run(argv, check=True)
        return
    with image.open("rb") as ours, target.open("rb") as theirs:
        for start, length in changes:
            ours.seek(start)
            theirs.seek(start)
            if ours.read(length) != theirs.read(length):
                raise SystemExit(f"{target} differs at byte {start}")


def median(found: Sequence[Measurement]) -> Measurement:
    """Take the middle of each figure; of the memory the most."""
    return Measurement(
        statistics.median(each.seconds for each in found),
        int(statistics.median(each.wire for each in found)),
        max(each.memory for each in found),
    )


def rows_of(link: Link, chosen: Sequence[str], folder: Path, *, quick: bool) -> Iterator[Row]:
    """Measure all cases over one link, the movers in turns."""
    rounds = 1 if quick else link.rounds
    known: dict[tuple[str, MoverName], Measurement] = {}
    with raised(link) as line:
        for case in cases(link, folder, quick=quick):
            if not all(word in f"{link.name} {case.name}" for word in chosen):
                continue
            missing = [mover for mover in case.movers if (case.peers, mover) not in known]
            turns = [mover for _ in range(rounds) for mover in missing]
            each = [(mover, measured(case, line, folder, mover)) for mover in turns]
            for number in range(len(case.images)):
                _target(folder, number).unlink(missing_ok=True)
            found = {m: median([figure for by, figure in each if by is m]) for m in missing}
            peers = {m: f for m, f in found.items() if case.peers and m is not MoverName.OURS}
            known |= {(case.peers, mover): figure for mover, figure in peers.items()}
            found |= {m: known[case.peers, m] for m in case.movers if m not in found}
            yield from _rows(case, link, found)


def _rows(case: Case, link: Link, found: dict[MoverName, Measurement]) -> Iterator[Row]:
    nbdcopy = found.get(MoverName.NBDCOPY)
    changes = case.changes()
    for mover in case.movers:
        figure = found[mover]
        row = Row(
            case=case.name,
            link=link.name,
            mover=mover,
            seconds=round(figure.seconds, 3),
            wire=figure.wire,
            ratio=round(nbdcopy.seconds / figure.seconds, 2) if nbdcopy else None,
            memory=figure.memory,
            changed=sum(length for _, length in changes) if changes else None,
        )
        print(results.line(row), flush=True)
        yield row


def main() -> None:
    """Measure everything, or what has all the words of --only in its link and its case."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="little data, one round, no files")
    parser.add_argument("--only", action="append", default=[], metavar="WORD")
    arguments = parser.parse_args()
    machine = results.machine()
    # Ended early, it takes its namespaces and gigabytes of memory along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    os.nice(_NICE)
    with tempfile.TemporaryDirectory(prefix="tradewind-bench-", dir="/dev/shm") as name:
        rows = [
            row
            for link in LINKS
            for row in rows_of(link, arguments.only, Path(name), quick=arguments.quick)
        ]
    print("\n".join(results.judged(rows)))
    if not arguments.quick and not arguments.only:
        results.save(rows, _RESULTS)
        _PAGE.write_text(page(rows, f"{machine}, after: {os.getloadavg()[0]:.1f}"))


if __name__ == "__main__":
    main()
