# SPDX-License-Identifier: Apache-2.0
"""A replica is removed for good, and nothing else is."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import IntervalSchedule

from flows.delete_replica import delete_replica
from flows.deploy import deploy
from flows.replicate import replicate
from flows.transfer import transfer
from tests.fakes.flow_stage import Stage
from tradewind.errors import AccessRefusedError, BusyError, HypervisorError, NotFoundError
from tradewind.host import storage
from tradewind.host.domain import domains
from tradewind.model.ledger import RunKind, RunState
from tradewind.model.machine import MachineSummary, PowerState
from tradewind.model.requests import RemovalRequest
from tradewind.model.storage import Volume
from tradewind.reports.removal import removal_markdown
from tradewind.units import MiB

PLAIN = """<domain type="test"><name>{name}</name><memory>1024</memory><os><type>hvm</type></os>
<devices><disk type="file" device="disk"><source file="{path}"/><target dev="vda"/></disk></devices>
</domain>"""


@pytest.fixture
def replica(stage: Stage) -> set[str]:
    """A replica as a transfer leaves it: its volumes, and a checkpoint on the source."""
    before = stage.volumes()
    stage.make_replica()
    assert stage.source.checkpoints
    return stage.volumes() - before


def request(stage: Stage, **changes: Any) -> RemovalRequest:
    asked = stage.transfer(**changes)
    names = set(RemovalRequest.model_fields)
    return RemovalRequest.model_validate(asked.model_dump(include=names))


def knows(stage: Stage) -> bool:
    with stage.ledger() as ledger:
        return bool(ledger.replicas())


def test_nothing_of_it_is_left(stage: Stage, replica: set[str]) -> None:
    assert len(replica) == 2
    report = delete_replica(request(stage))
    assert not replica & stage.volumes()
    assert "worker.qcow2" in stage.volumes()
    assert stage.source.checkpoints == {}
    assert not knows(stage)
    assert {volume.name for volume in report.volumes} == replica
    assert len(report.checkpoints) == 1
    assert report.stays == ()
    words = removal_markdown(report)
    assert "Removed" in words
    assert "What stays" not in words
    with pytest.raises(NotFoundError, match="no replica of “web01”"):
        delete_replica(request(stage))
    # And it can be begun anew.
    assert transfer(stage.transfer()).full


def test_replica_whose_pool_is_gone_is_forgotten_and_what_stays_is_told(
    stage: Stage, replica: set[str]
) -> None:
    """The pool was undefined, which leaves its files; nothing can be stuck for it."""
    pool = stage.host.storagePoolLookupByName("fast")
    pool.destroy()
    pool.undefine()
    with pytest.raises(NotFoundError, match="no storage pool “fast”") as refused:
        transfer(stage.transfer())
    assert "tradewind transfer delete" in refused.value.hint
    report = delete_replica(request(stage))
    assert not knows(stage)
    assert report.volumes == ()
    assert len(report.stays) == len(replica)
    for name in replica:
        assert f"virsh vol-delete --pool fast {name}" in "\n".join(report.stays)
    assert "What stays" in removal_markdown(report)


def test_deployed_machine_stays(stage: Stage, replica: set[str]) -> None:
    deploy(stage.deploy(name="web01-new"))
    clones = {name for name in stage.volumes() - replica if name != "worker.qcow2"}
    assert len(clones) == 2
    delete_replica(request(stage))
    assert stage.volumes() == clones | {"worker.qcow2"}
    assert "web01-new" in stage.domains()


def test_replica_that_is_worked_on_is_refused(stage: Stage, replica: set[str]) -> None:
    with stage.ledger() as ledger:
        known = ledger.find_transfer(stage.endpoint, stage.endpoint, "web01")
        run = ledger.begin(known, RunKind.DEPLOYMENT)
    with pytest.raises(BusyError, match=r"deployment \w+ works on web01 already"):
        delete_replica(request(stage))
    assert replica <= stage.volumes()
    with stage.ledger() as ledger:
        ledger.finish(run, RunState.FAILED)
    delete_replica(request(stage))
    assert not knows(stage)


def test_volume_that_a_machine_uses_is_refused(stage: Stage, replica: set[str]) -> None:
    name = sorted(replica)[0]
    path = storage.volume_path(
        stage.host, Volume(pool="fast", name=name, capacity=MiB, format="qcow2")
    )
    domains.define(stage.host, PLAIN.format(name="borrower", path=path))
    with pytest.raises(BusyError, match=f"{name} by machine borrower"):
        delete_replica(request(stage))
    assert replica <= stage.volumes()
    with stage.ledger() as ledger:
        assert ledger.find_synced(stage.endpoint, stage.endpoint, "web01")


def test_volume_below_another_one_is_refused(stage: Stage, replica: set[str]) -> None:
    name = sorted(replica)[0]
    below = storage.require_volume(stage.host, "fast", name)
    above = Volume(pool="fast", name="experiment.qcow2", capacity=MiB, format="qcow2")
    storage.create_overlay(stage.host, above, below)
    with pytest.raises(BusyError, match=r"experiment\.qcow2, which lies on top of it"):
        delete_replica(request(stage))
    assert replica <= stage.volumes()


@pytest.mark.parametrize(
    "error",
    [
        NotFoundError("no machine “web01” on old", "there are: none"),
        AccessRefusedError("old refuses the key"),
    ],
)
def test_source_that_is_gone_is_no_obstacle(
    stage: Stage, replica: set[str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def forget(*_: object) -> tuple[str, ...]:
        raise error

    (checkpoint,) = stage.source.checkpoints
    monkeypatch.setattr(stage.source, "forget_replica", forget)
    report = delete_replica(request(stage))
    assert not replica & stage.volumes()
    assert not knows(stage)
    (stays,) = report.stays
    assert f"virsh checkpoint-delete web01 {checkpoint}" in stays
    assert str(error).splitlines()[0] in stays
    assert "What stays" in removal_markdown(report)


def test_source_whose_block_is_gone_is_no_obstacle(stage: Stage, replica: set[str]) -> None:
    with stage.ledger() as ledger:
        machine = stage.source.inspect("web01")
        ledger.note_transfer("long-gone", stage.endpoint, machine)
    report = delete_replica(request(stage, source="long-gone"))
    assert "long-gone was not asked" in report.stays[0]
    # Another source's replica of the same machine stays.
    assert replica <= stage.volumes()
    assert knows(stage)


def test_removal_that_broke_off_goes_on(
    stage: Stage, replica: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = storage.delete_volume
    _, last = sorted(replica)

    def delete(connection: Any, pool: str, name: str) -> bool:
        if name == last:
            raise HypervisorError(f"{name} is locked")
        return real(connection, pool, name)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "delete_volume", delete)
        with pytest.raises(HypervisorError, match="is locked"):
            delete_replica(request(stage))
    assert replica & stage.volumes() == {last}
    assert stage.source.checkpoints, "the source comes after the destination"
    with stage.ledger() as ledger, pytest.raises(NotFoundError, match="never completed"):
        ledger.find_synced(stage.endpoint, stage.endpoint, "web01")
    report = delete_replica(request(stage))
    assert [volume.name for volume in report.volumes] == [last]
    assert not replica & stage.volumes()
    assert stage.source.checkpoints == {}
    assert not knows(stage)


def test_what_a_dead_run_left_goes_too(stage: Stage, replica: set[str]) -> None:
    with stage.ledger() as ledger:
        known = ledger.find_transfer(stage.endpoint, stage.endpoint, "web01")
        run = ledger.begin(known, RunKind.EXECUTION)
        ledger.finish(run, RunState.FAILED)
    overlay = Volume(
        pool="images", name=f"tradewind-{run.id}-transfer.qcow2", capacity=MiB, format="qcow2"
    )
    storage.create_volume(stage.host, overlay)
    delete_replica(request(stage))
    assert stage.volumes() == {"worker.qcow2"}
    assert run.id in stage.source.cleaned_up_after


Schedule = Callable[..., None]


@pytest.fixture
def schedule() -> Iterator[Schedule]:
    """Put a flow on a schedule, for as long as a test lasts."""
    made: list[UUID] = []

    def add(client: SyncPrefectClient, flow: Any, asked: dict[str, Any], **more: Any) -> None:
        hourly = IntervalSchedule(interval=timedelta(hours=1))
        entry = DeploymentScheduleCreate(
            schedule=hourly, active=more.pop("active", True), parameters=more.pop("own", {})
        )
        made.append(
            client.create_deployment(
                flow_id=client.create_flow(flow),
                name=f"schedule-{len(made)}",
                parameters={"request": asked},
                schedules=[entry],
                **more,
            )
        )

    yield add
    with get_client(sync_client=True) as client:
        for each in made:
            client.delete_deployment(each)


def test_what_a_schedule_would_make_anew_is_refused(
    stage: Stage, replica: set[str], schedule: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = {"source": stage.endpoint, "destination": stage.endpoint}
    tagged = MachineSummary(id="web01", name="web01", power=PowerState.RUNNING, tags=("nightly",))
    monkeypatch.setattr(stage.source, "machines", lambda: [tagged])
    with get_client(sync_client=True) as client:
        schedule(client, transfer, {"machine": "web01", **ends}, active=False)
        schedule(client, transfer, {"machine": "web01", **ends}, paused=True)
        schedule(client, transfer, {"machine": "db01", **ends})
        schedule(client, transfer, {"machine": "web01", **ends, "source": "elsewhere"})
        schedule(client, replicate, {"machines": {"patterns": ["db*"]}, **ends})
        schedule(client, replicate, {"machines": {"tags": ["weekly"]}, **ends})
        schedule(client, transfer, {"machine": "web01", **ends})
        schedule(client, replicate, {"machines": {"patterns": ["web*"]}, **ends})
        schedule(client, replicate, {"machines": {"tags": ["nightly"]}, **ends})
        per_schedule = {"request": {"machine": "web01", **ends}}
        schedule(client, transfer, {"machine": "db01", **ends}, own=per_schedule)
    with pytest.raises(BusyError) as caught:
        delete_replica(request(stage))
    said = caught.value.message.partition(" by schedule ")[2].split(", ")
    assert sorted(said) == ["schedule-6", "schedule-7", "schedule-8", "schedule-9"]
    assert "tradewind schedule pause schedule-" in caught.value.hint
    assert replica <= stage.volumes()
