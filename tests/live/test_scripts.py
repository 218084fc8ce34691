# SPDX-License-Identifier: Apache-2.0
"""Scripts and systemd's state on a real system: a worker stands for worker and guest alike."""

from collections.abc import Iterator
from datetime import UTC, datetime

import libvirt
import pytest

import lab
from lab import namespaces, site
from lab.records import Lab
from tasks.environment import WORKER_OS, worker_spec
from tradewind.host import facts
from tradewind.host.boot import first_boot as results
from tradewind.host.boot import systemd_state
from tradewind.host.boot.console import listening
from tradewind.host.connection import connect
from tradewind.host.domain import agent, domains
from tradewind.model.guest import Family, GuestOS
from tradewind.model.host import Worker
from tradewind.model.options import ProviderOptions
from tradewind.model.run import Purpose, Run, new_run_id
from tradewind.model.scripts import LoadedScript, ScriptPhase
from tradewind.morphing import first_boot, scripts
from tradewind.morphing.tree import RemoteGuestTree
from tradewind.remote import shell
from tradewind.waiting import wait_for
from tradewind.worker import lifecycle

pytestmark = pytest.mark.live

DEBIAN = GuestOS(
    family=Family.DEBIAN, id="debian", version="12", pretty_name="Debian", mounts=(), kernels=()
)


@pytest.fixture(scope="module")
def destination(the_lab: Lab) -> Iterator[libvirt.virConnect]:
    with connect(site.access(the_lab.destination)) as connection:
        yield connection
    lab.wipe(the_lab.destination)


@pytest.fixture(scope="module")
def worker(the_lab: Lab, destination: libvirt.virConnect) -> Iterator[Worker]:
    """A worker that runs, as a deployment lends it."""
    access = site.access(the_lab.destination)
    options = ProviderOptions.model_validate(site.options())
    image = options.worker_image(WORKER_OS)
    pool = lifecycle.find_image(destination, image)
    spec = worker_spec(options, pool, image, 1)
    run = Run(id=new_run_id(), transfer="cafe0001", begun=datetime.now(UTC))
    label = run.label(Purpose.MORPHING)
    prepared = lifecycle.start(destination, spec, facts.survey(destination), label)
    with listening(access, prepared.names.domain) as console:
        yield lifecycle.wait_until_reachable(destination, access, spec, prepared, label, console)
    lifecycle.discard(destination, pool, label)


def script(phase: ScriptPhase, text: str, limit: int = 60) -> LoadedScript:
    return LoadedScript(phase=phase, name="own", text=text, time_limit=limit)


def test_a_script_in_a_worker_ends_in_time_with_all_it_started(worker: Worker) -> None:
    said = scripts.of_worker("web01", DEBIAN, [])
    text = "#!/bin/sh\necho $TRADEWIND_MACHINE\nsetsid sleep 4711 &\nsleep 4711\n"
    with shell.connect_to_worker(worker) as remote:
        report = scripts.run_in_worker(
            remote, script(ScriptPhase.BEFORE_MOUNT, text, limit=3), said
        )
        left = remote.run(["sh", "-c", "grep -l 4711 /proc/[0-9]*/cmdline | grep -v self; true"])
    assert report.late
    assert report.output == "web01\n"
    assert "sleep" not in left.stdout


def test_a_worker_asks_the_name_server_of_its_network(worker: Worker, the_lab: Lab) -> None:
    """Whoever installs packages into a guest looks up names there."""
    with shell.connect_to_worker(worker) as remote:
        known = remote.run(["cat", "/etc/resolv.conf"]).stdout
    assert known == f"nameserver {namespaces.plan_of(the_lab.destination).lan}.1\n"


def test_systemd_says_how_it_is_through_the_agent(
    worker: Worker, destination: libvirt.virConnect
) -> None:
    domain = domains.require_domain(destination, worker.domain)
    state = systemd_state.read(domain)
    print(f"\nsystemd of the worker: {state}")
    assert state.state in {"running", "degraded"}
    assert (state.state == "degraded") == bool(state.failed)


@pytest.mark.parametrize(
    ("text", "status", "late"),
    [
        pytest.param("#!/bin/sh\necho $TRADEWIND_MACHINE\n", 0, False, id="ends well"),
        pytest.param("#!/bin/sh\necho no\nexit 3\n", 3, False, id="fails", marks=pytest.mark.slow),
        pytest.param("#!/bin/sh\necho slow\nsleep 600\n", 1, True, id="late"),
    ],
)
def test_a_unit_of_the_first_boot_runs_once_and_is_gone(
    worker: Worker, destination: libvirt.virConnect, text: str, status: int, late: bool
) -> None:
    domain = domains.require_domain(destination, worker.domain)
    own = script(ScriptPhase.FIRST_BOOT, text, limit=5)
    number = status + 10 * late
    with shell.connect_to_worker(worker) as remote:
        # The worker as its own guest: a root has to be a folder, which / is not from inside.
        remote.run(["sh", "-c", "mkdir -p /mnt/self && mount --bind / /mnt/self"])
        left = first_boot.install(
            RemoteGuestTree(remote, "/mnt/self"), own, number,
            scripts.of_first_boot("web 01", DEBIAN),
        )  # fmt: skip
        remote.run(["sh", "-c", "umount /mnt/self && rmdir /mnt/self"])
        remote.run(["systemctl", "daemon-reload"])
        remote.run(["systemctl", "start", left.unit], check=False, timeout=60)
        there = remote.run(["sh", "-c", "find / -xdev -name 'tradewind-first-boot-*'"]).stdout
    assert there == ""
    (report,) = results.read(domain, [left])
    assert (report.status, report.late) == (status, late)
    assert report.output in {"web 01", "no", "slow"}


def test_a_command_that_does_not_exist_is_told(
    worker: Worker, destination: libvirt.virConnect
) -> None:
    domain = domains.require_domain(destination, worker.domain)
    wait_for(lambda: agent.run(domain, ["/bin/true"]).status == 0, "the agent answers", 60)
    with pytest.raises(Exception, match="guest agent refuses guest-exec"):
        agent.run(domain, ["/nowhere"])
