# SPDX-License-Identifier: Apache-2.0
"""No guest of the source stays frozen, whatever its agent does and whoever is killed."""

import base64
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import libvirt
import pytest

import lab
from lab import prefect_server, settings, site
from lab.records import Lab
from tests.live import hosts, light
from tests.live.tradewind_command import Tradewind
from tradewind.host.connection import connect
from tradewind.host.domain import agent, backup, domains, freeze
from tradewind.model.machine import VirtualMachine
from tradewind.model.run import Run, new_run_id
from tradewind.model.source import SourceCare
from tradewind.sources.libvirt.source import LibvirtSource
from tradewind.waiting import wait_for

pytestmark = [pytest.mark.live, pytest.mark.slow]


@pytest.fixture
def guest(the_lab: Lab) -> Iterator[libvirt.virDomain]:
    """A guest that boots in half a minute, with QEMU's own agent."""
    light.start(the_lab.source)
    with connect(site.access(the_lab.source)) as connection:
        domain = domains.require_domain(connection, light.NAME)
        light.wait_until_ready(domain)
        yield domain
    for host in (the_lab.source, the_lab.destination):
        light.remove(host)


def run_agent(domain: libvirt.virDomain, command: str) -> None:
    """Let another agent take the place of the guest's own, a second from now."""
    folder = "/etc/systemd/system/qemu-guest-agent.service.d"
    light.sh(
        domain,
        f"mkdir -p {folder}; printf '[Service]\\nExecStart=\\nExecStart={command}\\n'"
        f" >{folder}/instead.conf; systemctl daemon-reload;"
        " (sleep 1; systemctl restart qemu-guest-agent) >/dev/null 2>&1 &",
    )
    time.sleep(5)


QEMU_GA = "/usr/sbin/qemu-ga -m virtio-serial -p /dev/virtio-ports/org.qemu.guest_agent.0"


def later(domain: libvirt.virDomain, seconds: int, command: str) -> None:
    """Have a command run in the guest after some seconds, whatever becomes of the agent.

    What an agent starts is in its service's cgroup, and ends when that is started anew.
    """
    away = "echo 0 >/sys/fs/cgroup/cgroup.procs"
    light.sh(domain, f"({away}; sleep {seconds}; {command}) >/dev/null 2>&1 &")


def hang_in_the_hook(domain: libvirt.virDomain, seconds: int) -> None:
    """Let a freeze hang in its hook for an hour; after some seconds somebody in the guest ends it.

    Then the agent goes on: it freezes.
    """
    lines = ("#!/bin/sh", '[ "$1" = freeze ] || exit 0', "sleep 3600 & echo $! >/run/hook")
    hook = "\\n".join((*lines, "wait", "exit 0", ""))
    light.sh(domain, f"printf '{hook}' >/root/hook; chmod +x /root/hook")
    later(domain, seconds, "kill $(cat /run/hook)")
    run_agent(domain, f"{QEMU_GA} -F/root/hook")


def source_of(the_lab: Lab) -> LibvirtSource:
    return LibvirtSource(site.access(the_lab.source), SourceCare(freeze_timeout=5))


def new_run() -> Run:
    return Run(id=new_run_id(), transfer="cafe0001", begun=datetime.now(UTC))


def is_up(domain: libvirt.virDomain) -> bool:
    """Whether the guest writes to its disk."""
    try:
        return bool(light.sh(domain, "echo written >/root/file && sync && echo up"))
    except Exception:  # noqa: BLE001 - an agent that starts anew has many ways of not answering
        return False


@contextmanager
def snapshot(
    the_lab: Lab, run: Run
) -> Iterator[tuple[VirtualMachine, LibvirtSource, freeze.FreezeOutcome]]:
    source = source_of(the_lab)
    machine = source.inspect(light.NAME)
    with source.snapshot(machine, run, track=False) as lent:
        yield machine, source, lent.freeze  # type: ignore[attr-defined]


def test_guest_with_its_own_agent_is_frozen_for_a_moment(
    the_lab: Lab, guest: libvirt.virDomain
) -> None:
    with snapshot(the_lab, new_run()) as (_, _, moment):
        assert (moment.consistency, moment.notes) == (freeze.FROZEN, ())
        assert is_up(guest)
    assert freeze.marked_by(guest) is None


def test_hook_that_sleeps_an_hour_holds_nobody_up_and_leaves_no_frozen_guest(
    the_lab: Lab, guest: libvirt.virDomain
) -> None:
    hang_in_the_hook(guest, 75)
    begun = time.monotonic()
    with snapshot(the_lab, new_run()) as (_, _, moment):
        print(f"\nsnapshot after {time.monotonic() - begun:.0f} s: {moment.notes}")
        assert moment.consistency == freeze.NOT_FROZEN
        assert moment.is_thaw_due
        assert freeze.marked_by(guest) is not None
        wait_for(lambda: not moment.is_thaw_due, "the guest is thawed late", 200)
        assert "thawed late" in moment.notes[-1]
    wait_for(lambda: is_up(guest), "the guest writes", 60)
    assert freeze.marked_by(guest) is None


