# SPDX-License-Identifier: Apache-2.0
"""The life of a stored transfer by command: created, run, listed, shown, deleted."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate

import cli.main
import deployments.requirements
from deployments.stored_transfers import StoredTransfers
from tests.fakes.flow_stage import Stage
from tests.fakes.libvirt_fakes import FakeConnection
from tests.fakes.prefect_server import Server
from tests.fakes.stage_blocks import Blocks, store_blocks
from tradewind.model.host import HostAccess
from tradewind.model.report import TransferReport
from tradewind.model.requests import RemovalReport

NAME = "web01-from-kept-to-kept"
ENDS = ("--from", "kept", "--to", "kept", "--options", "kept")


@pytest.fixture(scope="module")
def kept_blocks(prefect_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Blocks:
    """Commands that list find the ledger in the block of options."""
    place = tmp_path_factory.mktemp("kept") / "ledger.sqlite"
    return store_blocks("kept", sqlite_database_file=str(place))


@pytest.fixture
def pool() -> Iterator[None]:
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="tradewind", type="process"))
        yield
        stored = StoredTransfers()
        for each in stored.all():
            stored.delete(each)
        client.delete_work_pool("tradewind")


@pytest.fixture
def ready(
    stage: Stage, kept_blocks: Blocks, pool: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage]:
    from tasks.environment import load_options  # noqa: PLC0415 - as late as the flow does

    place = load_options.fn("kept").sqlite_database_file  # type: ignore[attr-defined]
    stage.ledger_place, stage.key = place, kept_blocks.key
    stage.endpoint = stage.options = "kept"

    @contextmanager
    def connect(_access: HostAccess) -> Iterator[FakeConnection]:
        yield stage.host

    monkeypatch.setattr(deployments.requirements, "connect", connect)
    yield stage
    Path(place).unlink(missing_ok=True)


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(ready: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `tradewind` in this process: exit code, standard output, standard error."""

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["tradewind", *words])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as ended:
            cli.main.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def listed(run: Run) -> list[dict[str, Any]]:
    code, out, _ = run("transfer", "list", "--options", "kept", "--json")
    assert code == 0
    found: list[dict[str, Any]] = json.loads(out)
    return found


