# SPDX-License-Identifier: Apache-2.0
"""The lab that the live tests share, the machines on it, and the rule that nothing is skipped."""

from collections.abc import Iterator

import pytest

import lab
from lab import demo_machine, settings, site
from lab.records import Lab
from tests.live import hosts
from tests.live.controller import Controller
from tests.live.postgres import postgres
from tests.live.tradewind_command import Tradewind

_chosen: list[str] = []
_skipped: list[str] = []
_passed: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped:
        _skipped.append(report.nodeid)
    elif report.when == "call" and report.passed:
        _passed.append(report.nodeid)


def pytest_collection_finish(session: pytest.Session) -> None:
    _chosen.extend(item.nodeid for item in session.items if item.get_closest_marker("live"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _chosen and (_skipped or not _passed):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _chosen:
        return
    terminalreporter.section("live tests")
    terminalreporter.line(f"{len(_passed)} live tests passed on real hosts")
    for nodeid in _skipped:
        terminalreporter.line(f"SKIPPED, which counts as failed: {nodeid}", red=True)


@pytest.fixture(scope="session")
def the_lab() -> Lab:
    """The two hosts, clean, with endpoints, options and worker image in place."""
    running = lab.up()
    for host in (running.source, running.destination):
        lab.wipe(host)
    settings.ledger_file.unlink(missing_ok=True)
    site.connect_prefect()
    site.store_blocks(running)
    site.stage_worker_image()
    return running


@pytest.fixture(scope="session")
def tradewind(the_lab: Lab) -> Tradewind:
    """The command, as an operator runs it."""
    return Tradewind()


@pytest.fixture(scope="module")
def demo(the_lab: Lab) -> Iterator[str]:
    """Lend the demo machine, running on the source.

    It never stops writing, and what became of it elsewhere runs too: an emulated machine takes
    half a core from whatever is tested afterwards, so neither outlives its module.
    """
    demo_machine.install(the_lab.source, kvm=the_lab.kvm)
    demo_machine.start(the_lab.source)
    yield demo_machine.NAME
    for host in (the_lab.source, the_lab.destination):
        hosts.end_machines(host, demo_machine.NAME)


@pytest.fixture(scope="session")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    """A Prefect server on PostgreSQL that asks for a password, set up; its ledger is there too."""
    with postgres() as database:
        database.create("prefect")
        database.create("ledger")
        made = Controller(tmp_path_factory.mktemp("controller"), database)
        made.start()
        made.tradewind("setup")
        yield made
        made.stop()