def test_agent_that_refuses_to_thaw_is_told_loudly_and_tried_again(
    the_lab: Lab, guest: libvirt.virDomain
) -> None:
    """The file systems are really frozen; after a while somebody in the guest helps."""
    later(guest, 80, "fsfreeze -u /")
    run_agent(guest, f"{QEMU_GA} -b guest-fsfreeze-thaw")
    run = new_run()
    with snapshot(the_lab, run) as (_, source, moment):
        print(f"\n{moment.consistency}: {moment.notes}")
        assert moment.consistency == freeze.FROZEN
        assert any("MAY STILL BE FROZEN" in note for note in moment.notes)
        assert freeze.marked_by(guest) == run.id
    time.sleep(60)
    guest.reset()  # an agent that comes up says that nothing is frozen, and the mark may go
    wait_for(lambda: agent.heard(guest, "guest-ping", dict), "the agent answers", 200)
    source.clean_up([run.id])
    assert freeze.marked_by(guest) is None


NONSENSE = """
import os, sys, json
port = os.open("/dev/virtio-ports/org.qemu.guest_agent.0", os.O_RDWR)
for line in os.fdopen(os.dup(port), "rb"):
    asked = json.loads(line.strip(b"\\xff\\n \\0") or b"{}")
    name = asked.get("execute", "")
    if name.startswith("guest-sync"):
        said = json.dumps({"return": asked["arguments"]["id"]}).encode()
        os.write(port, (b"\\xff" if "delimited" in name else b"") + said + b"\\n")
    elif name:
        os.write(port, WORDS[name == "guest-fsfreeze-status"] + b"\\n")
"""


@pytest.mark.parametrize(
    "words",
    [
        '[b"{}", b"{}"]',
        '[b"nonsense", b"nonsense"]',
        "[b'{\"return\": {}}', b'{\"return\": {}}']",
        '[b\'{"return": "\' + b"x" * (2 << 20) + b\'"}\', b\'{"return": "thawed"}\']',
        '[b\'{"return": {}}\', b\'{"return": "thawed"}\']',
    ],
    ids=["empty", "garbage", "wrong kind", "huge", "wrong numbers"],
)
def test_agent_that_talks_nonsense_is_as_good_as_none(
    the_lab: Lab, guest: libvirt.virDomain, words: str
) -> None:
    program = base64.b64encode(f"WORDS = {words}\n{NONSENSE}".encode()).decode()
    light.sh(guest, f"echo {program} | base64 -d >/root/agent.py")
    run_agent(guest, "/usr/bin/python3 /root/agent.py")
    with snapshot(the_lab, new_run()) as (machine, source, moment):
        print(f"\n{moment.consistency}: {moment.notes}")
        assert not moment.is_thaw_due
    found = source.preflight_source(machine)
    assert found.guest.spaces == ()
    assert freeze.marked_by(guest) is None


def killed_while_frozen() -> None:
    """Freeze the guest as a flow does, and die: run as a process of its own."""
    from tradewind.ledger import open_ledger  # noqa: PLC0415
    from tradewind.model.ledger import RunKind  # noqa: PLC0415

    running_lab = lab.up()
    with open_ledger(str(settings.ledger_file)) as ledger:
        machine = source_of(running_lab).inspect(light.NAME)
        known = ledger.note_transfer(site.SOURCE, site.DESTINATION, machine)
        run = ledger.begin(known, RunKind.EXECUTION)
    with connect(site.access(running_lab.source)) as connection:
        domain = domains.require_domain(connection, light.NAME)
        with freeze.frozen(domain, run.id, 30):
            os.kill(os.getpid(), signal.SIGKILL)


def test_run_killed_between_freeze_and_thaw_is_thawed_by_the_sweep(
    tradewind: Tradewind, guest: libvirt.virDomain
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import *; killed_while_frozen()"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **prefect_server.client_settings()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert agent.ask(guest, "guest-fsfreeze-status") == "frozen"
    swept = tradewind.run("sweep", site.SOURCE)
    assert swept.status == 0, swept.stderr[-2000:]
    assert "frozen guest light" in swept.stdout
    assert agent.ask(guest, "guest-fsfreeze-status") == "thawed"
    assert is_up(guest)


def test_cancelled_in_a_freeze_that_hangs(
    tradewind: Tradewind, the_lab: Lab, guest: libvirt.virDomain
) -> None:
    hang_in_the_hook(guest, 180)
    with tradewind.start(*tradewind.transfer_words(light.NAME)) as process:
        wait_for(lambda: freeze.marked_by(guest), "the guest is about to be frozen", 300)
        time.sleep(1)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=200)
    print(f"\ncancelled and cleaned up in {time.monotonic() - begun:.0f} s\n{said[-800:]}")
    assert process.returncode != 0
    assert backup.current_address(guest) is None
    assert hosts.traces(the_lab.destination)["domains"] == []
    wait_for(
        lambda: tradewind.run("sweep", site.SOURCE).status == 0, "the sweep thaws", 400, every=10
    )
    wait_for(lambda: is_up(guest), "the guest writes", 60)
    assert freeze.marked_by(guest) is None
