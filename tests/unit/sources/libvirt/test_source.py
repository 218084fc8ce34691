# SPDX-License-Identifier: Apache-2.0
"""What a libvirt host says of its machines at a glance."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import libvirt
import pytest
from lxml import etree
from pydantic import SecretStr

from tests.fakes.libvirt_fakes import FakeConnection, FakeDomain, FakeVolume, open_fake
from tradewind.domainxml.backup import BackupDisk
from tradewind.errors import BadInputError
from tradewind.host import storage
from tradewind.host.domain import backup, checkpoints, domains
from tradewind.model.host import HostAccess
from tradewind.model.machine import FirmwareKind, PowerState, VirtualMachine
from tradewind.model.run import Purpose, Run
from tradewind.model.storage import Volume
from tradewind.sources.libvirt import snapshot_job, snapshots
from tradewind.sources.libvirt import source as libvirt_source
from tradewind.sources.libvirt.source import LibvirtSource
from tradewind.units import GiB

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
IN_POOL = '<source pool="fast" volume="web"/>'
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
    for module in (libvirt_source, snapshots, snapshot_job):
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
    domains.define(host, DOMAIN.format(name=f"tradewind-{RUN.id}-twin-web", disks=two))
    domains.define(host, DOMAIN.format(name="ours", disks=two))
    domains.write_label(host, "ours", RUN.label(Purpose.READER))
    domains.start(host, "web")
    found = {machine.name: machine for machine in LibvirtSource(ACCESS).overview()}
    assert libvirt_source.connect.opened == ["old.example"]  # type: ignore[attr-defined]
    assert set(found) == {"web", "far", "bare"}
    web = found["web"]
    assert (web.state, web.firmware) == (PowerState.RUNNING, FirmwareKind.BIOS)
    assert [(disk.id, disk.capacity) for disk in web.disks] == [("vda", SIZE), ("vdb", SIZE)]
    assert [bool(disk.untracked) for disk in web.disks] == [False, True]
    assert (web.tracked, web.capacity, web.problem) == ("vda", 2 * SIZE, "")
    for name in ("far", "bare"):
        assert found[name].disks == ()
        assert "cannot be read yet" in found[name].problem or "no disk" in found[name].problem


@pytest.mark.parametrize(("pool", "block"), [("fast", False), ("vg", True)])
def test_volume_of_a_pool_is_what_libvirt_says(
    host: FakeConnection, monkeypatch: pytest.MonkeyPatch, pool: str, block: bool
) -> None:
    storage.create_volume(host, Volume(pool=pool, name="web", capacity=GiB, format="raw"))
    kind = libvirt.VIR_STORAGE_VOL_BLOCK if block else libvirt.VIR_STORAGE_VOL_FILE
    monkeypatch.setattr(FakeVolume, "info", lambda _self: [kind, GiB, GiB], raising=False)
    disk = (
        '<disk type="volume" device="disk"><driver name="qemu" type="raw"/>'
        f'<source pool="{pool}" volume="web"/><target dev="vda" bus="virtio"/></disk>'
    )
    domains.define(host, DOMAIN.format(name="web", disks=disk))
    (found,) = LibvirtSource(ACCESS).inspect("web").disks
    assert (found.block, found.is_block) == (block, block)


@pytest.mark.parametrize(("compat", "tracked"), [("<compat>1.1</compat>", True), ("", False)])
@pytest.mark.parametrize(
    "source", ['type="file"><source file="/pools/fast/web"/>', 'type="volume">' + IN_POOL]
)
def test_image_of_an_old_version_is_not_called_tracked(
    host: FakeConnection, compat: str, tracked: bool, source: str
) -> None:
    """As libvirt describes an image of qcow2 version 2: without <compat>."""
    host.storagePoolLookupByName("fast").createXML(
        f"<volume><name>web</name><capacity>{GiB}</capacity>"
        f"<target><format type='qcow2'/>{compat}</target></volume>"
    )
    kind, _, place = source.partition(">")
    disk = (
        f'<disk {kind} device="disk"><driver name="qemu" type="qcow2"/>{place}'
        '<target dev="vda" bus="virtio"/></disk>'
    )
    domains.define(host, DOMAIN.format(name="web", disks=disk))
    (listed,) = LibvirtSource(ACCESS).overview()
    assert listed.tracked == ("all disks" if tracked else "no disk")
    assert bool(listed.disks[0].untracked) is not tracked


SLICED = """<disk type="file" device="disk"><driver name="qemu" type="raw"/>
<source file="/images/all.raw"><slices><slice type="storage" offset="1048576" size="4194304"/>
</slices></source><target dev="vda" bus="virtio"/></disk>"""


def test_slice_of_a_file_is_refused(host: FakeConnection) -> None:
    """A backup reads the file from its beginning: other bytes, whose digests are all right."""
    domains.define(host, DOMAIN.format(name="part", disks=SLICED))
    with pytest.raises(BadInputError, match=r"disk vda is a part of /images/all\.raw") as caught:
        LibvirtSource(ACCESS).inspect("part")
    assert "qemu-img convert" in caught.value.hint
    (listed,) = LibvirtSource(ACCESS).overview()
    assert "is a part of" in listed.problem


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
        backup.begin(
            domain,
            backup.BackupRequest("/tradewind-x/n", targets, checkpoint=checkpoints.name_of(run)),
        )
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


def web_with(host: FakeConnection, *targets: str) -> VirtualMachine:
    disks = "".join(
        FILE.format(format="qcow2", name=f"{target}.qcow2", target=target) for target in targets
    )
    domains.define(host, DOMAIN.format(name="web", disks=disks))
    return LibvirtSource(ACCESS).inspect("web")


def test_machine_that_changed_since_it_was_looked_at_is_not_read(host: FakeConnection) -> None:
    machine = web_with(host, "vda")
    domains.start(host, "web")
    with pytest.raises(BadInputError, match="was started, stopped, or got other disks"):
        LibvirtSource(ACCESS).snapshot(machine, RUN)
    running = LibvirtSource(ACCESS).inspect("web")
    domains.require_domain(host, "web").destroy()
    with pytest.raises(BadInputError, match="was started, stopped, or got other disks"):
        LibvirtSource(ACCESS).snapshot(running, RUN)


def test_machine_that_was_saved_since_it_was_looked_at_is_not_read(host: FakeConnection) -> None:
    """A move asks for its last changes when the machine is off, however that came about."""
    machine = web_with(host, "vda")
    domains.start(host, "web")
    domains.require_domain(host, "web").managedSave()
    with pytest.raises(BadInputError, match="is not shut off but saved"):
        LibvirtSource(ACCESS).snapshot(machine, RUN)


def test_disk_that_the_running_machine_does_not_have_is_named(
    host: FakeConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    web_with(host, "vda", "vdb")
    domains.start(host, "web")
    real = FakeDomain.XMLDesc

    def without(domain: FakeDomain, flags: int = 0) -> str:
        document = etree.fromstring(real(domain, flags))
        for disk in document.findall("devices/disk")[1:] if not flags else ():
            disk.getparent().remove(disk)  # type: ignore[union-attr]
        return etree.tostring(document, encoding="unicode")

    monkeypatch.setattr(FakeDomain, "XMLDesc", without)
    with pytest.raises(BadInputError, match=r"disk vdb .* is in the definition of web only"):
        LibvirtSource(ACCESS).inspect("web")
