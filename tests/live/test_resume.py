# SPDX-License-Identifier: Apache-2.0
"""A transfer that loses its worker, its network, its source or its controller goes on.

What arrived must not cross the wire again: the bytes that enter the destination host are counted.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import lab
from lab import namespaces
from lab.records import DESTINATION, Lab, LabHost
from tests.live import hosts
from tests.live.tradewind_command import Tradewind, wait_for_line
from tradewind.model.report import TransferReport
from tradewind.units import MiB, human_size
from tradewind.waiting import wait_for

pytestmark = pytest.mark.live

DATA_MIB = 128

# Of what is sent in all, seed ISO, handshakes, heads, digests and what was on its way when it was
# lost; a second time all of it would be twice the data.
LIMIT = 1.4


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "long.qcow2"
    hosts.make_qcow2(path, data_mib=DATA_MIB, size="1G")
    return path


def received() -> int:
    """Bytes that entered the destination host: what its end of the bridge sent to it."""
    counter = Path("/sys/class/net", DESTINATION.namespace, "statistics/tx_bytes")
    return int(counter.read_text())


@contextmanager
def streaming(
    tradewind: Tradewind, the_lab: Lab, name: str, image: Path
) -> Iterator[subprocess.Popen[str]]:
    """Start the first transfer of a machine, and let a part of it arrive."""
    hosts.define_shut_off(the_lab.source, name, image)
    with tradewind.start(*tradewind.transfer_words(name)) as process:
        wait_for_line(process, f"mark-written-{name}", 300)
        before = received()
        wait_for(
            lambda: received() - before > DATA_MIB * MiB / 3, "a third has arrived", 120, every=0.1
        )
        yield process


def ended_well(process: subprocess.Popen[str]) -> TransferReport:
    stdout, stderr = process.communicate(timeout=600)
    assert process.returncode == 0, stderr[-4000:]
    assert "tried again" in stderr
    return TransferReport.model_validate_json(stdout)


def check(the_lab: Lab, report: TransferReport, image: Path, began: int) -> None:
    crossed = received() - began
    print(
        f"\n{human_size(crossed)} crossed the wire for {DATA_MIB} MiB of data;"
        f" the last attempt sent {human_size(report.sent)}"
    )
    assert crossed < LIMIT * DATA_MIB * MiB
    (planned,) = (*report.plan.create, *report.plan.keep)
    hosts.assert_same_contents(image, hosts.volume_file(the_lab.destination, planned.volume.name))


def worker_of(host: LabHost) -> str:
    names = lab.run(host, ["virsh", "list", "--name"]).stdout.split()
    (worker,) = (name for name in names if name.endswith("-transfer"))
    return worker


@pytest.mark.slow
def test_worker_that_dies(tradewind: Tradewind, the_lab: Lab, image: Path) -> None:
    began = received()
    with streaming(tradewind, the_lab, "lost-worker", image) as process:
        lab.run(the_lab.destination, ["virsh", "destroy", worker_of(the_lab.destination)])
        report = ended_well(process)
    check(the_lab, report, image, began)


@pytest.mark.slow
def test_source_connection_that_dies(tradewind: Tradewind, the_lab: Lab, image: Path) -> None:
    """The SSH client that carries the source's bytes is killed."""
    began = received()
    with streaming(tradewind, the_lab, "lost-source", image) as process:
        for tunnel in tunnels_of(process.pid):
            os.kill(tunnel, signal.SIGKILL)
        report = ended_well(process)
    check(the_lab, report, image, began)


def tunnels_of(parent: int) -> list[int]:
    """Find the clients that forward to a socket among a process's children."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    found = [
        int(child) for child in children if "nbd.sock" in Path(f"/proc/{child}/cmdline").read_text()
    ]
    assert found
    return found


@pytest.mark.slow
def test_network_that_resets_connections(tradewind: Tradewind, the_lab: Lab, image: Path) -> None:
    """For some seconds every connection to the worker's writer is reset."""
    began = received()
    rule = ["FORWARD", "-p", "tcp", "--dport", "8677", "-j", "REJECT", "--reject-with", "tcp-reset"]
    with streaming(tradewind, the_lab, "lost-network", image) as process:
        in_destination(the_lab, "iptables", "-I", *rule)
        time.sleep(12)
        in_destination(the_lab, "iptables", "-D", *rule)
        report = ended_well(process)
    check(the_lab, report, image, began)


def in_destination(the_lab: Lab, *argv: str) -> None:
    inside = namespaces.enter(namespaces.plan_of(the_lab.destination), list(argv))
    subprocess.run(inside, check=True)


@pytest.mark.slow
def test_controller_that_dies(tradewind: Tradewind, the_lab: Lab, image: Path) -> None:
    """Killed; the next execution needs no sweep, and goes on where the first was."""
    clean = {host.name: hosts.traces(host) for host in (the_lab.source, the_lab.destination)}
    began = received()
    with streaming(tradewind, the_lab, "lost-controller", image) as process:
        process.kill()
        process.communicate()
    report = tradewind.transfer("lost-controller")
    check(the_lab, report, image, began)
    after = hosts.traces(the_lab.source)
    after["domains"].remove("lost-controller")
    after["volumes"].remove("lost-controller.qcow2")
    assert after == clean["source"]
