# SPDX-License-Identifier: Apache-2.0
"""What the commands that list things print, for people and for programs."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner

import cli.main
import cli.setup
import tasks.site
from cli.machines import machine_table
from tests.fakes.memory import MemorySource
from tradewind.model.host import HostFacts
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


def test_machines_for_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def open_source(*arguments: Any) -> MemorySource:
        asked.extend(arguments)
        return MemorySource({"web": {"sda": bytes(512)}, "db": {}})

    monkeypatch.setattr(tasks.site, "open_source", open_source)
    monkeypatch.setattr("cli.machines.stored_options", lambda _name: ProviderOptions())
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
    shown = "\n".join(lines_of(lambda _: cli.setup.facts_table("new", facts), ()))
    assert "9.0.0, 7.2.22" in shown
    assert "emulated" in shown
    assert "BIOS, UEFI" in shown
    assert "default, [fast]" in shown
    for long in ("isapc", "aes", "disk buses", "Secure Boot"):
        assert long not in shown
