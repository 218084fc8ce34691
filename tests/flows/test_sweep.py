# SPDX-License-Identifier: Apache-2.0
"""The sweep removes what dead runs left, and nothing else."""

import importlib
from dataclasses import dataclass
from typing import Any

import pytest

from blocks.endpoint import LibvirtEndpoint
from blocks.loading import block_names
from flows.sweep import sweep
from tests.fakes.flow_stage import Stage
from tests.fakes.libvirt_fakes import FakeConnection
from tests.fakes.prefect_server import Server
from tests.fakes.stage_blocks import Blocks, store_blocks
from tradewind.domainxml.backup import BackupDisk
from tradewind.errors import ConnectionFailedError, NotFoundError
from tradewind.host import backup, domains, storage
from tradewind.ledger import owners
from tradewind.model.label import Purpose
from tradewind.model.ledger import Life, RunKind, RunState
from tradewind.model.run import Run
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
    from tasks.site import load_options  # noqa: PLC0415 - as late as the flow does

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
    backup.begin(source, backup.Job(f"/var/tmp/tradewind-{run.id}/nbd", disks))


def left(stage: Stage, run: Run) -> tuple[bool, bool, bool, bool]:
    """Whether worker, overlay, backup job and folder of a run are still there."""
    return (
        f"tradewind-{run.id}-transfer" in stage.domains(),
        f"tradewind-{run.id}-transfer.qcow2" in stage.volumes(),
        f"source-{run.id}" in stage.host.host.backups,
        ("rm", "-rf", "--", f"/var/tmp/tradewind-{run.id}") not in stage.shell.ran,
    )


ALL, NOTHING = (True,) * 4, (False,) * 4


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
    look = flow.find_leftovers

    def find_leftovers(endpoint: str, host: Any) -> Any:
        if endpoint != stage.endpoint:
            raise ConnectionFailedError(f"{endpoint} is away")
        return look(endpoint, host)

    assert len(block_names(LibvirtEndpoint)) >= 2
    monkeypatch.setattr(flow, "find_leftovers", find_leftovers)
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
