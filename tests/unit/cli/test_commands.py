# SPDX-License-Identifier: Apache-2.0
"""The commands: their help, what they hand to the flows, and how they fail."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import blocks.loading
import cli.main
import cli.setup
import flows.deploy
import flows.stage_worker_image
import flows.sweep
import flows.transfer
from blocks import DiskImageFolder, LibvirtEndpoint, ProviderOptionsBlock
from tests.unit.blocks.test_blocks import HOST_KEY, KEY_BASE64, KEY_TEXT
from tests.unit.tasks.test_reports import SWEPT, deployment, transfer
from tradewind.errors import (
    BadInputError,
    BusyError,
    ConnectionFailedError,
    NotFoundError,
    OptionError,
    StreamError,
    TradewindError,
)
from tradewind.model.report import TransferReport
from tradewind.model.requests import SourceKind
from tradewind.model.storage import NetworkMap

ENDS = ["--from", "old-host", "--to", "kvm1"]
RunMain = Callable[..., int]


def commands(command: Any, *path: str) -> Iterator[tuple[str, ...]]:
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, *path, name)


ALL = list(commands(typer.main.get_command(cli.main.app)))


def test_all_commands_are_there() -> None:
    assert {" ".join(path) for path in ALL} >= {
        "transfer",
        "deploy",
        "sweep",
        "stage-worker-image",
        "endpoint add",
        "endpoint validate",
        "options set",
        "options import",
        "images add",
    }


@pytest.mark.parametrize("path", ALL, ids=lambda path: " ".join(path) or "tradewind")
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli.main.app, [*path, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert f"Usage: {' '.join(('root', *path))} " in " ".join(result.output.split())
    explained = [line for line in result.output.splitlines()[2:] if line.strip(" │╭╮─╰╯")]
    assert explained[0].rstrip().endswith(".")


def test_help_does_not_wait_for_prefect() -> None:
    code = "import sys, cli.main; sys.exit('prefect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> RunMain:
    """Run `tradewind` in this process; return its exit code."""

    def call(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["tradewind", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main.main()
        assert isinstance(ended.value.code, int)
        return ended.value.code

    return call


class Flow:
    """Takes the place of a flow: keeps what it is called with, and answers or raises."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.arguments: tuple[Any, ...] = ()
        self.options: dict[str, Any] = {}

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.arguments, self.options = arguments, options
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFoundError("no machine “web01” on old-host", "there are: db01"), 2),
        (OptionError("unknown option “colour”"), 2),
        (BusyError("execution 1 works on web01 already", "wait"), 2),
        (BadInputError("2 problems", "mend them"), 2),
        (ConnectionFailedError("kvm1: no route", "see that it runs"), 1),
        (StreamError("disk [sda] broke off"), 1),
    ],
)
def test_expected_error_is_a_sentence(
    run: RunMain,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: TradewindError,
    code: int,
) -> None:
    monkeypatch.setattr(flows.transfer, "transfer", Flow(error))
    assert run("transfer", "web01", *ENDS) == code
    printed = capsys.readouterr()
    assert printed.err.strip() == str(error)
    assert printed.out == ""


def test_defect_is_not_dressed_up(run: RunMain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows.transfer, "transfer", Flow(KeyError("a defect")))
    monkeypatch.setattr(sys, "argv", ["tradewind", "transfer", "web01", *ENDS])
    with pytest.raises(KeyError, match="a defect"):
        cli.main.main()


