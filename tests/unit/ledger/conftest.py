# SPDX-License-Identifier: Apache-2.0
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tradewind.ledger import Ledger, open_ledger
from tradewind.model.ledger import Transfer
from tradewind.model.machine import Disk, VirtualMachine
from tradewind.units import GiB, MiB

# The URL of an empty database: the live tests run these tests on a real PostgreSQL with it.
URL = os.environ.get("TRADEWIND_TEST_LEDGER")


@pytest.fixture
def place(tmp_path: Path) -> str:
    """A ledger that does not exist yet, in a folder that does not either."""
    if URL is None:
        return str(tmp_path / "var" / "ledger.sqlite")
    engine = create_engine(URL)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return URL


@pytest.fixture
def ledger(place: str) -> Iterator[Ledger]:
    with open_ledger(place) as opened:
        yield opened


@pytest.fixture
def machine() -> VirtualMachine:
    return VirtualMachine(
        id="5d5a4b1e-7c0f-4d38-9c53-0a8b2f6c1d11",
        name="ledger01",
        vcpus=2,
        memory=512 * MiB,
        disks=(Disk(id="sda", capacity=20 * GiB), Disk(id="sdb", capacity=4 * GiB)),
    )


@pytest.fixture
def transfer(ledger: Ledger, machine: VirtualMachine) -> Transfer:
    return ledger.note_transfer("old-host", "kvm1", machine)