def shown(run: Run, *words: str) -> dict[str, Any]:
    code, out, err = run("transfer", "show", *words, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    del found["standing"]["lag_seconds"]  # it grows
    return found


def test_from_its_name_to_its_end(run: Run, ready: Stage) -> None:
    before = ready.volumes()
    code, out, err = run("transfer", "create", "web01", *ENDS, "--storage", "sdb=images")
    assert (code, out.splitlines()[0]) == (0, f"stored: {NAME}"), err
    (line,) = listed(run)
    assert (line["name"], line["consistent"], line["machine_id"]) == (NAME, None, None)
    new = shown(run, NAME)
    assert (new["transfer"], new["disks"], new["runs"]) == (None, [], [])
    assert new["request"]["storage_map"]["disks"] == {"sdb": "images"}

    code, out, err = run("transfer", "run", NAME, "--json")
    assert code == 0, err
    assert TransferReport.model_validate_json(out).full
    (line,) = listed(run)
    assert (line["name"], line["run_kind"], line["run_state"]) == (NAME, "execution", "completed")
    assert line["consistent"] is not None
    detail = shown(run, NAME)
    assert detail["complete"]
    assert [(disk["disk"], disk["pool"]) for disk in detail["disks"]] == [
        ("sda", "fast"),
        ("sdb", "images"),
    ]
    assert {disk["volume"] for disk in detail["disks"]} == ready.volumes() - before
    assert [run["kind"] for run in detail["runs"]] == ["execution"]
    assert detail["checkpoint"] in ready.source.checkpoints
    assert shown(run, "web01", *ENDS) == detail
    words = run("transfer", "show", NAME)[1]
    for word in (NAME, detail["checkpoint"], "sda", "execution", "storage_map"):
        assert word in words
    assert NAME in run("transfer", "list", "--options", "kept")[1]

    code, out, err = run("transfer", "delete", NAME, "--yes", "--json")
    assert code == 0, err
    assert len(RemovalReport.model_validate_json(out).volumes) == 2
    assert ready.volumes() == before
    assert ready.source.checkpoints == {}
    assert listed(run) == []
    assert "no transfer is called" in run("transfer", "delete", NAME, "--yes")[2]
    assert run("status", "--options", "kept")[1] == "no machine was ever transferred\n"


def test_nothing_is_stored_that_cannot_be(run: Run) -> None:
    code, _, err = run("transfer", "create", "nobody", *ENDS, "--storage", "sda=attic")
    assert code == 2
    assert "no machine “nobody” on kept" in err
    assert "there are: web01" in err
    assert "no storage pool “attic”" in err
    code, _, err = run("transfer", "create", "web01", "--from", "elsewhere", *ENDS[2:])
    assert code == 2
    assert "“elsewhere”" in err
    code, _, err = run("transfer", "create", "web01", *ENDS, "--every", "soon")
    assert (code, "--every “soon”" in err) == (2, True)
    assert listed(run) == []


def test_a_schedule_comes_and_goes_and_keeps_it_from_being_deleted(run: Run) -> None:
    assert run("transfer", "create", "web01", *ENDS, "--every", "1h", "--name", "web")[0] == 0
    assert run("transfer", "run", "web", "--json")[0] == 0
    (line,) = json.loads(run("schedule", "list", "--json")[1])
    assert (line["name"], line["flow"], line["when"]) == ("web", "transfer", "every 1 h")
    code, _, err = run("transfer", "delete", "web", "--yes")
    assert code == 2
    assert "first: tradewind schedule pause web" in err
    assert run("schedule", "remove", "web")[0] == 0
    assert json.loads(run("schedule", "list", "--json")[1]) == []
    (line,) = listed(run)
    assert (line["name"], line["when"]) == ("web", "")
    code, _, err = run("transfer", "delete", "web01", *ENDS, "--yes")
    assert code == 0, err
    assert listed(run) == []


def test_a_file_of_transfers_is_stored_whole_or_not_at_all(run: Run, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.csv"
    words = ("transfer", "import", str(fleet), *ENDS)
    fleet.write_text("machine,name\nweb01,a\nnobody,b\n")
    code, _, err = run(*words, "--every", "4h")
    assert code == 2
    assert "no machine “nobody” on kept" in err
    assert listed(run) == []
    fleet.write_text("machine,name,cron,exact\nweb01,a,,\nweb01,b,0 2 * * *,yes\n")
    code, out, err = run(*words, "--every", "4h")
    assert (code, out.splitlines()[0]) == (
        0,
        "stored: 2 transfers; see tradewind transfer list",
    ), err
    found = json.loads(run("schedule", "list", "--json")[1])
    assert [(each["name"], each["when"]) for each in found] == [
        ("a", "every 4 h"),
        ("b", "0 2 * * * (UTC)"),
    ]


def test_a_cron_line_is_spread_and_said(run: Run) -> None:
    code, out, err = run("transfer", "create", "web01", *ENDS, "--cron", "0 2 * * *", "--name", "w")
    assert code == 0, err
    (line,) = json.loads(run("schedule", "list", "--json")[1])
    minute, _, rest = line["when"].partition(" ")
    assert (int(minute) in range(10), rest) == (True, "2 * * * (UTC)")
    assert f"due {line['when']}" in out


def test_stored_transfer_that_never_ran_is_deleted(run: Run) -> None:
    assert run("transfer", "create", "web01", *ENDS)[0] == 0
    code, out, err = run("transfer", "delete", NAME, "--yes")
    assert (code, out) == (0, ""), err
    assert listed(run) == []


def test_without_an_answer_nothing_is_deleted(
    run: Run, ready: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready.make_replica()
    before = ready.volumes()
    asked: list[str] = []

    def confirm(text: str, *, abort: bool, err: bool) -> None:
        assert abort
        assert err
        asked.append(text)
        raise typer.Abort

    monkeypatch.setattr(typer, "confirm", confirm)
    code, out, _ = run("transfer", "delete", "web01", *ENDS)
    assert (code, out) == (1, "")
    assert "the replica (2 volumes)" in asked[0]
    assert ready.volumes() == before
    code, _, err = run("transfer", "delete", "db01", *ENDS, "--yes")
    assert code == 2
    assert "no replica of “db01” from kept on kept" in err
