# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

from bench.movers import MoverName
from bench.page import page
from bench.results import Row, judged, load, machine, save, table

OURS, NBDCOPY = MoverName.OURS, MoverName.NBDCOPY
MiB = 1 << 20


def row(mover: MoverName = OURS, **changes: object) -> Row:
    plain = {
        "case": "full copy, OS disk",
        "link": "1 Gbit/s",
        "mover": mover,
        "seconds": 3.0,
        "wire": 250 * MiB,
        "ratio": 2.25,
        "memory": 80 * MiB,
    }
    return Row.model_validate({**plain, **changes})


ROWS = [
    row(),
    row(NBDCOPY, seconds=6.75, wire=720 * MiB, ratio=1.0),
    row(link="200 Mbit/s", ratio=2.4),
    row(link="loopback", case="incremental, 1.0% of 512 MiB", wire=11 * MiB, changed=10 * MiB),
    row(link="loopback", case="incremental, the same", seconds=3.3, ratio=None),
]


def test_links_have_tables_of_their_own() -> None:
    text = table(ROWS[:3])
    assert text.count("### ") == 2
    assert "| full copy, OS disk | nbdcopy | 6.75 | 720.0 MiB | 1.00 | 80.0 MiB |" in text


def test_targets_are_judged_as_they_were_measured() -> None:
    lines = list(judged(ROWS))
    assert lines[0].startswith("- not measured – Random data")
    assert lines[1].startswith("- reached: 2.25 – OS disk at 1 Gbit/s")
    assert lines[2].startswith("- **falls short**: 2.40 – OS disk at 200 Mbit/s")
    assert lines[3].startswith("- reached: 1.10 – Incremental")
    assert lines[4].startswith("- reached: 80.00 – Memory")
    assert lines[5].startswith("- reached: 1.10 – Time")


def test_a_row_of_nbdcopy_reaches_nothing() -> None:
    assert all(line.startswith("- not measured") for line in judged([row(NBDCOPY)]))


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    save(ROWS, tmp_path / "results.json")
    assert load(tmp_path / "results.json") == ROWS


def test_the_page_names_the_machine_and_no_path() -> None:
    text = page(ROWS, machine())
    assert "CPUs" in text
    assert "/dev/shm" not in text
    assert "| full copy, OS disk | tradewind | 3.00 |" in text
