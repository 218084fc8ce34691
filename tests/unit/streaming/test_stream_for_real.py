# SPDX-License-Identifier: Apache-2.0
"""A qcow2 image through qemu-nbd and libnbd, over TLS, into the service, and proven there."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

import pytest

from tests.contract.data_source import RUN
from tests.fakes.images import make_qcow2
from tests.fakes.memory import MemoryReader
from tests.fakes.writer_process import WriterProcess, running_writer
from tradewind.errors import CancelledError, IntegrityError, StreamError, WriterError
from tradewind.model.machine import VirtualMachine
from tradewind.model.progress import DiskProgress, DiskResult
from tradewind.model.storage import Extent, ExtentKind, ReplicaVolume, TargetState, Volume
from tradewind.ports import DiskWriter
from tradewind.sources.images.source import DiskImageSource
from tradewind.streaming.bandwidth import Bandwidth, unlimited
from tradewind.streaming.copy import copy_disks
from tradewind.streaming.copy_thread import CopyJob
from tradewind.streaming.jobs import jobs_for
from tradewind.streaming.over_https import open_writer
from tradewind.streaming.writer import ServiceWriter

MiB, GiB = 1 << 20, 1 << 30


def quiet(_: DiskProgress) -> None:
    """Listen to nothing."""


class Stage:
    """A folder with images and one device file for each, and the service for the devices."""

    def __init__(self, folder: Path, sizes: dict[str, int]) -> None:
        self.folder = folder
        self.devices = {name: folder / f"{name}.device" for name in sizes}
        for name, size in sizes.items():
            self.devices[name].touch()
            os.truncate(self.devices[name], size)
        (folder / "web.toml").write_text(
            "vcpus = 1\nmemory = 512\n"
            + "".join(f'[[disks]]\nfile = "{name}.qcow2"\n' for name in sizes)
        )
        self.source = DiskImageSource(folder)

    def machine(self) -> VirtualMachine:
        return self.source.inspect("web")

    @contextmanager
    def jobs(self, *, blank: bool) -> Iterator[tuple[list[CopyJob], WriterProcess]]:
        machine = self.machine()
        volumes = [
            ReplicaVolume(
                disk_id=disk.id,
                volume=Volume(pool="p", name=disk.id, capacity=disk.capacity, format="raw"),
                serial=disk.id,
                blank=blank,
            )
            for disk in machine.disks
        ]
        with ExitStack() as stack:
            service = stack.enter_context(running_writer(self.folder, self.devices))
            snapshot = stack.enter_context(self.source.snapshot(machine, RUN))
            yield (
                jobs_for(snapshot, machine, volumes, service.access, Bandwidth(unlimited)),
                service,
            )

    def copy(self, *, blank: bool) -> list[DiskResult]:
        with self.jobs(blank=blank) as (jobs, _):
            return copy_disks(jobs, threading.Event(), quiet)


def some_pieces(size: int, seed: int) -> dict[int, bytes]:
    """Random data of random lengths at random places, unaligned ones too."""
    chance = random.Random(seed)  # noqa: S311 - test data
    return {
        chance.randrange(0, size - MiB): chance.randbytes(chance.randrange(1, MiB))
        for _ in range(30)
    }


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path, {"root": 64 * MiB, "data": 33 * MiB + 512})


def make_images(stage: Stage, seed: int) -> dict[str, bytes]:
    return {
        name: make_qcow2(
            stage.folder / f"{name}.qcow2",
            device.stat().st_size,
            some_pieces(device.stat().st_size, seed),
        )
        for name, device in stage.devices.items()
    }


def test_two_disks_arrive_byte_by_byte_and_a_second_copy_moves_nothing(stage: Stage) -> None:
    contents = make_images(stage, seed=1)
    results = stage.copy(blank=True)
    for name, device in stage.devices.items():
        assert device.read_bytes() == contents[name]
    for result, content in zip(results, contents.values(), strict=True):
        assert 0 < result.sent == result.verified < len(content)

    for result in stage.copy(blank=False):
        assert (result.sent, result.zeroed, result.verified) == (0, 0, 0)
        assert result.same == result.capacity


def test_a_changed_machine_replaces_what_was_there(stage: Stage) -> None:
    make_images(stage, seed=1)
    stage.copy(blank=True)
    contents = make_images(stage, seed=2)
    results = stage.copy(blank=False)
    for name, device in stage.devices.items():
        assert device.read_bytes() == contents[name]
    assert all(result.zeroed > 0 for result in results)


def test_a_sparse_20_gib_disk_moves_its_data_only(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {"root": 20 * GiB})
    image = tmp_path / "root.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "20G"], check=True)
    writes = [f"write -P {n + 1} {n * 2}G 1M" for n in range(10)]
    argv = ["qemu-io", "-f", "qcow2"] + [word for write in writes for word in ("-c", write)]
    subprocess.run([*argv, image], check=True, stdout=subprocess.DEVNULL)
    [result] = stage.copy(blank=True)
    assert result.sent == result.read == result.verified == 10 * MiB
    with stage.devices["root"].open("rb") as device:
        for n in range(10):
            device.seek(n * 2 * GiB)
            assert device.read(MiB + 1) == bytes([n + 1]) * MiB + b"\0"
    assert stage.devices["root"].stat().st_blocks * 512 < 12 * MiB


def test_a_service_that_was_restarted_in_between_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written and not flushed, then found equal: the second attempt flushes it."""
    source, device = random.Random(7).randbytes(9 * MiB), tmp_path / "device"  # noqa: S311
    device.touch()
    os.truncate(device, len(source))
    real, order = ServiceWriter.flush, list[str]()

    def flush(writer: ServiceWriter) -> None:
        order.append("flush")
        if len(order) == 1:
            writer.round_trip()  # all writes are answered
            os.kill(first.pid, signal.SIGKILL)
        real(writer)

    monkeypatch.setattr(ServiceWriter, "flush", flush)
    with running_writer(tmp_path, {"one": device}) as first:
        with pytest.raises(StreamError) as caught:
            copy_disks([_job(source, first, TargetState.BLANK)], threading.Event(), quiet, 1)
        assert caught.value.transient
    port = first.access.port
    with running_writer(
        tmp_path, {"one": device}, certificates=first.certificates, port=port
    ) as again:
        job = _job(source, again, TargetState.UNKNOWN)
        [result] = copy_disks([job], threading.Event(), quiet, 1)
    assert (result.sent, result.same) == (0, len(source))
    assert order == ["flush", "flush"]
    assert device.read_bytes() == source


