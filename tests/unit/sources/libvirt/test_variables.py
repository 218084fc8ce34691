# SPDX-License-Identifier: Apache-2.0
"""UEFI variables of a source, whatever format its host keeps them in."""

from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from tests.fakes.described import source
from tests.fakes.images import forge_qcow2, make_qcow2
from tests.fakes.libvirt_fakes import FakeConnection, open_fake
from tradewind.host.domain import domains
from tradewind.model.machine import Firmware, FirmwareKind, VirtualMachine
from tradewind.model.uefi import UefiVariables
from tradewind.sources.libvirt import variables
from tradewind.units import KiB

PATH = "/var/lib/libvirt/qemu/nvram/ledger01_VARS.qcow2"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[FakeConnection]:
    connection = open_fake(tmp_path)
    yield connection
    connection.close()


@pytest.fixture
def machine() -> VirtualMachine:
    return source().model_copy(update={"firmware": Firmware(kind=FirmwareKind.UEFI)})


@pytest.fixture
def domain(host: FakeConnection, monkeypatch: pytest.MonkeyPatch) -> libvirt.virDomain:
    """Define one as libvirt 11 describes it; the test driver of 9.0 drops the format."""
    plain = (
        "<domain type='test'><name>ledger01</name><memory>1024</memory><os><type>hvm</type>"
        "</os></domain>"
    )
    store = f"<loader format='qcow2'>/x</loader><nvram format='qcow2'>{PATH}</nvram></os>"
    said = plain.replace("</os>", store)
    domains.define(host, plain)
    found = domains.require_domain(host, "ledger01")
    monkeypatch.setattr(found, "XMLDesc", lambda _flags=0: said, raising=False)
    return found


def test_qcow2_store_is_kept_as_the_flash_that_it_holds(
    host: FakeConnection, machine: VirtualMachine, domain: libvirt.virDomain, tmp_path: Path
) -> None:
    flash = make_qcow2(tmp_path / "store", 528 * KiB, {100: b"boot entries"})
    host.host.files[PATH] = (tmp_path / "store").read_bytes()
    found, said = variables.read_variables(host, domain, machine)
    assert said == ()
    assert found == UefiVariables.of(flash)


def test_store_that_wants_another_file_is_told(
    host: FakeConnection, machine: VirtualMachine, domain: libvirt.virDomain, tmp_path: Path
) -> None:
    forged = forge_qcow2(tmp_path / "store", b"", b"/etc/shadow", 528 * KiB)
    host.host.files[PATH] = forged.read_bytes()
    found, said = variables.read_variables(host, domain, machine)
    assert found is None
    assert said[0].startswith(f"The source does not give its UEFI variables away: {PATH} has a")


def test_store_that_is_not_there_is_told(
    host: FakeConnection, machine: VirtualMachine, domain: libvirt.virDomain
) -> None:
    found, said = variables.read_variables(host, domain, machine)
    assert found is None
    assert f"there is no file {PATH}" in said[0]


def test_format_that_is_not_known_is_told(
    host: FakeConnection,
    machine: VirtualMachine,
    domain: libvirt.virDomain,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = domain.XMLDesc().replace("format='qcow2'", "format='vmdk'")
    monkeypatch.setattr(domain, "XMLDesc", lambda _flags=0: said, raising=False)
    found, lines = variables.read_variables(host, domain, machine)
    assert found is None
    assert f"{PATH} is of format vmdk" in lines[0]
    assert host.host.calls == []
