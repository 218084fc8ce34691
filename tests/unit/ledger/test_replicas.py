# SPDX-License-Identifier: Apache-2.0
"""Transfers and the volumes that they own."""

from datetime import UTC, datetime

import pytest

from tradewind.errors import NotFoundError
from tradewind.ledger import Ledger, open_ledger
from tradewind.model.ledger import RunKind, RunState, Transfer
from tradewind.model.machine import VirtualMachine
from tradewind.model.storage import Checkpoint, RenamedDisk, ReplicaVolume, TrackedDisk, Volume
from tradewind.units import GiB


@pytest.fixture
def volumes() -> list[ReplicaVolume]:
    return [
        ReplicaVolume(
            disk_id=disk,
            volume=Volume(
                pool="default", name=f"ledger01-{disk}.qcow2", capacity=size, format="qcow2"
            ),
            serial=f"tw{disk}",
            blank=True,
        )
        for disk, size in (("sda", 20 * GiB), ("sdb", 8 * 1024 * GiB))
    ]


def test_transfer_is_found_again(
    ledger: Ledger, transfer: Transfer, machine: VirtualMachine
) -> None:
    renamed = machine.model_copy(update={"name": "ledger-old", "vcpus": 8})
    again = ledger.note_transfer("old-host", "kvm1", renamed)
    assert again.id == transfer.id
    assert again.machine == renamed
    for name in (machine.id, "ledger-old"):
        assert ledger.find_transfer("old-host", "kvm1", name) == again


def test_id_is_short_and_hexadecimal(transfer: Transfer) -> None:
    assert len(transfer.id) == 8
    int(transfer.id, 16)


def test_unknown_transfer_names_the_ones_there_are(ledger: Ledger, transfer: Transfer) -> None:
    with pytest.raises(NotFoundError, match="ledger99") as caught:
        ledger.find_transfer("old-host", "kvm1", "ledger99")
    assert "ledger01" in caught.value.hint
    with pytest.raises(NotFoundError) as caught:
        ledger.find_transfer("old-host", "kvm2", "ledger01")
    assert "none" in caught.value.hint


def test_replica_counts_only_once_it_was_completed(ledger: Ledger, transfer: Transfer) -> None:
    with pytest.raises(NotFoundError, match="never completed"):
        ledger.find_synced("old-host", "kvm1", "ledger01")
    run = ledger.begin(transfer, RunKind.EXECUTION)
    ledger.complete(run, transfer, run.begun, None)
    assert ledger.find_synced("old-host", "kvm1", "ledger01").id == transfer.id


def test_volumes_survive_the_process(
    ledger: Ledger, transfer: Transfer, place: str, volumes: list[ReplicaVolume]
) -> None:
    ledger.plan_volumes(transfer.id, volumes)
    with open_ledger(place) as reopened:
        assert reopened.volumes(transfer.id) == volumes
        assert reopened.volumes("00000000") == []


def test_life_of_a_volume(ledger: Ledger, transfer: Transfer, volumes: list[ReplicaVolume]) -> None:
    ledger.plan_volumes(transfer.id, volumes)
    written = volumes[0].model_copy(update={"blank": False})
    ledger.plan_volumes(transfer.id, [written])
    assert [volume.blank for volume in ledger.volumes(transfer.id)] == [False, True]
    ledger.resize_volume(transfer.id, "sda", 30 * GiB)
    assert ledger.volumes(transfer.id)[0].volume.capacity == 30 * GiB
    ledger.forget_volume(transfer.id, "sda")
    ledger.forget_volume(transfer.id, "sda")
    assert [volume.disk_id for volume in ledger.volumes(transfer.id)] == ["sdb"]


def test_name_of_a_machine_that_was_made_anew_means_the_latest_replica(
    ledger: Ledger, machine: VirtualMachine
) -> None:
    """Another UUID is another machine: its disks are not those of the first one."""
    found = {}
    for number in range(3):
        anew = machine.model_copy(update={"id": f"0000000{number}-7c0f-4d38-9c53-0a8b2f6c1d11"})
        found[number] = ledger.note_transfer("old-host", "kvm1", anew)
    for number in (2, 0, 1):
        run = ledger.begin(found[number], RunKind.EXECUTION)
        ledger.complete(run, found[number], datetime.now(UTC), None)
        named = ledger.find_synced("old-host", "kvm1", machine.name)
        assert named.id == found[number].id
    by_id = ledger.find_synced("old-host", "kvm1", found[2].machine.id)
    assert by_id.id == found[2].id


def test_replica_that_became_a_machine(
    ledger: Ledger, transfer: Transfer, volumes: list[ReplicaVolume]
) -> None:
    ledger.plan_volumes(transfer.id, volumes)
    run = ledger.begin(transfer, RunKind.EXECUTION)
    ledger.complete(run, transfer, run.begun, None)
    deployed = ledger.begin(transfer, RunKind.DEPLOYMENT)
    ledger.finish(deployed, RunState.COMPLETED, gives_away=True)
    assert ledger.volumes(transfer.id) == []
    with pytest.raises(NotFoundError, match="never completed"):
        ledger.find_synced("old-host", "kvm1", "ledger01")


def test_names_that_are_sql_stay_names(ledger: Ledger, machine: VirtualMachine) -> None:
    odd = machine.model_copy(update={"name": "x'; DROP TABLE transfer; --"})
    ledger.note_transfer("old-host", "kvm1", odd)
    assert ledger.find_transfer("old-host", "kvm1", odd.name).machine == odd


def test_disks_that_changed_their_names_keep_their_volumes(
    ledger: Ledger, transfer: Transfer, volumes: list[ReplicaVolume]
) -> None:
    ledger.plan_volumes(transfer.id, volumes)
    swap = [RenamedDisk(was="sda", disk_id="sdb"), RenamedDisk(was="sdb", disk_id="sda")]
    ledger.rename_disks(transfer.id, swap)
    names = {volume.disk_id: volume.volume.name for volume in ledger.volumes(transfer.id)}
    assert names == {"sda": volumes[1].volume.name, "sdb": volumes[0].volume.name}


def test_volumes_go_back_to_the_checkpoint_of_the_run_that_ended_well(
    ledger: Ledger, transfer: Transfer, volumes: list[ReplicaVolume]
) -> None:
    ledger.plan_volumes(transfer.id, volumes)
    run = ledger.begin(transfer, RunKind.EXECUTION)
    disks = (TrackedDisk(disk_id="sda", capacity=1),)
    checkpoint = Checkpoint(name="tradewind-1", machine_id="m", created=1, disks=disks)
    ledger.complete(run, transfer, run.begun, checkpoint)
    assert ledger.checkpoint(transfer.id) == checkpoint
    assert [(v.base, v.exact) for v in ledger.volumes(transfer.id)] == [
        ("tradewind-1", True),
        (None, False),
    ]
    ledger.mark_changed(transfer.id)
    known = ledger.find_transfer("old-host", "kvm1", "ledger01")
    assert (known.synced, known.consistent, known.checkpoint) == (None, run.begun, checkpoint)
    ledger.mark_changed(transfer.id, for_good=True)
    assert ledger.checkpoint(transfer.id) is None
