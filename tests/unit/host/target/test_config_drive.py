# SPDX-License-Identifier: Apache-2.0
"""What cloud-init finds on a config drive."""

import json

import pytest

from tests.unit.test_iso import read
from tradewind.host.target.config_drive import config_drive, host_name

UUID = "5d5a4b1e-7c0f-4d38-9c53-0a8b2f6c1d11"


def test_metadata() -> None:
    drive = config_drive(UUID, "Ledger_01")
    found = json.loads(read(drive, joliet_path="/openstack/latest/meta_data.json"))
    assert (found["uuid"], found["name"], found["hostname"]) == (UUID, "Ledger_01", "ledger-01")
    assert found["public_keys"] == {}


@pytest.mark.parametrize(
    ("name", "fit"),
    [
        ("web01", "web01"),
        ("Web 01 (new)", "web-01-new"),
        ("--", "machine"),
        ("a" * 62 + "-b", "a" * 62),
    ],
)
def test_host_name(name: str, fit: str) -> None:
    assert host_name(name) == fit
