# SPDX-License-Identifier: Apache-2.0
"""What a libvirt host says of its machines at a glance."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.fakes.libvirt_fakes import FakeConnection, open_fake
from tradewind.domainxml.backup import BackupDisk
from tradewind.host import backup, checkpoints, domains
from tradewind.model.host import HostAccess
from tradewind.model.label import Purpose
from tradewind.model.machine import FirmwareKind, PowerState
from tradewind.model.run import Run
from tradewind.sources import libvirt_host, libvirt_snapshot
from tradewind.sources.libvirt_host import LibvirtSource

ACCESS = HostAccess(
    host="old.example", username="mover", private_key=SecretStr("key"), host_key="SHA256:x"
)
RUN = Run(id="a1b2c3d4e5f6", transfer="cafe0001", begun=datetime.now(UTC))

# What the test driver says of every disk.
SIZE = 1099506450432

DOMAIN = """<domain type="test"><name>{name}</name><memory>1024</memory><os><type>hvm</type></os>
<devices>{disks}</devices></domain>"""
FILE = """<disk type="file" device="disk"><driver name="qemu" type="{format}"/>
<source file="/images/{name}"/><target dev="{target}" bus="virtio"/></disk>"""
FAR = """<disk type="network" device="disk"><driver name="qemu" type="raw"/>
<source protocol="rbd" name="pool/web"/><target dev="vda" bus="virtio"/></disk>"""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeConnection]:
    connection = open_fake(tmp_path)
    opened: list[str] = []

    @contextmanager
    def connect(access: HostAccess) -> Iterator[FakeConnection]:
        opened.append(access.host)
        yield connection

    connect.opened = opened  # type: ignore[attr-defined]
    for module in (libvirt_host, libvirt_snapshot):
        monkeypatch.setattr(module, "connect", connect)
    yield connection
    assert set(opened) == {"old.example"}
    connection.close()


def test_overview_over_one_connection(host: FakeConnection) -> None:
    two = FILE.format(format="qcow2", name="web.qcow2", target="vda")
    two += FILE.format(format="raw", name="web.raw", target="vdb")
    domains.define(host, DOMAIN.format(name="web", disks=two))
    domains.define(host, DOMAIN.format(name="far", disks=FAR))
    domains.define(host, DOMAIN.format(name="bare", disks=""))
    domains.define(host, DOMAIN.format(name="ours", disks=two))
    domains.write_label(host, "ours", RUN.label(Purpose.READER))
    domains.start(host, "web")
    found = {machine.name: machine for machine in LibvirtSource(ACCESS).overview()}
    assert libvirt_host.connect.opened == ["old.example"]  # type: ignore[attr-defined]
    assert set(found) == {"web", "far", "bare"}
    web = found["web"]
    assert (web.state, web.firmware) == (PowerState.RUNNING, FirmwareKind.BIOS)
    assert [(disk.id, disk.capacity) for disk in web.disks] == [("vda", SIZE), ("vdb", SIZE)]
    assert [bool(disk.untracked) for disk in web.disks] == [False, True]
    assert (web.tracked, web.capacity, web.problem) == ("vda", 2 * SIZE, "")
    for name in ("far", "bare"):
        assert found[name].disks == ()
        assert "cannot be read yet" in found[name].problem or "no disk" in found[name].problem


def test_forgotten_replica_leaves_the_checkpoints_of_others(host: FakeConnection) -> None:
    disks = "".join(
        FILE.format(format="qcow2", name=f"{target}.qcow2", target=target)
        for target in ("vda", "vdb")
    )
    domains.define(host, DOMAIN.format(name="web", disks=disks))
    domains.start(host, "web")
    (domain,) = host.listAllDomains()
    other = RUN.model_copy(update={"transfer": "beef0002"})
    for run in (RUN, other):
        targets = [BackupDisk(target=each, scratch=f"/s/{each}", tracked=True) for each in ("vda",)]
        backup.begin(domain, backup.Job("/n", targets, checkpoint=checkpoints.name_of(run)))
        backup.end(domain)
    source = LibvirtSource(ACCESS)
    machine = source.inspect("web")
    made = checkpoints.name_of(RUN)
    last = checkpoints.read(domain, made)
    later = RUN.model_copy(update={"id": "0123456789ab"})
    assert source.forget_replica(machine, later, last) == (made,)
    assert checkpoints.names(domain) == (checkpoints.name_of(other),)
    # A second time, libvirt is told of it again, and again it goes.
    assert source.forget_replica(machine, later, last) == (made,)
    assert source.forget_replica(machine, later, None) == ()
