# SPDX-License-Identifier: Apache-2.0
"""One Prefect server for the whole session: starting one takes more than ten seconds."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_LOGGING_TO_API_ENABLED,
    temporary_settings,
)
from prefect.testing.utilities import prefect_test_harness

from tests.fakes.flow_stage import Blocks, Stage, build_stage, set_the_stage, store_blocks
from tests.fakes.libvirt_fakes import open_fake


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> Iterator[None]:
    """A server of our own with an empty database, gone at the end.

    Heartbeats are off: at its end every flow waits up to a second for the thread that sends them.
    """
    quiet = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_LOGGING_TO_API_ENABLED: False}
    with prefect_test_harness(server_startup_timeout=120), temporary_settings(quiet):
        yield


@pytest.fixture(scope="session")
def stored(prefect_server: None) -> Blocks:
    """Blocks that all flows may use: storing them takes seconds."""
    return store_blocks("stage")


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: Blocks) -> Iterator[Stage]:
    """A machine web01 with two disks on its source, and a destination that is ready for it."""
    host = open_fake(tmp_path)
    built = build_stage(host, tmp_path, stored)
    set_the_stage(built, monkeypatch)
    yield built
    host.close()
