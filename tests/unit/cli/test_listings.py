# SPDX-License-Identifier: Apache-2.0
"""What the commands that list things print, for people and for programs."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner

import cli.commands.endpoints
import cli.commands.kept
import cli.main
import tasks.environment
from cli.commands.kept import kept_table
from cli.commands.machines import machine_table
from tests.fakes.memory import MemorySource
from tradewind.errors import NotFoundError
from tradewind.ledger import Ledger, kept, open_ledger
from tradewind.model.host import HostFacts
from tradewind.model.ledger import Kept
from tradewind.model.machine import PowerState
from tradewind.model.options import ProviderOptions
from tradewind.model.overview import DiskOverview, MachineOverview
from tradewind.model.requests import SourceKind
from tradewind.units import GiB

WEB = MachineOverview(
    name="web",
    id="id-web",
    state=PowerState.RUNNING,
    tags=("nightly",),
    disks=(
        DiskOverview(id="vda", capacity=8 * GiB, untracked=""),
        DiskOverview(id="vdb", capacity=2 * GiB, untracked="raw"),
    ),
)
FAR = MachineOverview(name="far", id="id-far", state=PowerState.SHUT_OFF, problem="disk vda: [rbd]")


def lines_of(tabulate: Callable[[Sequence[Any]], Table], found: Sequence[Any]) -> list[str]:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(tabulate(found))
    return capture.get().splitlines()


def row(name: str, lines: list[str]) -> str:
    (found,) = [line for line in lines if name in line]
    return " ".join(found.replace("│", "").split())


def test_machines_for_people() -> None:
    lines = lines_of(machine_table, [WEB, FAR])
    assert row("web", lines) == "web running – 10.0 GiB vda 8.0 GiB, vdb 2.0 GiB vda"
    assert row("far", lines) == "far shut off – – disk vda: [rbd] –"


KEPT = Kept(
    run="0123456789ab",
    transfer="cafe0001",
    domain="[web]",
    destination="kvm1",
    since=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    why="it did not boot",
)


def test_kept_machines_for_people() -> None:
    text = " ".join(lines_of(kept_table, [KEPT]))
    for word in ("[web]", "kvm1", "it did not", "tradewind", "accept", "0123456789ab", "undefine"):
        assert word in text


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """A ledger with one machine that waits, which the commands open."""
    with open_ledger(str(tmp_path / "ledger.sqlite")) as opened:
        kept.keep(opened, KEPT, [])
        monkeypatch.setattr(cli.commands.kept, "ledger_of", lambda _options: nullcontext(opened))
        yield opened


def test_kept_machine_is_listed_and_accepted(ledger: Ledger) -> None:
    listed = CliRunner().invoke(cli.main.app, ["kept", "list", "--json"])
    assert [Kept.model_validate(each) for each in json.loads(listed.stdout)] == [KEPT]
    accepted = CliRunner().invoke(cli.main.app, ["kept", "accept", KEPT.run])
    assert "[web] on kvm1 waits no more" in accepted.stdout
    assert kept.all_kept(ledger) == []
    listed = CliRunner().invoke(cli.main.app, ["kept", "list"])
    assert "no machine waits" in listed.stdout
    again = CliRunner().invoke(cli.main.app, ["kept", "accept", KEPT.run])
    assert isinstance(again.exception, NotFoundError)


def test_machines_for_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def open_source(*arguments: Any) -> MemorySource:
        asked.extend(arguments)
        return MemorySource({"web": {"sda": bytes(512)}, "db": {}})

    monkeypatch.setattr(tasks.environment, "open_source", open_source)
    monkeypatch.setattr("cli.commands.machines.stored_options", lambda _name: ProviderOptions())
    result = CliRunner().invoke(
        cli.main.app, ["machines", "list", "--from", "exported", "--images", "--json"]
    )
    assert result.exit_code == 0, result.output
    assert asked[:2] == [SourceKind.IMAGES, "exported"]
    db, web = json.loads(result.stdout)
    assert (db["name"], db["disks"]) == ("db", [])
    assert web == {
        "name": "web",
        "id": "web",
        "state": "shut off",
        "tags": [],
        "firmware": "bios",
        "disks": [{"id": "sda", "capacity": 512, "untracked": ""}],
        "problem": "",
    }


def test_host_is_shown_by_what_a_person_asks_of_it() -> None:
    facts = HostFacts(
        hostname="kvm1",
        libvirt_version="9.0.0",
        qemu_version="7.2.22",
        kvm=False,
        uefi=True,
        secure_boot=False,
        tpm=True,
        cpu_modes=("maximum", "custom"),
        cpu_features=("aes",),
        machine_type="pc-q35-7.2",
        pools=("default", "[fast]"),
        networks=("lan",),
        machine_types=("isapc",),
    )
    shown = "\n".join(lines_of(lambda _: cli.commands.endpoints.facts_table("new", facts), ()))
    assert "9.0.0, 7.2.22" in shown
    assert "emulated" in shown
    assert "BIOS, UEFI" in shown
    assert "default, [fast]" in shown
    for long in ("isapc", "aes", "disk buses", "Secure Boot"):
        assert long not in shown
