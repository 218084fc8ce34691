# SPDX-License-Identifier: Apache-2.0
"""What guards the writer service in a real worker: its firewall, its unit, and what it holds."""

import base64
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import lab
from lab import site
from lab.records import Lab, LabHost
from tests.live import hosts
from tests.live.tradewind_command import Tradewind, wait_for_line
from tradewind.model.report import TransferReport
from tradewind.streaming.launch import PORT, SSH_PORT, UNIT
from tradewind.waiting import wait_for

pytestmark = pytest.mark.live

MACHINE = "guarded"
DATA_MIB = 48
CROWD = 1050
# Mbit/s: the stream takes longer than all that is tried meanwhile.
SLOW = ("--bandwidth-limit", "3")


@pytest.fixture
def image(the_lab: Lab, tradewind: Tradewind, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / f"{MACHINE}.qcow2"
    hosts.make_qcow2(path, data_mib=DATA_MIB, size="1G")
    hosts.define_shut_off(the_lab.source, MACHINE, path)
    yield path
    ends = ("--from", site.SOURCE, "--to", site.DESTINATION)
    deleted = tradewind.run("transfer", "delete", MACHINE, *ends, "--yes")
    hosts.end_machines(the_lab.source, MACHINE)
    assert deleted.status == 0, deleted.stderr[-2000:]


def worker_of(host: LabHost) -> str:
    names = lab.run(host, ["virsh", "list", "--name"]).stdout.split()
    (worker,) = (name for name in names if name.endswith("-transfer"))
    return worker


def in_worker(host: LabHost, worker: str, *argv: str) -> str:
    """Run a command in a worker, through its agent: its key is in the flow's memory alone."""

    def ask(command: str, arguments: object) -> dict[str, object]:
        question = json.dumps({"execute": command, "arguments": arguments})
        said = lab.run(host, ["virsh", "qemu-agent-command", worker, question]).stdout
        answer: dict[str, object] = json.loads(said)["return"]
        return answer

    path, *rest = argv
    pid = ask("guest-exec", {"path": path, "arg": rest, "capture-output": True})
    ended = wait_for(
        lambda: status if (status := ask("guest-exec-status", pid))["exited"] else None, path, 30
    )
    return base64.b64decode(str(ended.get("out-data", ""))).decode()


def address_of(host: LabHost, worker: str) -> str:
    said = lab.run(host, ["virsh", "domifaddr", worker]).stdout
    return next(word.partition("/")[0] for word in said.split() if word.startswith("198."))


def reaches(host: LabHost, address: str, port: int) -> bool:
    """Whether the host opens a connection; what its packets are dropped by says nothing."""
    test = f"exec 3<>/dev/tcp/{address}/{port}"
    tried = lab.run(host, ["sh", "-c", f"timeout 5 bash -c '{test}' && echo yes || echo no"])
    return tried.stdout.strip() == "yes"


@contextmanager
def crowd(address: str) -> Iterator[None]:
    """Hold idle connections from where the controller is: they are let in, and say nothing."""
    with ExitStack() as stack:
        for _ in range(CROWD):
            stack.enter_context(socket.create_connection((address, PORT), timeout=20))
        yield


@pytest.mark.slow
def test_a_worker_is_reached_by_its_controller_alone_and_its_service_outlives_a_crowd_and_a_kill(
    tradewind: Tradewind, the_lab: Lab, image: Path
) -> None:
    there = the_lab.destination
    with tradewind.start(*tradewind.transfer_words(MACHINE, *SLOW)) as process:
        wait_for_line(process, f"mark-written-{MACHINE}", 300)
        worker = worker_of(there)
        address = address_of(there, worker)
        assert not reaches(there, address, PORT)
        assert not reaches(there, address, SSH_PORT)
        with crowd(address):
            show = ("/bin/systemctl", "show", UNIT, "-p", "MainPID", "--value")
            first = in_worker(there, worker, *show).strip()
            descriptors = in_worker(there, worker, "/bin/ls", f"/proc/{first}/fd").split()
            assert len(descriptors) < CROWD / 2
            in_worker(there, worker, "/bin/kill", "-KILL", first)
            wait_for(
                lambda: in_worker(there, worker, *show).strip() not in {"0", first},
                "the service runs again",
                60,
            )
        stdout, stderr = process.communicate(timeout=600)
    assert process.returncode == 0, stderr[-4000:]
    report = TransferReport.model_validate_json(stdout)
    assert not [note for note in report.notes if "open to its network" in note]
    assert sum(disk.same for disk in report.disks)  # what had arrived was not sent again
    (planned,) = report.plan.create
    hosts.assert_same_contents(image, hosts.volume_file(there, planned.volume.name))
