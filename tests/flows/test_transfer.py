# SPDX-License-Identifier: Apache-2.0
"""One transfer execution, step by step, and what is left when it fails."""

import os
import signal
import time
from collections.abc import Iterator

import pytest
from prefect.exceptions import TerminationSignal

from flows.transfer import transfer
from tests.fakes.flow_stage import Stage
from tradewind.errors import (
    BadInputError,
    BusyError,
    CapacityError,
    NotFoundError,
    OptionError,
    StreamError,
    WriterError,
)
from tradewind.host import storage
from tradewind.model.ledger import Life, RunKind
from tradewind.model.report import TransferReport
from tradewind.model.source import BlockedWork, SourceState
from tradewind.model.storage import ReplicaVolume, StorageMap, Volume
from tradewind.units import MiB

WORKER_IMAGE = {"worker.qcow2"}

IN_ORDER = [
    "begin execution",
    # 1. volume sync
    "replica changes",
    "create sda",
    "replica changes",
    "create sdb",
    # 2. worker boot; what an attempt before it left is removed first
    "discard worker transfer",
    "start worker transfer",
    "create seed",
    "worker answers transfer",
    # 3. hot-attach
    "attach sda",
    "attach sdb",
    # 4. stream
    "start writer",
    "freeze web01",
    "replica changes",
    "stream sda sdb (blank)",
    "thaw",
    # 5. detach, delete the worker, and only then record
    "detach",
    "detach",
    "discard worker transfer",
    "record replica",
]


def replicas(stage: Stage) -> set[str]:
    return stage.volumes() - WORKER_IMAGE


def test_steps_come_in_order(stage: Stage) -> None:
    report = transfer(stage.transfer())
    assert stage.diary == IN_ORDER
    assert isinstance(report, TransferReport)
    assert (report.machine, report.full, report.sent) == ("web01", True, 2 * MiB)
    assert report.worker_seconds_to_ssh == 12.5
    assert len(replicas(stage)) == 2
    assert stage.domains() == set()
    with stage.ledger() as ledger:
        known = ledger.find_synced(stage.endpoint, stage.endpoint, "web01")
        assert {volume.volume.name for volume in ledger.volumes(known.id)} == replicas(stage)
        assert ledger.life_of(report.run) is Life.FINISHED


def test_volumes_are_exactly_as_large_as_their_disks(stage: Stage) -> None:
    transfer(stage.transfer(storage_map=StorageMap(disks={"sdb": "vg"})))
    found = {
        (volume.disk_id, volume.volume.pool, volume.volume.format, volume.volume.capacity)
        for volume in known_volumes(stage)
    }
    assert found == {("sda", "fast", "qcow2", MiB), ("sdb", "vg", "raw", 2 * MiB)}
    for volume in known_volumes(stage):
        there = storage.require_volume(stage.host, volume.volume.pool, volume.volume.name)
        assert storage.describe_volume(there).capacity == volume.volume.capacity


def known_volumes(stage: Stage) -> list[ReplicaVolume]:
    with stage.ledger() as ledger:
        known = ledger.find_transfer(stage.endpoint, stage.endpoint, "web01")
        return ledger.volumes(known.id)


def test_later_execution_keeps_grows_makes_and_removes(stage: Stage) -> None:
    stage.make_replica()
    stage.source.contents["web01"] = {"sda": bytes(3 * MiB), "sdc": bytes(MiB)}
    stage.diary.clear()
    report = transfer(stage.transfer())
    changed = [line for line in stage.diary if line.split()[0] in {"grow", "create", "stream"}]
    assert changed == ["grow sda", "create sdc", "create seed", "stream sda sdc (blank, unknown)"]
    assert not report.full
    assert {volume.disk_id for volume in known_volumes(stage)} == {"sda", "sdc"}
    assert not any("sdb" in name for name in stage.volumes())


