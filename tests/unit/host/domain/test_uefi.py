# SPDX-License-Identifier: Apache-2.0
"""The UEFI variables of a source's machine."""

import pytest

from tests.fakes.libvirt_fakes import FakeConnection
from tradewind.domainxml.locations import locations
from tradewind.domainxml.machine import VariablesFile, variables_file
from tradewind.errors import NotFoundError
from tradewind.host.domain import domains, uefi
from tradewind.model.machine import Firmware, FirmwareKind, VirtualMachine
from tradewind.model.uefi import LARGEST

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
    found = uefi.read_store(host, domains.require_domain(host, "ledger01"), machine)
    assert found == uefi.Store(path, b"entries", "raw")


def test_what_cannot_be_had_is_said(host: FakeConnection, machine: VirtualMachine) -> None:
    domains.define(host, DOMAIN.format(nvram=""))
    domain = domains.require_domain(host, "ledger01")
    with pytest.raises(NotFoundError, match=f"there is no file {USUAL}"):
        uefi.read_store(host, domain, machine)
    host.host.files[USUAL] = bytes(LARGEST + 1)
    with pytest.raises(NotFoundError, match=f"raw file of {LARGEST + 1} bytes"):
        uefi.read_store(host, domain, machine)


def test_bios_has_none(host: FakeConnection, machine: VirtualMachine) -> None:
    domains.define(host, DOMAIN.format(nvram=""))
    plain = machine.model_copy(update={"firmware": Firmware()})
    assert uefi.read_store(host, domains.require_domain(host, "ledger01"), plain) is None
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
    assert variables_file(xml) == VariablesFile(NVRAM, "raw")
    assert NVRAM in locations(xml)


@pytest.mark.parametrize(
    ("described", "image_format"),
    [
        (f"<loader format='qcow2'/><nvram format='raw'>{NVRAM}</nvram>", "raw"),
        (f"<loader format='raw'/><nvram format='qcow2'>{NVRAM}</nvram>", "qcow2"),
        (
            f"<nvram type='file' format='qcow2'><source file='{NVRAM}'/></nvram>",
            "qcow2",
        ),
        (f"<loader format='qcow2'/><nvram>{NVRAM}</nvram>", "qcow2"),
    ],
)
def test_format_of_a_store_is_its_own_or_that_of_the_code(
    described: str, image_format: str
) -> None:
    found = variables_file(DOMAIN.format(nvram=described))
    assert found == VariablesFile(NVRAM, image_format)


def test_guest_cannot_turn_its_flash_into_an_image(
    host: FakeConnection, machine: VirtualMachine
) -> None:
    """Where the description says raw, a qcow2 header is something that the guest wrote."""
    domains.define(host, DOMAIN.format(nvram=f"<loader>/x</loader><nvram>{NVRAM}</nvram>"))
    host.host.files[NVRAM] = b"QFI\xfb".ljust(1024, b"\0")
    with pytest.raises(NotFoundError, match="is a qcow2 file"):
        uefi.read_store(host, domains.require_domain(host, "ledger01"), machine)
