# SPDX-License-Identifier: Apache-2.0
"""What a deployment asks of a real libvirt and QEMU, without a guest that has to boot."""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import libvirt
import pytest

import lab
from lab import site
from lab.records import Lab
from tests.live import hosts, running
from tests.live.running import Running
from tradewind.errors import BadInputError, HypervisorError
from tradewind.host import leftovers, networks, storage
from tradewind.host.boot import evidence
from tradewind.host.boot.console import Console, listening
from tradewind.host.connection import connect
from tradewind.host.domain import disks, overlays
from tradewind.model.machine import Disk, Firmware, FirmwareKind, VirtualMachine
from tradewind.model.run import new_run_id
from tradewind.model.storage import ReplicaVolume, Volume
from tradewind.units import MiB
from tradewind.waiting import wait_for

pytestmark = pytest.mark.live

SIZE = 64 * MiB
NET = "tradewind-0123456789ab-rehearsal"


@pytest.fixture
def destination(the_lab: Lab) -> Iterator[libvirt.virConnect]:
    with connect(site.access(the_lab.destination)) as connection:
        yield connection
    lab.wipe(the_lab.destination)


@pytest.fixture
def worker(the_lab: Lab, destination: libvirt.virConnect) -> Running:
    """A machine that is paused: its QEMU writes when it is told to."""
    return running.make(the_lab.destination, "merger", {"vda": "16M"})


def machine() -> VirtualMachine:
    return VirtualMachine(
        id="1",
        name="web01",
        vcpus=1,
        memory=SIZE,
        firmware=Firmware(kind=FirmwareKind.BIOS),
        disks=(Disk(id="sda", capacity=SIZE),),
        nics=(),
    )


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@contextmanager
def overlaid(
    the_lab: Lab, destination: libvirt.virConnect, worker: Running, form: str
) -> Iterator[tuple[ReplicaVolume, ReplicaVolume, Path]]:
    """A replica volume with some data, and an overlay on it that the worker has."""
    volume = Volume(pool="default", name=f"web01-cafe.{form}", capacity=SIZE, format=form)
    file = hosts.volume_file(the_lab.destination, volume.name)
    running.make_image(file, form, "64M")
    replica = ReplicaVolume(disk_id="sda", volume=volume, serial="tw0011223344556677", blank=False)
    layer = overlays.overlay_of(new_run_id(), machine(), replica, "default")
    overlays.make(destination, replica.volume, layer.volume)
    disks.attach_volume(destination, worker.name, layer)
    worker.disks["vdb"] = layer.volume.name
    yield replica, layer, file


@pytest.mark.parametrize("form", ["qcow2", "raw"])
def test_replica_changes_only_when_its_overlay_is_merged(
    the_lab: Lab, destination: libvirt.virConnect, worker: Running, form: str
) -> None:
    with overlaid(the_lab, destination, worker, form) as (replica, layer, file):
        before = digest(file)
        worker.io("vdb", "write -P 7 1M 64k", "write -P 9 40M 4k", "flush")
        assert digest(file) == before
        overlays.commit(destination, worker.name, layer, replica.volume)
        overlays.commit(destination, worker.name, layer, replica.volume)  # a retried step
        worker.disks["vdb"] = replica.volume.name
        worker.io("vdb", "read -P 7 1M 64k", "read -P 9 40M 4k", "read -P 0 2M 64k")
        worker.stop()
        assert digest(file) != before
        assert storage.delete_volume(destination, "default", layer.volume.name)


def test_an_overlay_is_swept(
    the_lab: Lab, destination: libvirt.virConnect, worker: Running
) -> None:
    with overlaid(the_lab, destination, worker, "qcow2") as (_replica, layer, file):
        before = digest(file)
        worker.io("vdb", "write -P 7 1M 64k", "flush")
        worker.crash()
        (found,) = leftovers.find(destination)
        assert found.name == layer.volume.name
        leftovers.remove(destination, found)
        assert digest(file) == before


def test_isolated_network_is_made_judged_and_removed(destination: libvirt.virConnect) -> None:
    networks.make_isolated(destination, NET, "198.18.231.0/24")
    networks.make_isolated(destination, NET, "198.18.231.0/24")
    made = networks.find(destination, NET)
    assert made is not None
    assert made.isActive()
    assert not made.isPersistent()
    with pytest.raises(HypervisorError, match="name another rehearsal_subnet"):
        networks.make_isolated(destination, f"{NET}-2", "198.18.231.0/24")
    leftovers.remove_run(destination, "0123456789ab")
    assert networks.find(destination, NET) is None
    with pytest.raises(BadInputError, match="is not isolated"):
        networks.require_isolated(destination, "default")


def clients() -> int:
    """How many ssh processes this process has."""
    listed = subprocess.run(
        ["ps", "--ppid", str(os.getpid()), "-o", "comm="],
        capture_output=True,
        text=True,
        check=True,
    )
    return listed.stdout.split().count("ssh")


def test_who_listened_to_a_console_has_no_connection_any_more(
    the_lab: Lab, worker: Running
) -> None:
    before = clients()
    with listening(site.access(the_lab.destination), worker.name):
        assert clients() == before + 1
    wait_for(lambda: clients() == before, "the console's connection ends", 20)


def test_a_screen_is_photographed(
    the_lab: Lab, destination: libvirt.virConnect, worker: Running, tmp_path: Path
) -> None:
    console = Console()
    console.feed(b"a line\r\n")
    kept = evidence.keep(destination, worker.name, console, tmp_path / "kept")
    assert kept.note == ""
    assert Path(kept.screenshot).read_bytes().startswith(b"\x89PNG")
