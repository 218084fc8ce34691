# SPDX-License-Identifier: Apache-2.0
"""What a host offers."""

from pathlib import Path

import libvirt
import pytest

from tests.fakes.libvirt_fakes import FakeConnection
from tradewind.errors import BadInputError
from tradewind.host import facts


def test_survey_names_everything(host: FakeConnection) -> None:
    found = facts.survey(host)
    assert found.hostname == host.getHostname()
    assert found.pools == ("asleep", "fast", "images", "vg")
    assert found.networks == ("lan", "stopped")
    assert found.machine_type.startswith("pc-q35-")
    assert found.uefi
    assert "host-model" in found.cpu_modes or not found.kvm
    assert list(found.cpu_features) == sorted(found.cpu_features)
    assert found.cpu_features


@pytest.mark.parametrize("architecture", ["aarch64", "i686", "s390x"])
def test_host_of_another_processor_is_refused(
    host: FakeConnection, monkeypatch: pytest.MonkeyPatch, architecture: str
) -> None:
    other = host.getCapabilities().replace("x86_64", architecture)
    monkeypatch.setattr(host, "getCapabilities", lambda: other, raising=False)
    with pytest.raises(BadInputError, match=f"has processors of {architecture}") as caught:
        facts.survey(host)
    assert "x86_64" in caught.value.hint


def test_version_is_read_as_libvirt_counts(
    host: FakeConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "getLibVersion", lambda: 9_000_000, raising=False)
    monkeypatch.setattr(host, "getVersion", lambda: 7_002_022, raising=False)
    found = facts.survey(host)
    assert (found.libvirt_version, found.qemu_version) == ("9.0.0", "7.2.22")


def test_host_without_a_model_of_its_cpu_names_no_features(
    host: FakeConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    xml = host.getDomainCapabilities(None, "x86_64", "q35", "kvm", 0)
    without = xml.replace("<mode name='host-model' supported='yes'>", "<mode name='x'>")
    assert without != xml
    monkeypatch.setattr(host, "getDomainCapabilities", lambda *_: without)
    assert facts.survey(host).cpu_features == ()


class NetDevice:
    """A virNodeDevice."""

    def __init__(self, name: str) -> None:
        self.name = name

    def XMLDesc(self) -> str:  # noqa: N802
        return (
            f"<device><name>net_{self.name}</name>"
            f"<capability type='net'><interface>{self.name}</interface></capability></device>"
        )


@pytest.mark.parametrize(
    ("listed", "known"),
    [(["lo", "lan0", "br0"], ("br0", "lan0", "lo")), (["lo", "eth0"], ())],
)
def test_devices_count_when_they_are_complete(
    host: FakeConnection,
    monkeypatch: pytest.MonkeyPatch,
    listed: list[str],
    known: tuple[str, ...],
) -> None:
    monkeypatch.setattr(
        host, "listAllDevices", lambda _flags: [NetDevice(name) for name in listed], raising=False
    )
    assert facts.survey(host).devices == known


def test_host_without_the_daemon_for_devices(
    host: FakeConnection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Libvirt's own error: what virtqemud says when virtnodedevd is not installed."""

    def ask(_flags: int) -> None:
        libvirt.open(f"qemu+unix:///system?socket={tmp_path}/virtnodedevd-sock")

    monkeypatch.setattr(host, "listAllDevices", ask, raising=False)
    assert facts.survey(host).devices == ()


def test_other_machine_type(host: FakeConnection) -> None:
    found = facts.survey(host)
    assert facts.for_machine(host, found, None) == found
    old = facts.for_machine(host, found, "pc")
    assert old.machine_type == "pc-i440fx-7.2"
    assert "ide" in old.disk_buses
    assert not old.secure_boot
