# SPDX-License-Identifier: Apache-2.0
"""Both ways in which QEMU serves a backup, and hosts that allow neither."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import lab
from lab import site
from lab.records import Lab, LabHost
from tests.live import hosts, running
from tests.live.running import Running
from tests.live.tradewind_command import Tradewind
from tradewind.model.source import BackupTransport

pytestmark = pytest.mark.live

OVER_TCP = "lab-source-tcp"
TMP = "/var/tmp"


@pytest.fixture
def busy(the_lab: Lab) -> Iterator[Running]:
    machine = running.make(the_lab.source, "served", {"vda": "64M", "vdb": "32M"})
    machine.io("vda", "write -P 1 1M 4M")
    machine.io("vdb", "write -P 2 5M 64k")
    yield machine
    hosts.end_machines(the_lab.source, machine.name)


@pytest.fixture
def over_tcp(the_lab: Lab) -> str:
    from blocks.endpoint import LibvirtEndpoint  # noqa: PLC0415 - Prefect reads its settings first
    from blocks.loading import load_block  # noqa: PLC0415

    endpoint = load_block(LibvirtEndpoint, site.SOURCE)
    endpoint.backup_transport = BackupTransport.TCP
    endpoint.save(OVER_TCP, overwrite=True)
    return OVER_TCP


def validate(tradewind: Tradewind, name: str) -> list[dict[str, Any]]:
    ended = tradewind.run("endpoint", "validate", name, "--json")
    assert ended.status == 0, ended.stderr[-2000:]
    found: list[dict[str, Any]] = json.loads(ended.stdout)["findings"]
    return [each for each in found if "no machine can be read from here" in each["what"]]


def test_a_machine_is_read_over_the_loopback(
    tradewind: Tradewind, the_lab: Lab, busy: Running, over_tcp: str
) -> None:
    before = hosts.traces(the_lab.source)
    first = busy.transfer(source=over_tcp)
    busy.io("vda", "write -P 3 9M 128k")
    second = busy.transfer(source=over_tcp)
    assert (first.full, second.full) == (True, False)
    assert 0 < second.sent < 1 << 20
    for target, planned in zip(busy.disks, first.plan.create, strict=True):
        replica = hosts.volume_file(the_lab.destination, planned.volume.name)
        running.assert_same(busy, replica, target)
    assert hosts.traces(the_lab.source) == before


def test_validate_reads_a_machine_that_is_none_and_leaves_nothing(
    tradewind: Tradewind, the_lab: Lab, over_tcp: str
) -> None:
    before = hosts.traces(the_lab.source)
    for name in (site.SOURCE, over_tcp):
        assert validate(tradewind, name) == []
    assert hosts.traces(the_lab.source) == before


@contextmanager
def closed_to_qemu(host: LabHost) -> Iterator[None]:
    """Have a /var/tmp that the account can use, and QEMU's user cannot enter."""
    lab.run(host, ["mount", "-t", "tmpfs", "-o", f"mode=0770,gid={group_of(host)}", "tmpfs", TMP])
    try:
        yield
    finally:
        lab.run(host, ["umount", TMP])


def group_of(host: LabHost) -> str:
    return lab.run(host, ["id", "-g", host.username]).stdout.strip()


def test_a_host_whose_qemu_may_make_no_socket_is_told_before_anything_is_made(
    tradewind: Tradewind, the_lab: Lab, busy: Running, over_tcp: str
) -> None:
    before = [hosts.traces(host) for host in (the_lab.source, the_lab.destination)]
    with closed_to_qemu(the_lab.source):
        (found,) = validate(tradewind, site.SOURCE)
        print(f"\n{found['what']}\n  → {found['remedy']}")
        said = tradewind.run(
            "preflight", busy.name, "--from", site.SOURCE, "--to", site.DESTINATION
        )
        assert said.status != 0
        assert "ermission denied" in said.stdout
    assert [hosts.traces(host) for host in (the_lab.source, the_lab.destination)] == before


def test_a_host_that_confines_nothing_needs_no_rule(tradewind: Tradewind) -> None:
    ended = tradewind.run("endpoint", "host-rules", site.SOURCE)
    assert ended.status == 0
    assert "no rule needed" in ended.stdout
