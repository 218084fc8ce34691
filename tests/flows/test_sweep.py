# SPDX-License-Identifier: Apache-2.0
"""The sweep removes what dead runs left, and nothing else."""

import importlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlmodel import Session

import tasks.move.unfinished
from blocks.endpoint import LibvirtEndpoint
from blocks.loading import block_names
from flows.sweep import sweep
from tests.fakes.flow_stage import Stage
from tests.fakes.libvirt_fakes import FakeConnection
from tests.fakes.prefect_server import Server
from tests.fakes.stage_blocks import Blocks, store_blocks
from tests.unit.reports.test_deploy_reports import deployment
from tradewind.domainxml.backup import BackupDisk
from tradewind.errors import ConnectionFailedError, NotFoundError
from tradewind.host import storage
from tradewind.host.domain import backup, domains
from tradewind.ledger import owners
from tradewind.ledger.tables import OutageRow, RunRow
from tradewind.model.ledger import Life, RunKind, RunState
from tradewind.model.migrate import MigrateRequest
from tradewind.model.outage import OutageEnd, OutagePhase
from tradewind.model.run import LabelState, Purpose, Run
from tradewind.model.storage import Volume
from tradewind.units import GiB

PLAIN = """<domain type="test"><name>{name}</name><memory>1024</memory>
<os><type>hvm</type></os></domain>"""
# More than the kernel ever gives away (proc(5), pid_max).
NO_PROCESS = 2**22 + 1


@dataclass(frozen=True)
class Runs:
    """Runs of all kinds: what is known of each is its name."""

    failed: Run
    killed: Run
    alive: Run
    elsewhere: Run
    finished: Run
    stranger: Run

    def all(self) -> tuple[Run, ...]:
        return (
            self.failed,
            self.killed,
            self.alive,
            self.elsewhere,
            self.finished,
            self.stranger,
        )


