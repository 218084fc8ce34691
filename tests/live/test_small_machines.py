# SPDX-License-Identifier: Apache-2.0
"""Machines that are shut off, and disk images: transfer, nothing to do, kill, cancel, memory."""

import signal
import tempfile
import time
from pathlib import Path

import pytest

from lab import site
from lab.records import Lab
from tests.live import hosts
from tests.live.tradewind_command import Tradewind, wait_for_line
from tradewind.model.report import TransferReport
from tradewind.units import MiB, human_size

pytestmark = pytest.mark.live

DATA_MIB = 192


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "quiet.qcow2"
    hosts.make_qcow2(path, data_mib=DATA_MIB, size="3G")
    return path


@pytest.fixture(scope="module")
def quiet(the_lab: Lab, image: Path) -> str:
    """A machine that is shut off."""
    hosts.define_shut_off(the_lab.source, "quiet", image)
    return "quiet"


@pytest.fixture(scope="module")
def peaks() -> dict[int, int]:
    """How many bytes of memory a flow took at most, for a machine with so many MiB of data."""
    return {}


def replica(lab: Lab, report: TransferReport) -> Path:
    planned = (*report.plan.create, *report.plan.keep)
    return hosts.volume_file(lab.destination, planned[0].volume.name)


def folders_of(pid: int) -> list[Path]:
    """Where a process kept its keys, on this machine."""
    return list(Path(tempfile.gettempdir()).glob(f"tradewind-{pid}-*"))


def test_killed_swept_and_transferred_again(
    tradewind: Tradewind, the_lab: Lab, quiet: str, image: Path, peaks: dict[int, int]
) -> None:
    """SIGKILL in the middle; the sweep takes everything away; the next transfer is right."""
    clean = {host.name: hosts.traces(host) for host in (the_lab.source, the_lab.destination)}
    with tradewind.start(*tradewind.transfer_words(quiet)) as process:
        wait_for_line(process, "mark-written-quiet", 300)
        time.sleep(3)
        process.kill()
        process.communicate()
    assert folders_of(process.pid) != []  # with the keys of both hosts and of the worker
    left = hosts.traces(the_lab.destination)
    assert any(name.endswith("-transfer") for name in left["domains"])

    dry = tradewind.run("sweep", site.SOURCE, site.DESTINATION, "--dry-run")
    assert dry.status == 0, dry.stderr[-2000:]
    assert hosts.traces(the_lab.destination) == left

    swept = tradewind.run("sweep", site.SOURCE, site.DESTINATION)
    assert swept.status == 0, swept.stderr[-2000:]
    print(swept.stdout)
    assert folders_of(process.pid) == []
    assert hosts.traces(the_lab.source) == clean["source"]
    after = hosts.traces(the_lab.destination)
    replicas = [name for name in after["volumes"] if name.startswith("quiet-")]
    after["volumes"] = [name for name in after["volumes"] if name not in replicas]
    assert after == clean["destination"]

    report = tradewind.transfer(quiet)
    hosts.assert_same_contents(image, replica(the_lab, report))
    peaks[DATA_MIB] = report.peak_memory


def test_a_machine_that_did_not_change_costs_next_to_nothing(
    tradewind: Tradewind, the_lab: Lab, quiet: str, image: Path
) -> None:
    report = tradewind.transfer(quiet)
    assert report.sent == 0
    assert not report.full
    words = tradewind.run("report", quiet, "--from", site.SOURCE, "--to", site.DESTINATION)
    assert "Nothing had changed: nothing was sent." in words.stdout
    hosts.assert_same_contents(image, replica(the_lab, report))


def test_cancelled_within_seconds_and_nothing_left(
    tradewind: Tradewind, the_lab: Lab, image: Path
) -> None:
    hosts.define_shut_off(the_lab.source, "stopped", image)
    clean = {host.name: hosts.traces(host) for host in (the_lab.source, the_lab.destination)}
    with tradewind.start(*tradewind.transfer_words("stopped")) as process:
        wait_for_line(process, "mark-written-stopped", 300)
        time.sleep(2)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
    print(f"\ncancelled and cleaned up in {time.monotonic() - begun:.1f} s")
    assert process.returncode != 0
    assert hosts.traces(the_lab.source) == clean["source"]
    after = hosts.traces(the_lab.destination)
    after["volumes"] = [name for name in after["volumes"] if not name.startswith("stopped-")]
    assert after == clean["destination"]


@pytest.mark.slow
def test_disk_images_and_memory_that_does_not_grow(
    tradewind: Tradewind, the_lab: Lab, tmp_path: Path, peaks: dict[int, int]
) -> None:
    """A machine from images, raw and qcow2; it has a sixth of the data of the one above."""
    few = DATA_MIB // 6
    hosts.make_qcow2(tmp_path / "few.qcow2", data_mib=few, size="2G")
    (tmp_path / "few-data.raw").write_bytes(b"tradewind" * 100_000 + bytes(148_576))
    (tmp_path / "few.toml").write_text(
        'name = "few"\nvcpus = 1\nmemory = 512\n'
        '[[disks]]\nfile = "few.qcow2"\n'
        '[[disks]]\nfile = "few-data.raw"\nformat = "raw"\n'
    )
    added = tradewind.run("images", "add", "folder", str(tmp_path))
    assert added.status == 0, added.stderr[-2000:]
    report = tradewind.transfer("few", "--images", source="folder")
    for planned, file in zip(report.plan.create, ("few.qcow2", "few-data.raw"), strict=True):
        there = hosts.volume_file(the_lab.destination, planned.volume.name)
        hosts.assert_same_contents(tmp_path / file, there)
    peaks[few] = report.peak_memory
    assert DATA_MIB in peaks, "what it is compared with is sent above: run the whole file"
    print("\npeak memory:", ", ".join(f"{human_size(peaks[n])} for {n} MiB" for n in peaks))
    assert peaks[DATA_MIB] < peaks[few] + 48 * MiB
    assert max(peaks.values()) < 300 * MiB
