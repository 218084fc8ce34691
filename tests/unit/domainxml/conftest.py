# SPDX-License-Identifier: Apache-2.0
"""Whole XML documents, compared with files and checked against libvirt's own schemas.

`TRADEWIND_REGENERATE_GOLDEN=1 pytest tests/unit/domainxml` writes the files anew; read the diff.
"""

import functools
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lxml import etree

from tradewind.model.deploy import CpuChoice, CpuMode, FinalDisk, FinalDomain, FinalNic
from tradewind.model.network import Plug
from tradewind.model.run import Label, Purpose
from tradewind.units import GiB

GOLDEN = Path(__file__).parents[2] / "golden" / "domainxml"
SCHEMAS = Path("/usr/share/libvirt/schemas")

Compare = Callable[[str, str], None]
Validate = Callable[[etree._Element, str], None]


@functools.cache
def _schema(name: str) -> etree.RelaxNG:
    path = SCHEMAS / f"{name}.rng"
    assert path.exists(), (
        f"{path} is missing: install libvirt0 (deployments/install-system-packages)"
    )
    return etree.RelaxNG(etree.parse(str(path)))


@pytest.fixture(scope="session")
def validate() -> Validate:
    """Check an element against one of libvirt's schemas."""

    def check(element: etree._Element, schema: str) -> None:
        _schema(schema).assertValid(element)

    return check


@pytest.fixture
def same_as_golden() -> Compare:
    """Compare a document with the golden file of this name, letter by letter."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / f"{name}.xml"
        if os.environ.get("TRADEWIND_REGENERATE_GOLDEN"):
            path.write_text(text)
        assert text == path.read_text()

    return compare


def read(name: str) -> str:
    return (GOLDEN / f"{name}.xml").read_text()


@pytest.fixture
def debian() -> str:
    """A plain Debian: BIOS, two disks on SATA, one e1000."""
    return read("sources/debian-bios")


@pytest.fixture
def windows() -> str:
    """A Windows with nearly everything that cannot move."""
    return read("sources/windows-uefi")


@pytest.fixture
def document() -> Callable[[str], str]:
    """Read a document as a libvirt host sent it."""
    return lambda name: read(f"documents/{name}")


@pytest.fixture
def label() -> Label:
    return Label(
        transfer="a1b2c3d4",
        run="e5f6a7b8",
        purpose=Purpose.TRANSFER,
        created=datetime(2026, 3, 1, 12, 30, tzinfo=UTC),
        controller="controller.example",
    )


@pytest.fixture
def plan(label: Label) -> FinalDomain:
    """What the destination adds to the Debian, on a host without KVM."""
    return FinalDomain(
        name="ledger01",
        kvm=False,
        machine_type="pc-q35-7.2",
        cpu=CpuChoice(mode=CpuMode.MAXIMUM, migratable=True, features=("rdtscp",)),
        disks=(
            FinalDisk(disk_id="sda", path="/pool/ledger01-sda.qcow2", format="qcow2"),
            FinalDisk(disk_id="sdb", path="/pool/ledger01-sdb.qcow2", format="qcow2"),
        ),
        nics=(FinalNic(mac="52:54:00:1a:2b:3c", plug=Plug(name="default")),),
        tpm=True,
        console_log="/var/log/libvirt/qemu/ledger01-console.log",
        label=label.model_copy(update={"purpose": Purpose.MACHINE}),
    )


@pytest.fixture
def sizes() -> dict[str, int]:
    return {"sda": 20 * GiB, "sdb": 4 * GiB, "vda": 100 * GiB, "vdb": 60 * GiB}