@pytest.fixture(scope="module")
def swept_blocks(prefect_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Blocks:
    """The sweep takes no overrides: its ledger is in the block."""
    place = tmp_path_factory.mktemp("swept") / "ledger.sqlite"
    return store_blocks("swept", sqlite_database_file=str(place))


@pytest.fixture
def runs(stage: Stage, swept_blocks: Blocks) -> Runs:
    """One run of each kind, and what each left on the host."""
    from tasks.environment import load_options  # noqa: PLC0415 - as late as the flow does

    stage.ledger_place = load_options.fn(swept_blocks.options).sqlite_database_file  # type: ignore[attr-defined]
    stage.endpoint, stage.options, stage.key = "swept", "swept", swept_blocks.key
    made = note_runs(stage)
    for run in made.all():
        leave(stage.host, run)
    stage.shell.entries = [f"tradewind-{run.id}" for run in made.all()] + ["systemd-private"]
    return made


def note_runs(stage: Stage) -> Runs:
    here = owners.current()
    machine = stage.source.inspect("web01")
    found: dict[str, Run] = {}
    with stage.ledger() as ledger:
        for kind, owner in (
            ("failed", here),
            ("finished", here),
            ("killed", here.model_copy(update={"pid": NO_PROCESS})),
            ("alive", here),
            ("elsewhere", here.model_copy(update={"machine": "another", "host": "another"})),
        ):
            named = machine.model_copy(update={"id": f"{kind}-{stage.host.host!r:.0}{id(stage)}"})
            known = ledger.note_transfer("old", "new", named)
            found[kind] = ledger.begin(known, RunKind.EXECUTION, owner)
        ledger.finish(found["failed"], RunState.FAILED)
        ledger.finish(found["finished"], RunState.COMPLETED)
    stranger = found["failed"].model_copy(update={"id": "feedfacecafe"})
    return Runs(**found, stranger=stranger)


def leave(host: FakeConnection, run: Run) -> None:
    """Leave a worker with its overlay, and a machine under backup, as a crash does."""
    name = f"tradewind-{run.id}-transfer"
    domains.define(host, PLAIN.format(name=name))
    domains.start(host, name)
    domains.write_label(host, name, run.label(Purpose.TRANSFER))
    overlay = Volume(pool="images", name=f"{name}.qcow2", capacity=GiB, format="qcow2")
    storage.create_volume(host, overlay)
    domains.define(host, PLAIN.format(name=f"source-{run.id}"))
    domains.start(host, f"source-{run.id}")
    disks = [BackupDisk(target="vda", scratch="/s")]
    source = domains.require_domain(host, f"source-{run.id}")
    backup.begin(source, backup.BackupRequest(f"/var/tmp/tradewind-{run.id}/nbd", disks))


def left(stage: Stage, run: Run) -> tuple[bool, bool, bool, bool]:
    """Whether worker, overlay, backup job and folder of a run are still there."""
    return (
        f"tradewind-{run.id}-transfer" in stage.domains(),
        f"tradewind-{run.id}-transfer.qcow2" in stage.volumes(),
        f"source-{run.id}" in stage.host.host.backups,
        ("rm", "-rf", "--", f"/var/tmp/tradewind-{run.id}") not in stage.shell.ran,
    )


LONG_AGO = datetime(2026, 1, 2, tzinfo=UTC)
ALL, NOTHING = (True,) * 4, (False,) * 4


def test_twin_that_a_killed_preflight_left_is_removed(stage: Stage, runs: Runs) -> None:
    """No ledger knows it: a preflight has no run."""
    old = Run(id="0ddba11c0de0", transfer="", begun=datetime.now(UTC)).label(Purpose.TWIN)
    for name, label in (("new", old), ("left", old.model_copy(update={"created": LONG_AGO}))):
        domains.define(stage.host, PLAIN.format(name=name))
        domains.write_label(stage.host, name, label)
    (report,) = sweep([stage.endpoint], options=stage.options)
    assert "twin left" in [str(item) for item in report.dead]
    assert ("new" in stage.domains(), "left" in stage.domains()) == (True, False)
    domains.destroy(stage.host, "new")


def test_only_what_dead_runs_left_is_removed(stage: Stage, runs: Runs) -> None:
    (report,) = sweep([stage.endpoint], options=stage.options)
    for run in (runs.failed, runs.killed):
        assert left(stage, run) == NOTHING
    for run in (runs.alive, runs.elsewhere, runs.finished, runs.stranger):
        assert left(stage, run) == ALL
    assert {item.run for item in report.dead} == {runs.failed.id, runs.killed.id}
    assert {item.run for item in report.alive} == {runs.alive.id}
    assert {item.run for item in report.finished} == {runs.finished.id}
    assert {item.run for item in report.unknown} == {runs.elsewhere.id, runs.stranger.id}
    # The machines themselves go on running, and the worker image stays.
    assert {f"source-{run.id}" for run in runs.all()} <= stage.domains()
    assert "worker.qcow2" in stage.volumes()
    # A second sweep finds nothing more of them.
    stage.shell.entries = []
    (again,) = sweep([stage.endpoint], options=stage.options)
    assert again.dead == ()


def test_transfer_of_a_killed_run_is_free_again(stage: Stage, runs: Runs) -> None:
    sweep([stage.endpoint], options=stage.options)
    with stage.ledger() as ledger:
        assert ledger.abandon_dead() == ()
        assert ledger.life_of(runs.killed.id) is Life.DEAD
        assert ledger.life_of(runs.alive.id) is Life.ALIVE


def test_dry_run_removes_nothing(stage: Stage, runs: Runs) -> None:
    (report,) = sweep([stage.endpoint], options=stage.options, dry_run=True)
    assert {item.run for item in report.dead} == {runs.failed.id, runs.killed.id}
    for run in runs.all():
        assert left(stage, run) == ALL
    with stage.ledger() as ledger:
        assert runs.killed.id in ledger.abandon_dead()


def test_without_names_all_hosts_are_swept_each_for_itself(
    stage: Stage, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two hosts is away."""
    flow = importlib.import_module("flows.sweep")
    reach = flow.settle

    def settle(endpoint: str, *more: Any) -> Any:
        if endpoint != stage.endpoint:
            raise ConnectionFailedError(f"{endpoint} is away")
        return reach(endpoint, *more)

    assert len(block_names(LibvirtEndpoint)) >= 2
    monkeypatch.setattr(flow, "settle", settle)
    with pytest.raises(ConnectionFailedError, match="is away") as caught:
        sweep(options=stage.options)
    (note,) = caught.value.__notes__
    away = [name for name in block_names(LibvirtEndpoint) if name != stage.endpoint]
    assert note == f"not swept: {', '.join(away)}"
    assert left(stage, runs.killed) == NOTHING
    assert left(stage, runs.alive) == ALL


def test_unknown_host_is_named(stage: Stage) -> None:
    with pytest.raises(NotFoundError, match="“nowhere”"):
        sweep(["nowhere"], options=stage.options)


def test_unfinished_move_is_told_and_left_alone(
    stage: Stage, swept_blocks: Blocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine that its dead process made may be the only one that runs."""
    from tasks.environment import load_options  # noqa: PLC0415 - as late as the flow does

    told: list[tuple[str, Any]] = []
    monkeypatch.setattr(
        tasks.move.unfinished, "emit", lambda event, _to, facts, **_: told.append((event, facts))
    )
    stage.ledger_place = load_options.fn(swept_blocks.options).sqlite_database_file  # type: ignore[attr-defined]
    stage.endpoint, stage.options, stage.key = "swept", "swept", swept_blocks.key
    stage.shell.entries = []
    machine = stage.source.inspect("web01").model_copy(update={"id": "unfinished"})
    asked = {"machine": "unfinished", "source": "swept", "destination": "new"}
    with stage.ledger() as ledger:
        known = ledger.note_transfer("swept", "new", machine)
        outage = ledger.outages.begin(
            known.id, machine, MigrateRequest.model_validate({"transfer": asked})
        )
        run = ledger.begin(known, RunKind.DEPLOYMENT)
        ledger.outages.lands(run.id, "web01-new", "uuid")
        with Session(ledger._engine) as session, session.begin():
            for row in (session.get_one(OutageRow, outage.id), session.get_one(RunRow, run.id)):
                dead = owners.current().model_copy(update={"pid": NO_PROCESS})
                row.owner = dead.model_dump_json()
                session.add(row)
    domains.define(stage.host, PLAIN.format(name="web01-new"))
    domains.write_label(stage.host, "web01-new", run.label(Purpose.MACHINE))
    for _ in range(2):
        (report,) = sweep(["swept"], options="swept")
        assert [item.name for item in report.held] == ["web01-new"]
        assert "web01-new" in stage.domains()
        (said,) = report.outages
        assert said.phase is OutagePhase.DEFINED
    assert [event for event, _ in told] == ["tradewind.migrate.unfinished"] * 2
    assert "tradewind move rollback web01" in told[0][1]["message"]
    with stage.ledger() as ledger:
        ledger.outages.end(outage.id, OutageEnd.WENT_BACK)


def test_machine_of_a_completed_deployment_is_finished(stage: Stage, swept_blocks: Blocks) -> None:
    """Its process was killed between the ledger and the label."""
    from tasks.environment import load_options  # noqa: PLC0415 - as late as the flow does

    stage.ledger_place = load_options.fn(swept_blocks.options).sqlite_database_file  # type: ignore[attr-defined]
    stage.endpoint, stage.options, stage.key = "swept", "swept", swept_blocks.key
    stage.shell.entries = []
    machine = stage.source.inspect("web01").model_copy(update={"id": "completed"})
    with stage.ledger() as ledger:
        known = ledger.note_transfer("swept", "new", machine)
        run = ledger.begin(known, RunKind.DEPLOYMENT)
        ledger.finish(run, RunState.COMPLETED, deployment().model_copy(update={"autostart": True}))
    domains.define(stage.host, PLAIN.format(name="mine"))
    domains.write_label(stage.host, "mine", run.label(Purpose.MACHINE))
    sweep(["swept"], options="swept")
    domain = domains.require_domain(stage.host, "mine")
    label = domains.read_label(domain)
    assert label is not None
    assert label.state is LabelState.FINISHED
    assert domains.starts_with_host(domain)
