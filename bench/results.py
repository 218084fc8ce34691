# SPDX-License-Identifier: Apache-2.0
"""The rows, the targets, and the page that shows both."""

import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

from bench.links import GIGABIT, LOOPBACK, SLOW
from bench.movers import MoverName
from tradewind.model.record import Record
from tradewind.units import GiB, MiB, human_size


class Row(Record):
    """One mover, one case, one link: the median of its rounds.

    `wire` and `memory` are bytes; `ratio` is nbdcopy's seconds over this mover's, None where
    nbdcopy was not measured; `changed` the bytes that an incremental had to send.
    """

    case: str
    link: str
    mover: MoverName
    seconds: float
    wire: int
    ratio: float | None
    memory: int
    changed: int | None = None


@dataclass(frozen=True, slots=True)
class Goal:
    """What has to be reached; `found` takes the figure from the rows, None: not measured."""

    sentence: str
    found: Callable[[Sequence[Row]], float | None]
    reached: Callable[[float], bool]


def _ours(rows: Sequence[Row], link: str, case: str) -> Iterator[Row]:
    for row in rows:
        is_one = row.mover is MoverName.OURS and case in row.case
        if is_one and link in ("", row.link):
            yield row


def _ratio(link: str, case: str) -> Callable[[Sequence[Row]], float | None]:
    def found(rows: Sequence[Row]) -> float | None:
        ratios = (row.ratio for row in _ours(rows, link, case))
        return min((ratio for ratio in ratios if ratio is not None), default=None)

    return found


def _wire(rows: Sequence[Row]) -> float | None:
    return max((r.wire / r.changed for r in _ours(rows, "", "") if r.changed), default=None)


def _memory(rows: Sequence[Row]) -> float | None:
    return max((row.memory / MiB for row in _ours(rows, "", "")), default=None)


def _growth(rows: Sequence[Row]) -> float | None:
    """Compare the seconds for the same changed bytes on disks of different sizes."""
    pairs = []
    for link in {row.link for row in rows}:
        small = [row.seconds for row in _ours(rows, link, "1.0% of")]
        large = [row.seconds for row in _ours(rows, link, "the same")]
        pairs += [b / a for a, b in zip(small, large, strict=False)]
    return max(pairs, default=None)


TARGETS: Final = (
    Goal(
        "Random data on the loopback: at least 1.0 × nbdcopy's speed",
        _ratio(LOOPBACK.name, "random"),
        lambda ratio: ratio >= 1.0,
    ),
    Goal(
        "OS disk at 1 Gbit/s: at least 2.0 × nbdcopy's speed",
        _ratio(GIGABIT.name, "OS disk"),
        lambda ratio: ratio >= 2.0,
    ),
    Goal(
        "OS disk at 200 Mbit/s: at least 2.5 × nbdcopy's speed",
        _ratio(SLOW.name, "OS disk"),
        lambda ratio: ratio >= 2.5,
    ),
    Goal(
        "Incremental: at most 1.1 × the changed bytes on the wire, in the worst row",
        _wire,
        lambda ratio: ratio <= 1.1,
    ),
    Goal(
        "Memory of the controller: under 300 MiB in the worst row",
        _memory,
        lambda mebibytes: mebibytes < 300,
    ),
    Goal(
        "Time of an incremental follows the changed bytes: the same bytes on a disk 32 times as "
        "large take at most 1.5 × as long, in the worst row",
        _growth,
        lambda ratio: ratio <= 1.5,
    ),
)


def judged(rows: Sequence[Row]) -> Iterator[str]:
    """Say of each target whether it is reached, with its figure."""
    for target in TARGETS:
        found = target.found(rows)
        if found is None:
            yield f"- not measured – {target.sentence}"
        else:
            word = "reached" if target.reached(found) else "**falls short**"
            yield f"- {word}: {found:.2f} – {target.sentence}"


def table(rows: Sequence[Row]) -> str:
    """Lay the rows out, links apart."""
    parts = []
    for link, group in groupby(rows, key=lambda row: row.link):
        lines = "\n".join(line(row) for row in group)
        parts.append(
            f"### {link}\n\n"
            "| case | mover | seconds | on the wire | × nbdcopy | peak memory |\n"
            f"|---|---|---:|---:|---:|---:|\n{lines}\n"
        )
    return "\n".join(parts)


def line(row: Row) -> str:
    """Make a row's line of the table."""
    ratio = "–" if row.ratio is None else f"{row.ratio:.2f}"
    return (
        f"| {row.case} | {row.mover} | {row.seconds:.2f} | {human_size(row.wire)} | {ratio}"
        f" | {human_size(row.memory)} |"
    )


def machine() -> str:
    """Describe where this was measured."""
    cpu = next(
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return (
        f"{os.cpu_count()} CPUs ({cpu}), {memory / GiB:.0f} GiB of memory, Linux"
        f" {platform.release()}, Python {platform.python_version()}, {_version('nbdcopy')},"
        f" {_version('qemu-img')}, load before: {os.getloadavg()[0]:.1f}"
    )


def _version(program: str) -> str:
    argv = [program, "--version"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0].partition(" (")[0]


def save(rows: Sequence[Row], path: Path) -> None:
    """Write the rows for programs."""
    content = [row.model_dump(mode="json") for row in rows]
    path.write_text(json.dumps(content, indent=1) + "\n")


def load(path: Path) -> list[Row]:
    """Read the rows of an earlier run."""
    return [Row.model_validate(row) for row in json.loads(path.read_text())]
