# SPDX-License-Identifier: Apache-2.0
"""A move whose process is killed in its outage: told, kept from others, finished or undone."""

import sys
import time
from collections.abc import Iterator

import libvirt
import pytest

import lab
from lab import site
from lab.records import Lab
from tests.live import light
from tests.live.tradewind_command import Tradewind, program, wait_for_line
from tradewind.host.connection import connect
from tradewind.model.deploy_options import DeployOptions
from tradewind.model.migrate import Go, MigrateRequest
from tradewind.model.requests import TransferRequest

pytestmark = [pytest.mark.live, pytest.mark.slow]

NEW = "light-new"
MOVE = """
import sys
from flows.migrate import migrate
from tradewind.model.migrate import MigrateRequest
migrate(MigrateRequest.model_validate_json(sys.argv[1]))
"""


@pytest.fixture
def original(the_lab: Lab) -> Iterator[libvirt.virDomain]:
    """A light machine that starts with its host."""
    light.start(the_lab.source)
    with connect(site.access(the_lab.source)) as connection:
        domain = connection.lookupByName(light.NAME)
        light.wait_until_ready(domain)
        domain.setAutostart(1)
        yield domain
    for host in (the_lab.source, the_lab.destination):
        light.remove(host)


def request() -> MigrateRequest:
    names = {"machine": light.NAME, "source": site.SOURCE, "destination": site.DESTINATION}
    return MigrateRequest(
        transfer=TransferRequest.model_validate(names),
        deploy_options=DeployOptions(
            name=NEW, skip_os_morphing=True, boot_timeout=light.BOOT_TIMEOUT
        ),
        go=Go.AT_ONCE,
        rounds=1,
    )


def kill_after(line: str, seconds: float = 0.0) -> None:
    """Move the machine, and kill the process a little after a step of it has ended."""
    argv = [sys.executable, "-c", MOVE, request().model_dump_json()]
    with program(argv) as process:
        wait_for_line(process, line, 400)
        time.sleep(seconds)
        process.kill()
        process.communicate()


def state(the_lab: Lab, where: str, name: str) -> str:
    host = the_lab.source if where == "source" else the_lab.destination
    return lab.run(host, ["virsh", "domstate", name]).stdout.strip()


def refused(tradewind: Tradewind) -> str:
    ended = tradewind.run(*tradewind.transfer_words(light.NAME))
    assert ended.status == 2, ended.stderr[-2000:]
    return ended.stderr


def test_outage_that_was_killed_after_the_shutdown_is_undone(
    tradewind: Tradewind, the_lab: Lab, original: libvirt.virDomain
) -> None:
    kill_after(f"shut-down-{light.NAME}")
    assert not original.isActive()
    assert not original.autostart()
    said = tradewind.run("status").stdout
    assert f"outage of {light.NAME} since" in said
    assert "nobody works on it any more" in " ".join(said.split())
    assert f"tradewind move rollback {light.NAME}" in " ".join(refused(tradewind).split())
    ended = tradewind.run("move", "rollback", light.NAME, "--yes")
    assert ended.status == 0, ended.stderr[-4000:]
    assert original.isActive()
    assert original.autostart()
    assert "outage of" not in tradewind.run("status").stdout
    tradewind.transfer(light.NAME)


def test_outage_that_was_killed_while_the_new_machine_boots_is_finished(
    tradewind: Tradewind, the_lab: Lab, original: libvirt.virDomain
) -> None:
    kill_after(f"define-{NEW}", 3.0)
    assert "crash" not in state(the_lab, "destination", NEW)
    swept = tradewind.run("sweep")
    assert "Decide" in swept.stdout
    assert state(the_lab, "destination", NEW)  # it is there still
    ended = tradewind.run("move", "resume", light.NAME)
    assert ended.status == 0, ended.stderr[-4000:]
    assert state(the_lab, "destination", NEW) == "running"
    assert not original.isActive()
    assert not original.autostart()
    with connect(site.access(the_lab.destination)) as connection:
        assert connection.lookupByName(NEW).autostart()
    again = tradewind.run("move", "rollback", light.NAME, "--yes")
    assert again.status == 2
    assert "is unfinished" in again.stderr


def test_edited_original_is_not_started(
    tradewind: Tradewind, the_lab: Lab, original: libvirt.virDomain
) -> None:
    kill_after(f"shut-down-{light.NAME}")
    original.setVcpusFlags(2, libvirt.VIR_DOMAIN_AFFECT_CONFIG | libvirt.VIR_DOMAIN_VCPU_MAXIMUM)
    ended = tradewind.run("move", "rollback", light.NAME, "--yes")
    assert ended.status == 1
    assert "its definition" in " ".join(ended.stderr.split())
    assert not original.isActive()
    ended = tradewind.run("move", "rollback", light.NAME, "--yes", "--accept-edits")
    assert ended.status == 0, ended.stderr[-4000:]
    assert original.isActive()
