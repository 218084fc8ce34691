# SPDX-License-Identifier: Apache-2.0
"""What is said of a machine before it is read, and how loudly."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.described import source
from tests.fakes.libvirt_fakes import FakeConnection, open_fake
from tests.fakes.local_remote import LocalRemote
from tradewind.domainxml.volume import VolumeFacts
from tradewind.errors import NotFoundError
from tradewind.host import host_files
from tradewind.host.domain import domains
from tradewind.host.domain.backup import OLD_IMAGE
from tradewind.model.finding import Severity
from tradewind.model.machine import Disk
from tradewind.model.source import DEFAULT_CARE
from tradewind.sources.libvirt import preflight
from tradewind.units import GiB

DOMAIN = """<domain type="test"><name>web</name><memory>1024</memory>
<os><type>hvm</type></os></domain>"""
NVDIMM = """<memory model='nvdimm'><source><path>/srv/nv0</path></source>
<target><size unit='MiB'>512</size><node>0</node></target></memory>"""
LUN = """<disk type="block" device="lun"><source dev="/dev/sdq"/>
<target dev="sdb" bus="scsi"/></disk>"""
SOUND = "<sound model='ich9'/>"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[FakeConnection]:
    connection = open_fake(tmp_path)
    domains.define(connection, DOMAIN)
    yield connection
    connection.close()


@pytest.mark.parametrize(("version", "told"), [(2, True), (3, False), (None, False)])
def test_image_of_an_old_version_outside_all_pools(
    host: FakeConnection, monkeypatch: pytest.MonkeyPatch, version: int | None, told: bool
) -> None:
    def describe(_connection: object, path: str) -> VolumeFacts:
        if version is None:
            raise NotFoundError(f"there is no file {path}")
        return VolumeFacts("a", path, "qcow2", GiB, GiB, None, version)

    monkeypatch.setattr(host_files, "describe", describe)
    domain = domains.require_domain(host, "web")
    disk = Disk(id="sda", capacity=GiB, format="qcow2", location="/srv/a.qcow2")
    machine = source().model_copy(update={"disks": (disk,)})
    found = preflight.preflight_source(host, LocalRemote(), domain, machine, DEFAULT_CARE)
    said = [each.evidence for each in found.findings if each.what.startswith("disk sda")]
    assert said == [OLD_IMAGE] * told


@pytest.mark.parametrize(
    ("devices", "words", "severity"),
    [
        (NVDIMM, "nvdimm /srv/nv0", Severity.WARNING),
        (LUN, "SCSI LUN /dev/sdq", Severity.WARNING),
        (SOUND, "sound device", Severity.NOTE),
    ],
)
def test_what_holds_data_is_warned_of(
    host: FakeConnection, devices: str, words: str, severity: Severity
) -> None:
    domain = domains.require_domain(host, "web")
    machine = source(devices=devices)
    found = preflight.preflight_source(host, LocalRemote(), domain, machine, DEFAULT_CARE)
    (said,) = [each for each in found.findings if words in each.what]
    assert said.severity is severity