def test_shrunk_disk_touches_nothing(stage: Stage) -> None:
    stage.make_replica()
    before = stage.volumes()
    stage.source.contents["web01"] = {"sda": bytes(MiB // 2), "sdc": bytes(MiB)}
    stage.diary.clear()
    with pytest.raises(CapacityError, match="disk sda of web01 shrank"):
        transfer(stage.transfer())
    assert stage.diary == ["begin execution", "finish failed"]
    assert stage.volumes() == before


def in_state(stops: BlockedWork) -> SourceState:
    return SourceState(what="web01 naps", remedy="wake it", evidence="virsh", stops=stops)


def test_machine_that_cannot_be_read_is_refused_before_anything(stage: Stage) -> None:
    stage.source.states = (in_state(BlockedWork.TRANSFER),)
    with pytest.raises(BadInputError, match="web01 naps"):
        transfer(stage.transfer())
    assert stage.diary == []
    assert replicas(stage) == set()


def test_state_that_only_stops_a_move_is_in_the_report(stage: Stage) -> None:
    stage.source.states = (in_state(BlockedWork.MOVE),)
    assert "web01 naps (wake it)" in transfer(stage.transfer()).notes


def fail() -> None:
    raise WriterError("the writer refused a range")


def assert_given_up(stage: Stage) -> None:
    """The worker is gone, the execution is marked, and nothing claims to be in sync."""
    assert stage.diary[-3:] == ["thaw", "discard worker transfer", "finish failed"]
    assert "record replica" not in stage.diary
    assert stage.domains() == set()
    assert not any(name.startswith("tradewind-") for name in stage.volumes())
    with stage.ledger() as ledger:
        known = ledger.find_transfer(stage.endpoint, stage.endpoint, "web01")
        assert known.synced is None
        assert all(not volume.blank for volume in ledger.volumes(known.id))


def test_failed_stream_ends_the_worker_and_leaves_its_volumes(stage: Stage) -> None:
    stage.instead_of_stream = fail
    with pytest.raises(WriterError, match="refused a range"):
        transfer(stage.transfer())
    assert_given_up(stage)
    stage.instead_of_stream = lambda: None
    stage.diary.clear()
    transfer(stage.transfer())
    assert "create sda" not in stage.diary
    assert "stream sda sdb (unknown)" in stage.diary  # half-written: zeroes must be sent


@pytest.fixture
def survived() -> Iterator[list[int]]:
    """SIGTERM reaches us and not the default; Prefect sends it again when the flow has ended."""
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: received.append(number))
    yield received
    signal.signal(signal.SIGTERM, before)


def test_sigterm_in_the_stream_ends_the_worker(stage: Stage, survived: list[int]) -> None:
    asked: list[float] = []

    def be_stopped() -> None:
        asked.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(120)

    stage.instead_of_stream = be_stopped
    with pytest.raises(TerminationSignal):
        transfer(stage.transfer())
    assert time.monotonic() - asked[0] < 60
    assert_given_up(stage)
    assert survived == [signal.SIGTERM]


def test_half_written_replica_is_not_in_sync(stage: Stage) -> None:
    stage.make_replica()
    assert is_synced(stage)
    stage.instead_of_stream = fail
    with pytest.raises(WriterError):
        transfer(stage.transfer())
    assert not is_synced(stage)


def test_replica_that_lacks_a_new_disk_is_not_in_sync(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.make_replica()
    stage.source.contents["web01"]["sdc"] = bytes(MiB)
    boot_fails(stage, monkeypatch)
    with pytest.raises(WriterError):
        transfer(stage.transfer())
    assert not is_synced(stage)


def is_synced(stage: Stage) -> bool:
    with stage.ledger() as ledger:
        return ledger.find_transfer(stage.endpoint, stage.endpoint, "web01").synced is not None


def boot_fails(stage: Stage, patch: pytest.MonkeyPatch) -> None:
    def silent(*_: object) -> None:
        stage.note("worker is silent")
        raise WriterError("the worker does not answer")

    patch.setattr("tradewind.worker.lifecycle.wait_until_reachable", silent)


def test_worker_that_does_not_boot_is_ended(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    boot_fails(stage, monkeypatch)
    with pytest.raises(WriterError, match="does not answer"):
        transfer(stage.transfer())
    assert stage.diary[-3:] == [
        "worker is silent",
        "discard worker transfer",
        "finish failed",
    ]
    assert stage.domains() == set()
    assert not any(name.startswith("tradewind-") for name in stage.volumes())
    assert all(volume.blank for volume in known_volumes(stage))  # nothing was written yet


def test_two_executions_never_run_at_once(stage: Stage) -> None:
    stage.make_replica()
    with stage.ledger() as ledger:
        known = ledger.find_transfer(stage.endpoint, stage.endpoint, "web01")
        ledger.begin(known, RunKind.EXECUTION)
    stage.diary.clear()
    with pytest.raises(BusyError, match="works on web01 already"):
        transfer(stage.transfer())
    assert stage.diary == ["begin execution"]


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"machine": "web02"}, NotFoundError, "No machine web02"),
        ({"source": "nowhere"}, NotFoundError, "“nowhere”"),
        ({"destination": "nowhere"}, NotFoundError, "“nowhere”"),
        ({"options": "nothing"}, NotFoundError, "“nothing”"),
        ({"overrides": {"migr_worker_network": "lna"}}, NotFoundError, "network “lna”"),
        ({"overrides": {"migr_image_map": "linux:none.qcow2"}}, NotFoundError, "none.qcow2"),
        ({"overrides": {"migr_image_map": "windows:w.qcow2"}}, NotFoundError, "migr_image_map"),
    ],
)
def test_bad_input_is_refused_before_anything_is_made(
    stage: Stage, changes: dict[str, object], kind: type[BadInputError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        transfer(stage.transfer(**changes))
    assert stage.diary == []
    assert stage.volumes() == WORKER_IMAGE


@pytest.mark.parametrize(
    ("storage_map", "said"),
    [
        (StorageMap(default="fats"), "no storage pool “fats”"),
        (StorageMap(disks={"sda": "asleep"}), "“asleep” on .* is not running"),
    ],
)
def test_bad_pool_is_refused_before_a_volume_is_made(
    stage: Stage, storage_map: StorageMap, said: str
) -> None:
    with pytest.raises(NotFoundError, match=said):
        transfer(stage.transfer(storage_map=storage_map))
    assert stage.diary == ["begin execution", "finish failed"]
    assert stage.volumes() == WORKER_IMAGE


def test_overrides_are_used(stage: Stage) -> None:
    transfer(stage.transfer(overrides={"default_storage_pool": "vg"}))
    assert {volume.volume.pool for volume in known_volumes(stage)} == {"vg"}
    with pytest.raises(OptionError, match="not built yet"):
        stage.transfer(overrides={"windows_virtio_iso_url": "https://example.com/a.iso"})


def test_interrupted_stream_begins_anew_with_another_worker(stage: Stage) -> None:
    """A worker, a network or a source that was lost does not come back to the same attempt."""
    broken = iter([1, 2])  # the stream's own retry is used up first

    def break_twice() -> None:
        if next(broken, None):
            raise StreamError("the connection broke")

    stage.instead_of_stream = break_twice
    transfer(stage.transfer())
    assert stage.diary.count("start worker transfer") == 2
    assert stage.diary.count("freeze web01") == 2
    assert "stream sda sdb (unknown)" in stage.diary
    assert stage.diary[-1] == "record replica"


def test_what_earlier_runs_left_is_removed_at_the_start(stage: Stage) -> None:
    stage.instead_of_stream = fail
    with pytest.raises(WriterError):
        transfer(stage.transfer())
    with stage.ledger() as ledger:
        known = ledger.find_transfer(stage.endpoint, stage.endpoint, "web01")
        (failed,) = ledger.ended_badly(known.id)
    left = Volume(pool="images", name=f"tradewind-{failed}-x.qcow2", capacity=MiB, format="qcow2")
    storage.create_volume(stage.host, left)
    stage.instead_of_stream = lambda: None
    transfer(stage.transfer())
    assert left.name not in stage.volumes()
    assert stage.source.cleaned_up_after == {failed}
