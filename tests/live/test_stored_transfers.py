# SPDX-License-Identifier: Apache-2.0
"""The life of a stored transfer on real hosts: when it is deleted, both are as they were."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import prefect_server, site
from lab.records import Lab
from tests.live import hosts, running
from tests.live.running import Running
from tests.live.tradewind_command import Tradewind
from tradewind.model.requests import RemovalReport
from tradewind.units import MiB

pytestmark = pytest.mark.live

NAME = f"stored-from-{site.SOURCE}-to-{site.DESTINATION}"


@pytest.fixture
def machine(the_lab: Lab) -> Iterator[Running]:
    made = running.make(the_lab.source, "stored", {"vda": "64M"})
    yield made
    with contextlib.suppress(Exception):  # it is shut off already
        made.stop()
    made.virsh("undefine", made.name)
    made.image("vda").unlink()


@pytest.fixture
def pool(the_lab: Lab) -> None:
    prefect = Path(sys.executable).with_name("prefect")
    subprocess.run(
        [prefect, "work-pool", "create", "tradewind", "--type", "process"],
        env={**os.environ, **prefect_server.client_settings()},
        check=False,  # there may be one already
        capture_output=True,
    )


def read(tradewind: Tradewind, *words: str) -> Any:
    ended = tradewind.run(*words, "--json")
    assert ended.status == 0, ended.stderr[-4000:]
    return json.loads(ended.stdout)


def bitmaps(machine: Running) -> list[str]:
    """Name the dirty bitmaps in the image of a machine that is shut off."""
    info = subprocess.run(
        ["qemu-img", "info", "--output=json", machine.image("vda")],
        check=True,
        capture_output=True,
        text=True,
    )
    kept = json.loads(info.stdout)["format-specific"]["data"].get("bitmaps", [])
    return [each["name"] for each in kept]


@pytest.mark.slow
def test_created_run_listed_shown_and_deleted(
    tradewind: Tradewind, the_lab: Lab, machine: Running, pool: None
) -> None:
    machine.io("vda", "write -P 7 1M 8M")
    clean = {host.name: hosts.traces(host) for host in (the_lab.source, the_lab.destination)}

    (seen,) = [
        each for each in read(tradewind, "machines", "list", "--from", site.SOURCE)
        if each["name"] == "stored"
    ]  # fmt: skip
    assert (seen["state"], seen["problem"]) == ("running", "")
    assert seen["disks"] == [{"id": "vda", "capacity": 64 * MiB, "untracked": ""}]

    ends = ("--from", site.SOURCE, "--to", site.DESTINATION)
    created = tradewind.run("transfer", "create", "stored", *ends, "--storage", "vda=default")
    assert created.status == 0, created.stderr[-4000:]
    report = read(tradewind, "transfer", "run", NAME)
    assert 8 * MiB <= sum(disk["sent"] for disk in report["disks"]) < 9 * MiB

    (line,) = [each for each in read(tradewind, "transfer", "list") if each["name"] == NAME]
    assert (line["machine"], line["run_state"]) == ("stored", "completed")
    detail = read(tradewind, "transfer", "show", NAME)
    assert detail["complete"]
    assert machine.checkpoints() == [detail["checkpoint"]]
    (disk,) = detail["disks"]
    assert hosts.volume_file(the_lab.destination, disk["volume"]).exists()
    for words in (("transfer", "list"), ("transfer", "show", NAME)):
        print(f"\n{tradewind.run(*words).stdout}")

    # Shut off, libvirt could only forget the checkpoint: its bitmap would stay in the image.
    machine.stop()
    assert bitmaps(machine) == [detail["checkpoint"]]
    deleted = read(tradewind, "transfer", "delete", NAME, "--yes")
    removed = RemovalReport.model_validate(deleted)
    assert removed.checkpoints == (detail["checkpoint"],)
    assert removed.stays == ()
    assert bitmaps(machine) == []
    assert machine.checkpoints() == []
    machine.start()  # as it was
    for host in (the_lab.source, the_lab.destination):
        assert hosts.traces(host) == clean[host.name]
    assert not [each for each in read(tradewind, "transfer", "list") if each["machine"] == "stored"]
    again = tradewind.run("transfer", "delete", NAME, "--yes")
    assert (again.status, f"no transfer is called “{NAME}”" in again.stderr) == (2, True)
