# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fakes.embedded_libvirt import EmbeddedConnection, embedded
from tests.fakes.libvirt_fakes import FakeConnection, open_fake
from tradewind.host import facts as facts_of
from tradewind.model.host import HostFacts
from tradewind.model.machine import Disk, VirtualMachine
from tradewind.model.run import Label, Purpose
from tradewind.units import GiB

RUN = "0123456789ab"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[FakeConnection]:
    """A host with pools images, fast (dir), vg (logical), asleep; networks lan, stopped."""
    connection = open_fake(tmp_path)
    yield connection
    connection.close()


@pytest.fixture
def facts(host: FakeConnection) -> HostFacts:
    return facts_of.survey(host)


@pytest.fixture
def machine() -> VirtualMachine:
    return VirtualMachine(
        id="5d5a4b1e-7c0f-4d38-9c53-0a8b2f6c1d11",
        name="ledger01",
        vcpus=2,
        memory=GiB,
        disks=(
            Disk(id="sda", capacity=20 * GiB, allocation=2 * GiB, backend="old"),
            Disk(id="sdb", capacity=4 * GiB, allocation=GiB, backend="older"),
        ),
    )


@pytest.fixture
def label() -> Label:
    return Label(
        transfer="cafe0001",
        run=RUN,
        purpose=Purpose.TRANSFER,
        created=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        controller="mover",
    )


@pytest.fixture
def destination() -> EmbeddedConnection:
    """QEMU's own driver, which judges descriptions and starts nothing."""
    return embedded()


@pytest.fixture
def offered(destination: EmbeddedConnection) -> HostFacts:
    """What this machine's libvirt says, and KVM, which is needed only when QEMU starts."""
    with_kvm = {"kvm": True, "cpu_modes": ("host-passthrough",), "hostname": "vm"}
    return facts_of.survey(destination).model_copy(update=with_kvm)