def _job(source: bytes, service: WriterProcess, target: TargetState) -> CopyJob:
    return CopyJob(
        disk_id="root",
        capacity=len(source),
        target=target,
        extents=lambda: [Extent(0, len(source), ExtentKind.DATA)],
        open_reader=lambda: nullcontext(MemoryReader(source)),
        open_writer=lambda: open_writer(service.access, "one"),
    )


def test_what_the_device_lost_after_the_flush_is_found(stage: Stage) -> None:
    contents = make_images(stage, seed=3)
    position = contents["root"].index(contents["root"].lstrip(b"\0")[:64])

    class CorruptingWriter(ServiceWriter):
        def flush(self) -> None:
            super().flush()
            with stage.devices["root"].open("r+b") as device:
                device.seek(position)
                device.write(b"\xde\xad\xbe\xef")
                os.fsync(device.fileno())

    with stage.jobs(blank=True) as (jobs, service):

        def open_corrupting() -> DiskWriter:
            writer = open_writer(service.access, "root")
            writer.__class__ = CorruptingWriter
            return writer

        object.__setattr__(jobs[0], "open_writer", open_corrupting)
        with pytest.raises(IntegrityError, match="Disk root"):
            copy_disks(jobs[:1], threading.Event(), quiet, connections=1)


def test_a_dead_service_is_a_stream_error(stage: Stage) -> None:
    make_images(stage, seed=4)
    with stage.jobs(blank=True) as (jobs, service):
        os.kill(service.pid, signal.SIGKILL)
        started = time.monotonic()
        with pytest.raises(StreamError) as caught:
            copy_disks(jobs, threading.Event(), quiet)
        assert caught.value.transient
        assert time.monotonic() - started < 30  # of the 120 that an answer may take


def test_a_disk_smaller_than_its_source_is_refused_by_the_service(stage: Stage) -> None:
    make_images(stage, seed=5)
    os.truncate(stage.devices["root"], 32 * MiB)
    with stage.jobs(blank=True) as (jobs, _), pytest.raises(WriterError, match="not inside it"):
        copy_disks(jobs, threading.Event(), quiet)


def copy_for_ever(jobs: list[CopyJob], stop: threading.Event) -> None:
    while True:
        copy_disks(jobs, stop, quiet)


@pytest.mark.parametrize("delay", [0.0, 0.15])
def test_a_stop_does_not_wait_for_a_service_that_hangs(stage: Stage, delay: float) -> None:
    make_images(stage, seed=6)
    stop = threading.Event()
    stopped_at: list[float] = []

    def hang(pid: int) -> None:
        time.sleep(delay)  # 0: while the connections are being made
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.5)
        stopped_at.append(time.monotonic())
        stop.set()

    with stage.jobs(blank=True) as (jobs, service), ExitStack() as stack:
        stack.callback(os.kill, service.pid, signal.SIGCONT)
        thread = threading.Thread(target=hang, args=[service.pid])
        thread.start()
        stack.callback(thread.join)
        with pytest.raises(CancelledError):
            copy_for_ever(jobs, stop)
        assert time.monotonic() - stopped_at[0] < 30  # of the 120 that an answer may take


_MEASURE = """
import sys
from pathlib import Path
from tests.unit.streaming.test_stream_for_real import Stage
from tradewind.memory import peak_memory
stage = Stage(Path(sys.argv[1]), {"root": int(sys.argv[2])})
[result] = stage.copy(blank=True)
assert result.verified == int(sys.argv[2])
print(peak_memory())
"""


def test_memory_does_not_grow_with_the_disk(tmp_path: Path) -> None:
    peaks = {}
    for size in (64 * MiB, 256 * MiB):
        folder = tmp_path / str(size)
        folder.mkdir()
        image = folder / "root.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, str(size)], check=True)
        fill = ["qemu-io", "-f", "qcow2", "-c", f"write -P 7 0 {size}", str(image)]
        subprocess.run(fill, check=True, stdout=subprocess.DEVNULL)
        done = subprocess.run(
            [sys.executable, "-c", _MEASURE, folder, str(size)],
            check=True, capture_output=True, text=True, timeout=120, cwd=Path.cwd(),
        )  # fmt: skip
        peaks[size] = int(done.stdout)
    # Four times the data; on a loaded machine one run may have more buffers in flight.
    assert peaks[256 * MiB] - peaks[64 * MiB] < 32 * MiB, peaks
