# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fakes.libvirt_fakes import FakeConnection, open_fake
from tradewind.model.host import WorkerAddressSource, WorkerSpec
from tradewind.model.run import Label, Purpose
from tradewind.units import GiB


@pytest.fixture
def host(tmp_path: Path) -> Iterator[FakeConnection]:
    """A host with pools images, fast (dir), vg (logical), asleep; networks lan, stopped."""
    connection = open_fake(tmp_path)
    yield connection
    connection.close()


@pytest.fixture
def label() -> Label:
    return Label(
        transfer="cafe0001",
        run="0123456789ab",
        purpose=Purpose.TRANSFER,
        created=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        controller="mover",
    )


@pytest.fixture
def spec() -> WorkerSpec:
    return WorkerSpec(
        image_pool="images",
        image_volume="worker.qcow2",
        network="lan",
        vcpus=2,
        memory=GiB,
        volume_size=25 * GiB,
        address_source=WorkerAddressSource.LEASE,
        disk_slots=3,
    )
