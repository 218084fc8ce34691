# SPDX-License-Identifier: Apache-2.0
"""One Prefect server for the whole session: starting one takes more than ten seconds."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect import settings
from prefect.context import refresh_global_settings_context
from prefect.events.clients import NullEventsClient
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import PrefectConsoleHandler
from prefect.settings import temporary_settings

from tests.fakes.flow_scenery import set_the_stage
from tests.fakes.flow_stage import Stage, build_stage
from tests.fakes.libvirt_fakes import open_fake
from tests.fakes.prefect_server import Server, running
from tests.fakes.stage_blocks import Blocks, store_blocks
from tradewind import ending
from tradewind.ledger import open_ledger
from tradewind.streaming.certificates import make_certificates

# What a server does beside answering. Each of these writes to its one SQLite file; a request that
# finds it locked is answered with 503, after which the client waits for two seconds (30 flows of 20
# steps took 35 s with them, 40 took 21 s without).
IDLE = (
    settings.PREFECT_SERVER_ANALYTICS_ENABLED,
    settings.PREFECT_API_BLOCKS_REGISTER_ON_START,
    settings.PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_ENABLED,
    settings.PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED,
    settings.PREFECT_SERVER_SERVICES_FOREMAN_ENABLED,
    settings.PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED,
    settings.PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_ENABLED,
    settings.PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED,
    settings.PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED,
    settings.PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED,
)


@pytest.fixture(scope="session", autouse=True)
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of our own with an empty database, gone at the end.

    Heartbeats are off: at its end every flow waits up to a second for the thread that sends them.
    Each client reads the certificates that it trusts, though this server speaks no TLS: certifi's
    take 50 ms. Rich takes a tenth of a flow's time to lay out lines that nobody reads, and another
    tenth goes into events of task runs; what reads them is off.
    """
    trusted = tmp_path_factory.mktemp("trusted") / "ca.pem"
    trusted.write_text(make_certificates("127.0.0.1", "test").ca_certificate)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, PrefectConsoleHandler):
            handler.setLevel(logging.WARNING)
    EventsWorker.set_client_override(NullEventsClient)
    idle = {setting.name: "false" for setting in IDLE}
    quiet = {
        settings.PREFECT_API_SSL_CERT_FILE: str(trusted),
        settings.PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
        settings.PREFECT_LOGGING_TO_API_ENABLED: False,
        settings.PREFECT_LOCAL_STORAGE_PATH: tmp_path_factory.mktemp("results"),
    }
    with (
        running(tmp_path_factory.mktemp("prefect"), idle) as made,
        pytest.MonkeyPatch.context() as patch,
    ):
        # In the environment, for processes and threads that are started elsewhere.
        patch.setenv(settings.PREFECT_API_URL.name, made.url)
        refresh_global_settings_context()
        with temporary_settings({settings.PREFECT_API_URL: made.url, **quiet}):
            yield made


@pytest.fixture(scope="session")
def stored(prefect_server: Server) -> Blocks:
    """Blocks that all flows may use: storing them takes seconds."""
    return store_blocks("stage")


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger in which all tables are made: that takes longer than many a test."""
    place = tmp_path_factory.mktemp("empty") / "ledger.sqlite"
    with open_ledger(str(place)):
        return place


@pytest.fixture(autouse=True)
def told_to_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A flow that is told to end leaves its process in the end, and this one runs all the tests."""
    left: list[str] = []
    monkeypatch.setattr(ending, "leave", lambda: left.append("left"))
    yield left
    ending.forget()


@pytest.fixture
def stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: Blocks, empty_ledger: Path
) -> Iterator[Stage]:
    """A machine web01 with two disks on its source, and a destination that is ready for it."""
    host = open_fake(tmp_path)
    built = build_stage(host, tmp_path, stored)
    shutil.copy(empty_ledger, built.ledger_place)
    set_the_stage(built, monkeypatch)
    yield built
    host.close()