def test_transfer_hands_over_the_request(
    run: RunMain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = Flow(transfer())
    monkeypatch.setattr(flows.transfer, "transfer", flow)
    assert run("transfer", "web01", *ENDS, "--options", "slow", "--images") == 0
    (request,) = flow.arguments
    assert (request.machine, request.source, request.destination) == ("web01", "old-host", "kvm1")
    assert (request.options, request.source_kind) == ("slow", SourceKind.IMAGES)
    assert "Full transfer: 1.1 GiB sent of 24.0 GiB." in capsys.readouterr().out


def test_report_for_programs(
    run: RunMain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(flows.transfer, "transfer", Flow(transfer()))
    assert run("transfer", "web01", *ENDS, "--json") == 0
    assert TransferReport.model_validate_json(capsys.readouterr().out) == transfer()


def test_deploy_hands_over_the_request(
    run: RunMain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = Flow(deployment())
    monkeypatch.setattr(flows.deploy, "deploy", flow)
    networks = ["--network", "office=lan", "--network", "dmz"]
    assert run("deploy", "web01", *ENDS, "--name", "web01-new", *networks) == 0
    (request,) = flow.arguments
    assert request.name == "web01-new"
    assert request.network_map == NetworkMap(networks={"office": "lan"}, default="dmz")
    assert "proven by its guest agent" in capsys.readouterr().out


def test_sweep_names_hosts_and_may_be_dry(
    run: RunMain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = Flow([SWEPT])
    monkeypatch.setattr(flows.sweep, "sweep", flow)
    assert run("sweep", "kvm1", "old-host", "--dry-run") == 0
    assert flow.arguments == (["kvm1", "old-host"],)
    assert flow.options == {"options": "default", "dry_run": True}
    printed = capsys.readouterr().out
    assert "Would be removed" in printed
    assert "Removed:" not in printed


def test_staging_hands_over_the_image(
    run: RunMain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = Flow("it is up to date")
    monkeypatch.setattr(flows.stage_worker_image, "stage_worker_image", flow)
    assert run("stage-worker-image", "w.qcow2", "--pool", "images", "--to", "kvm1") == 0
    assert flow.arguments == ("kvm1", "images", "w.qcow2", "tradewind-worker.qcow2")
    assert "it is up to date" in capsys.readouterr().out


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Blocks by the name under which a command stored them."""
    kept: dict[str, Any] = {}

    def save(block: Any, name: str, *, overwrite: bool) -> None:
        assert overwrite
        kept[name] = block

    for kind in (LibvirtEndpoint, ProviderOptionsBlock, DiskImageFolder):
        monkeypatch.setattr(kind, "save", save)

    def load(_kind: type[Any], name: str) -> Any:
        if name not in kept:
            raise NotFoundError(f"no block is called “{name}”")
        return kept[name]

    monkeypatch.setattr(blocks.loading, "load_block", load)
    return kept


def test_endpoint_is_stored_with_its_key(
    run: RunMain, saved: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    looked: list[str] = []
    monkeypatch.setattr(cli.setup, "validate_endpoint", looked.append)
    (tmp_path / "id").write_bytes(KEY_TEXT)
    place = ["--host", "kvm1.example", "--username", "mover", "--port", "2222"]
    keys = ["--key", str(tmp_path / "id"), "--host-key", HOST_KEY]
    assert run("endpoint", "add", "kvm1", *place, *keys) == 0
    access = saved["kvm1"].access()
    assert (access.host, access.port, access.username) == ("kvm1.example", 2222, "mover")
    assert access.private_key.get_secret_value() == KEY_TEXT.decode()
    assert looked == ["kvm1"]


def test_bad_key_file_is_named_and_not_shown(
    run: RunMain, saved: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "id").write_text(KEY_BASE64)
    place = ["--host", "kvm1.example", "--username", "mover", "--key", str(tmp_path / "id")]
    assert run("endpoint", "add", "kvm1", *place) == 2
    printed = capsys.readouterr()
    assert "is not a private key" in " ".join(printed.err.split())
    assert KEY_BASE64[:30] not in printed.err + printed.out
    assert saved == {}


def test_request_that_cannot_be_is_a_sentence(
    run: RunMain, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("transfer", "", *ENDS) == 2
    assert capsys.readouterr().err == "machine: String should have at least 1 character\n"


def test_what_could_not_be_undone_is_told_too(
    run: RunMain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = StreamError("cut")
    error.add_note("Besides, it could not be undone: the host is gone")
    monkeypatch.setattr(flows.transfer, "transfer", Flow(error))
    assert run("transfer", "web01", *ENDS) == 1
    said = capsys.readouterr().err.splitlines()
    assert said == ["cut", "Besides, it could not be undone: the host is gone"]


def test_options_are_stored(run: RunMain, saved: dict[str, Any]) -> None:
    pairs = ["migr_worker_memory=2048", "migr_image_map=linux:a.qcow2,windows:b.qcow2"]
    assert run("options", "set", *pairs, "cpu_features = x2apic", "--name", "fast") == 0
    options = saved["fast"].options()
    assert options.migr_worker_memory == 2048
    assert options.migr_image_map == {"linux": "a.qcow2", "windows": "b.qcow2"}
    assert options.cpu_features == ("x2apic",)
    assert options.migr_worker_vcpus == 2


def test_options_that_are_not_named_stay_as_they_were(run: RunMain, saved: dict[str, Any]) -> None:
    assert run("options", "set", "migr_worker_vcpus=4", "migr_image_map=linux:a.qcow2") == 0
    assert run("options", "set", "migr_worker_memory=2048") == 0
    options = saved["default"].options()
    assert (options.migr_worker_vcpus, options.migr_worker_memory) == (4, 2048)
    assert options.migr_image_map == {"linux": "a.qcow2"}


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("migr_worker_memori=2048", "unknown option “migr_worker_memori”"),
        ("migr_worker_memory=lots", "option migr_worker_memory"),
        ("migr_worker_memory", "“migr_worker_memory” is not option=value"),
        ("use_config_drive=true", "not built yet"),
    ],
)
def test_bad_option_is_named(
    run: RunMain,
    saved: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    pair: str,
    said: str,
) -> None:
    assert run("options", "set", pair) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert saved == {}


def test_options_of_an_existing_file(run: RunMain, saved: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "provider.conf"
    file.write_text("[libvirt_migration_provider]\nmigr_worker_vcpus = 4\n")
    assert run("options", "import", str(file)) == 0
    assert saved["default"].options().migr_worker_vcpus == 4
    assert run("options", "import", str(tmp_path / "none.conf")) == 2


def test_folder_is_stored_as_it_is_from_anywhere(
    run: RunMain, saved: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("images", "add", "exports", "here") == 0
    assert saved["exports"].path == tmp_path / "here"
