# SPDX-License-Identifier: Apache-2.0
"""The commands: their help, what they hand to the flows, and how they fail."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from prefect.exceptions import TerminationSignal
from prefect.settings import Settings
from typer.testing import CliRunner

import blocks.loading
import cli.commands.endpoints
import cli.main
import flows.deploy
import flows.replicate
import flows.stage_worker_image
import flows.sweep
import flows.transfer
import images
from blocks import DiskImageFolder, LibvirtEndpoint, ProviderOptionsBlock
from cli import exit_codes
from tasks.groups.members import MachinesFailedError
from tests.unit.blocks.test_blocks import HOST_KEY, KEY_BASE64, KEY_TEXT
from tests.unit.reports.test_deploy_reports import deployment
from tests.unit.reports.test_group_reports import GROUP
from tests.unit.reports.test_reports import SWEPT, transfer
from tradewind.errors import (
    BadInputError,
    BusyError,
    ConnectionFailedError,
    NotFoundError,
    OptionError,
    StreamError,
    TradewindError,
)
from tradewind.model.groups import GroupReport, MachineSelection
from tradewind.model.hardware import CpuTopology, DiskBus, Hardware
from tradewind.model.host import WorkerAccess
from tradewind.model.network import NetworkMap
from tradewind.model.report import TransferReport
from tradewind.model.requests import SourceKind
from tradewind.model.storage import StorageMap
from tradewind.units import MiB

ENDS = ["--from", "old-host", "--to", "kvm1"]
RunMain = Callable[..., int]


def commands(command: Any, *path: str) -> Iterator[tuple[str, ...]]:
    yield path
    for name in command.list_commands(None) if hasattr(command, "list_commands") else ():
        yield from commands(command.get_command(None, name), *path, name)


ALL = list(commands(typer.main.get_command(cli.main.app)))


def test_all_commands_are_there() -> None:
    assert {" ".join(path) for path in ALL} >= {
        "transfer create",
        "transfer run",
        "transfer list",
        "transfer show",
        "transfer delete",
        "machines list",
        "replicate",
        "status",
        "schedule add-group",
        "schedule list",
        "schedule remove",
        "schedule pause",
        "schedule resume",
        "endpoint limit",
        "deploy",
        "setup",
        "settings",
        "drain",
        "resume",
        "controller forget",
        "give-up",
        "move resume",
        "move rollback",
        "kept list",
        "kept accept",
        "sweep",
        "worker-image build",
        "worker-image stage",
        "endpoint add",
        "endpoint validate",
        "options set",
        "options import",
        "images add",
    }


def test_the_help_of_all_commands_is_what_each_says_of_itself() -> None:
    said = {each.name: each.load().get_short_help_str(200) for each in cli.main.COMMANDS}
    assert said == {each.name: each.help for each in cli.main.COMMANDS if not each.hidden} | {
        "give-up": said["give-up"]
    }


def test_help_imports_no_command() -> None:
    shown = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "cli.main", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "preflight" in shown.stdout
    assert not re.findall(r"cli\.commands|prefect|pydantic|tradewind\.model", shown.stderr)


def test_a_typing_mistake_is_compared_with_all_commands() -> None:
    mistaken = CliRunner().invoke(cli.main.app, ["replicat"])
    assert mistaken.exit_code == 2
    assert "Did you mean 'replicate'?" in mistaken.output


@pytest.mark.parametrize("path", ALL, ids=lambda path: " ".join(path) or "tradewind")
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli.main.app, [*path, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert f"Usage: {' '.join(('root', *path))} " in " ".join(result.output.split())
    explained = result.output.split("\n\n")[1]
    assert explained.rstrip().endswith(".")


@pytest.mark.parametrize("path", ALL, ids=lambda path: " ".join(path) or "tradewind")
def test_help_of_80_columns_cuts_nothing_off(path: tuple[str, ...]) -> None:
    wide, narrow = (
        CliRunner().invoke(cli.main.app, [*path, "--help"], env={"COLUMNS": columns}).output
        for columns in ("200", "80")
    )
    assert max(len(line) for line in narrow.splitlines()) <= 80
    assert set(re.findall(r"--[a-z][a-z-]+", wide)) == set(re.findall(r"--[a-z][a-z-]+", narrow))
    commands = narrow.partition("Commands:")[2]
    assert "..." not in commands


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
    assert run("transfer", "run", "web01", *ENDS) == code
    printed = capsys.readouterr()
    assert printed.err.strip() == str(error)
    assert printed.out == ""


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (httpx.ConnectError("refused"), 1, "Prefect's server does not answer: refused"),
        (RuntimeError("Failed to reach API at http://x/api/"), 1, "does not answer: Failed to"),
        (TerminationSignal(signal.SIGTERM), 143, "Stopped by SIGTERM"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_what_prefect_raises_is_a_sentence(
    run: RunMain,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    said: str,
) -> None:
    monkeypatch.setattr(flows.transfer, "transfer", Flow(error))
    assert run("transfer", "run", "web01", *ENDS) == code
    assert said in capsys.readouterr().err


def test_what_a_stopped_run_could_not_give_back_is_named(
    run: RunMain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = TerminationSignal(signal.SIGTERM)
    stopped.add_note("Besides, it could not be undone: worker of run 0123: no answer within 8 s")
    monkeypatch.setattr(flows.transfer, "transfer", Flow(stopped))
    assert run("transfer", "run", "web01", *ENDS) == exit_codes.STOPPED
    said = capsys.readouterr().err
    assert "worker of run 0123" in said
    assert "tradewind sweep" in said
    assert "is given back" not in said


def test_exit_codes_are_told_by_the_help_and_in_one_document() -> None:
    shown = CliRunner().invoke(cli.main.app, ["--help"], env={"COLUMNS": "200"}).output
    document = Path(cli.main.__file__).parents[1] / "docs" / "operate" / "commands.md"
    for code, meaning in exit_codes.CODES.items():
        assert (
            f"{code} {meaning.split()[0].lower().rstrip('.:')}" in shown.partition("Exit codes:")[2]
        )
        assert f"| {code} | {meaning} |" in document.read_text()


def test_defect_is_not_dressed_up(run: RunMain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows.transfer, "transfer", Flow(KeyError("a defect")))
    monkeypatch.setattr(sys, "argv", ["tradewind", "transfer", "run", "web01", *ENDS])
    with pytest.raises(KeyError, match="a defect"):
        cli.main.main()


def test_transfer_hands_over_the_request(
    run: RunMain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = Flow(transfer())
    monkeypatch.setattr(flows.transfer, "transfer", flow)
    limited = ["--bandwidth-limit", "200"]
    assert run("transfer", "run", "web01", *ENDS, "--options", "slow", "--images", *limited) == 0
    (request,) = flow.arguments
    assert (request.machine, request.source, request.destination) == ("web01", "old-host", "kvm1")
    assert (request.options, request.source_kind) == ("slow", SourceKind.IMAGES)
    assert request.bandwidth_limit == 200
    assert "Full transfer: 1.1 GiB sent of 24.0 GiB." in capsys.readouterr().out


def test_report_for_programs(
    run: RunMain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(flows.transfer, "transfer", Flow(transfer()))
    assert run("transfer", "run", "web01", *ENDS, "--json") == 0
    assert TransferReport.model_validate_json(capsys.readouterr().out) == transfer()


def test_transfer_takes_pools_and_settings(run: RunMain, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = Flow(transfer())
    monkeypatch.setattr(flows.transfer, "transfer", flow)
    pools = ["--storage", "vda=fast", "--storage", "backend:old=slow", "--storage", "rest"]
    chosen = ["--set", "data_transfer_mechanism=ssh", "--set", "migr_worker_vcpus=1"]
    assert run("transfer", "run", "web01", *ENDS, *pools, *chosen) == 0
    (request,) = flow.arguments
    assert request.storage_map == StorageMap(
        disks={"vda": "fast"}, backends={"old": "slow"}, default="rest"
    )
    assert request.overrides.model_dump(exclude_none=True) == {
        "data_transfer_mechanism": "ssh",
        "migr_worker_vcpus": 1,
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--storage", "a", "--storage", "b"], "a and b cannot both be the default"),
        (["--set", "colour=red"], "unknown option “colour”"),
        (["--set", "migr_worker_vcpus"], "“migr_worker_vcpus” is not option=value"),
    ],
)
def test_what_a_transfer_cannot_be_asked_for_is_a_sentence(
    run: RunMain, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert run("transfer", "run", "web01", *ENDS, *words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "old"], "--from and --to go together"),
        (["--bandwidth-limit", "3", "--images"], "its own options: --images, --bandwidth-limit"),
    ],
)
def test_stored_transfer_has_its_own_options(
    run: RunMain, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert run("transfer", "run", "web", *words) == 2
    assert said in capsys.readouterr().err


def test_group_hands_over_the_selection(
    run: RunMain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = GROUP.model_copy(update={"outcomes": GROUP.outcomes[:1]})
    flow = Flow(good)
    monkeypatch.setattr(flows.replicate, "replicate", flow)
    chosen = ["--name", "db01", "--name", "mail", "--pattern", "web-*", "--tag", "nightly"]
    assert run("replicate", *ENDS, *chosen, "--limit", "3", "--lag-warning", "90") == 0
    (request,) = flow.arguments
    assert request.machines == MachineSelection(
        names=("db01", "mail"), patterns=("web-*",), tags=("nightly",)
    )
    assert (request.limit, request.lag_warning) == (3, 90)
    assert "1 of 1 machines are up to date" in capsys.readouterr().out


def test_group_that_is_not_up_to_date_shows_its_table_and_fails(
    run: RunMain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = MachinesFailedError(GROUP.headline(), "each machine's flow run says more")
    error.report = GROUP
    monkeypatch.setattr(flows.replicate, "replicate", Flow(error))
    assert run("replicate", *ENDS, "--pattern", "*", "--json") == 1
    printed = capsys.readouterr()
    assert GroupReport.model_validate_json(printed.out) == GROUP
    assert printed.err.startswith("1 of 3 machines are up to date; not web01 (failed)")


def test_group_of_nothing_is_a_sentence(run: RunMain, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("replicate", *ENDS) == 2
    assert capsys.readouterr().err == "no machines: give names, patterns or tags\n"


def test_deploy_hands_over_the_request(
    run: RunMain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = Flow(deployment())
    monkeypatch.setattr(flows.deploy, "deploy", flow)
    networks = ["--network", "office=lan", "--network", "ovs:br-int?vlan=7"]
    nics = ["--network", "52:54:00:1A:2B:3C=bridge:br0"]
    chosen = ["--hardware", "disk_bus=sata", "--hardware", "cpu_topology=1,2,2"]
    assert run("deploy", "web01", *ENDS, "--name", "web01-new", *networks, *nics, *chosen) == 0
    (request,) = flow.arguments
    assert request.name == "web01-new"
    assert request.network_map == NetworkMap(
        nics={"52:54:00:1a:2b:3c": "bridge:br0"},
        networks={"office": "lan"},
        default="ovs:br-int?vlan=7",
    )
    assert request.hardware == Hardware(
        disk_bus=DiskBus.SATA, cpu_topology=CpuTopology(sockets=1, cores=2, threads=2)
    )
    assert "proven by its guest agent" in capsys.readouterr().out


def test_deploy_takes_scripts_and_a_choice(
    run: RunMain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = Flow(deployment())
    monkeypatch.setattr(flows.deploy, "deploy", flow)
    words = ["--no-clone", "--on-boot-failure", "stop", "--scripts-folder", "/srv/scripts"]
    assert run("deploy", "web01", *ENDS, *words, "--script", "after-mount=/srv/a=b.sh") == 0
    (request,) = flow.arguments
    assert (request.clone_disks, request.on_boot_failure) == (False, "stop")
    assert request.scripts_folder == "/srv/scripts"
    assert [(each.phase, each.path) for each in request.scripts] == [("after mount", "/srv/a=b.sh")]
    capsys.readouterr()
    assert run("deploy", "web01", *ENDS, "--script", "later=/srv/a.sh") == 2
    assert "phases are before-mount, after-mount, first-boot" in capsys.readouterr().err


def test_rehearse_is_a_deployment_apart(
    run: RunMain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = Flow(deployment(rehearsal="on network quiet"))
    monkeypatch.setattr(flows.deploy, "deploy", flow)
    assert run("rehearse", "web01", *ENDS, "--network", "quiet", "--boot-timeout", "9") == 0
    (request,) = flow.arguments
    assert request.rehearse
    assert (request.rehearsal_network, request.boot_timeout) == ("quiet", 9)
    assert request.title == "rehearse-web01"
    assert "Rehearsal: web01 boots on kvm1" in capsys.readouterr().out
    assert run("rehearse", "web01", *ENDS, "--subnet", "10.0.0.9/8") == 2
    assert "rehearsal_subnet" in capsys.readouterr().err


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


def test_sweep_of_everything(run: RunMain, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = Flow([SWEPT])
    monkeypatch.setattr(flows.sweep, "sweep", flow)
    assert run("sweep") == 0
    assert flow.arguments == ((),)


@pytest.mark.parametrize("role", ["server", "worker"])
def test_settings_are_what_prefect_accepts(
    run: RunMain,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    role: str,
) -> None:
    """Read back as a shell or systemd would; a value that Prefect cannot read stops its start."""
    assert run("settings", role) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("#")]
    for line in lines:
        name, _, value = line.partition("=")
        monkeypatch.setenv(name, value)
    read = Settings()
    names = set(read.to_environment_variables(exclude_unset=True))
    ours = {"TRADEWIND_HOME", "TRADEWIND_FOLDERS", "PYTHONTZPATH"}
    said = {line.partition("=")[0] for line in lines} - ours
    assert said <= names
    if role == "server":
        assert read.server.concurrency.lease_storage.endswith(".filesystem")
        assert read.server.services.db_vacuum.enabled == {"events", "flow_runs"}
        assert read.server.events.retention_period == timedelta(days=7)


def test_staging_hands_over_the_image(
    run: RunMain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = Flow("it is up to date")
    monkeypatch.setattr(flows.stage_worker_image, "stage_worker_image", flow)
    assert run("worker-image", "stage", "w.qcow2", "--pool", "images", "--to", "kvm1") == 0
    assert flow.arguments == ("kvm1", "images", "w.qcow2", "tradewind-worker.qcow2", "")
    assert "it is up to date" in capsys.readouterr().out


def test_without_an_image_the_built_one_is_staged(
    run: RunMain, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def build(name: str) -> images.BuiltImage:
        assert name == "worker"
        return images.BuiltImage(
            name=name, digest="cafe", checksum="00", disks=(tmp_path / "w.qcow2",)
        )

    flow = Flow("it is up to date")
    monkeypatch.setattr(flows.stage_worker_image, "stage_worker_image", flow)
    monkeypatch.setattr(images, "build", build)
    assert run("worker-image", "stage", "--pool", "images", "--to", "kvm1") == 0
    assert flow.arguments[2] == str(tmp_path / "w.qcow2")


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
    monkeypatch.setattr(blocks.loading, "block_names", lambda _kind: sorted(kept))
    return kept


def test_endpoint_is_stored_with_its_key(
    run: RunMain, saved: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    looked: list[str] = []
    monkeypatch.setattr(cli.commands.endpoints, "_look", lambda name, _block: looked.append(name))
    (tmp_path / "id").write_bytes(KEY_TEXT)
    place = ["--host", "kvm1.example", "--username", "mover", "--port", "2222"]
    keys = ["--key", str(tmp_path / "id"), "--host-key", HOST_KEY]
    assert run("endpoint", "add", "kvm1", *place, *keys) == 0
    access = saved["kvm1"].access()
    assert (access.host, access.port, access.username) == ("kvm1.example", 2222, "mover")
    assert access.private_key.get_secret_value() == KEY_TEXT.decode()
    assert looked == ["kvm1"]
    assert access.worker_access is WorkerAccess.DIRECT
    spared = ("--scratch-pool", "fast", "--scratch-reserve", "9", "--freeze-timeout", "5")
    assert run("endpoint", "add", "kvm1", *place, *keys, "--via-host", *spared, "--replace") == 0
    care = saved["kvm1"].care()
    assert (care.scratch_pool, care.scratch_reserve, care.freeze_timeout) == ("fast", 9 * MiB, 5)
    assert saved["kvm1"].access().worker_access is WorkerAccess.VIA_HOST


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
    assert run("transfer", "run", "", *ENDS) == 2
    assert capsys.readouterr().err == "machine: String should have at least 1 character\n"


def test_what_could_not_be_undone_is_told_too(
    run: RunMain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = StreamError("cut")
    error.add_note("Besides, it could not be undone: the host is gone")
    monkeypatch.setattr(flows.transfer, "transfer", Flow(error))
    assert run("transfer", "run", "web01", *ENDS) == 1
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
        ("windows_virtio_iso_url=https://example.com/a.iso", "not built yet"),
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
    assert run("images", "add", "exports", "here") == 2  # it is not there
    assert run("images", "add", "exports", "here", "--no-check") == 0
    assert saved["exports"].path == tmp_path / "here"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--network", "lan", "--network", "dmz"], "cannot both be the default"),
        (["--network", "office=ovs:br-int?vlan=5000"], "5000 is no VLAN tag"),
        (["--hardware", "disk_buss=sata"], "disk_buss"),
        (["--hardware", "disk_bus=scsy"], "disk_bus"),
        (["--hardware", "cpu_topology=2,2", "--hardware", "vcpus=3"], "makes 4 vCPUs"),
        (["--hardware", "disk_io=native", "--hardware", "disk_cache=writeback"], "disk_io native"),
    ],
)
def test_hardware_that_is_none(
    run: RunMain, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert run("deploy", "web01", *ENDS, *words) == 2
    assert said in " ".join(capsys.readouterr().err.split())
