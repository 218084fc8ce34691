# SPDX-License-Identifier: Apache-2.0
"""The UEFI variables of a source's machine."""

import pytest

from tests.fakes.libvirt_fakes import FakeConnection
from tradewind.domainxml.locations import locations
from tradewind.domainxml.machine import variables_file
from tradewind.host.domain import domains, uefi
from tradewind.model.machine import Firmware, FirmwareKind, VirtualMachine
from tradewind.model.uefi import LARGEST, UefiVariables

DOMAIN = """<domain type="test"><name>ledger01</name><memory>1024</memory>
<os><type>hvm</type>{nvram}</os></domain>"""
NVRAM = "/srv/nvram/ledger01.fd"
USUAL = "/var/lib/libvirt/qemu/nvram/ledger01_VARS.fd"


@pytest.fixture
def machine(machine: VirtualMachine) -> VirtualMachine:
    return machine.model_copy(update={"firmware": Firmware(kind=FirmwareKind.UEFI)})


@pytest.mark.parametrize(
    ("nvram", "path"), [(f"<loader>/x</loader><nvram>{NVRAM}</nvram>", NVRAM), ("", USUAL)]
)
def test_file_that_is_named_or_usual(
    host: FakeConnection, machine: VirtualMachine, nvram: str, path: str
) -> None:
    domains.define(host, DOMAIN.format(nvram=nvram))
    host.host.files[path] = b"entries"
    found = uefi.read_variables(host, domains.require_domain(host, "ledger01"), machine)
    assert found == (UefiVariables.of(b"entries"), ())


def test_what_cannot_be_had_is_said(host: FakeConnection, machine: VirtualMachine) -> None:
    domains.define(host, DOMAIN.format(nvram=""))
    domain = domains.require_domain(host, "ledger01")
    found, said = uefi.read_variables(host, domain, machine)
    assert found is None
    assert f"there is no file {USUAL}" in said[0]
    host.host.files[USUAL] = bytes(LARGEST + 1)
    assert uefi.read_variables(host, domain, machine)[0] is None


def test_bios_has_none(host: FakeConnection, machine: VirtualMachine) -> None:
    domains.define(host, DOMAIN.format(nvram=""))
    plain = machine.model_copy(update={"firmware": Firmware()})
    assert uefi.read_variables(host, domains.require_domain(host, "ledger01"), plain) == (None, ())
    assert host.host.calls == []


@pytest.mark.parametrize(
    "nvram",
    [
        f"<nvram>{NVRAM}</nvram>",
        f"<nvram type='file'><source file='{NVRAM}'/></nvram>",
    ],
)
def test_file_counts_among_what_a_machine_uses(nvram: str) -> None:
    xml = DOMAIN.format(nvram=nvram)
    assert variables_file(xml) == NVRAM
    assert NVRAM in locations(xml)
