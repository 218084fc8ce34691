# SPDX-License-Identifier: Apache-2.0
"""The writes of a guest on the source succeed, however full its host is while it is read."""

import time
from collections.abc import Iterator

import pytest

import lab
from lab import site
from lab.records import Lab
from tests.live import hosts, running
from tests.live.running import Running
from tests.live.tradewind_command import Tradewind, wait_for_line
from tradewind.units import MiB

pytestmark = [pytest.mark.live, pytest.mark.slow]

# A source whose scratch files go into 96 MiB, of which 24 stay free.
SMALL = "small-scratch"
POOL = "/var/lib/libvirt/small-scratch"
ROOM_MIB, RESERVE_MIB, DATA_MIB = 96, 24, 240


@pytest.fixture(scope="module")
def small_scratch(the_lab: Lab, tradewind: Tradewind) -> Iterator[str]:
    host = the_lab.source
    mount = f"mkdir -p {POOL} && mount -t tmpfs -o size={ROOM_MIB}m,mode=0711 tmpfs {POOL}"
    define = f"virsh pool-define-as {SMALL} dir --target {POOL} && virsh pool-start {SMALL}"
    lab.run(host, ["sh", "-c", f"{mount} && {define}"])
    place = ("--host", host.address, "--port", str(host.port), "--username", host.username)
    keys = ("--key", str(host.key_path), "--host-key", host.host_key)
    care = ("--scratch-pool", SMALL, "--scratch-reserve", str(RESERVE_MIB))
    added = tradewind.run("endpoint", "add", SMALL, *place, *keys, *care)
    assert added.status == 0, added.stderr[-2000:]
    yield SMALL
    gone = f"virsh pool-destroy {SMALL}; virsh pool-undefine {SMALL}; umount {POOL}"
    lab.run(host, ["sh", "-c", gone])


@pytest.fixture
def writing(the_lab: Lab) -> Iterator[Running]:
    machine = running.make(the_lab.source, "writing", {"vda": "512M"}, noise=DATA_MIB * MiB)
    yield machine
    for host in (the_lab.source, the_lab.destination):
        hosts.end_machines(host, "writing")


def rewrite(machine: Running, pattern: int) -> None:
    """Overwrite all data, more than the room twice over, as fast as a guest may; each write is
    looked at by `io`."""
    for start in range(0, DATA_MIB, 4):
        machine.io("vda", f"write -P {pattern} {start}M 4M")
        time.sleep(0.05)


def assert_unharmed(machine: Running) -> None:
    assert "No errors" in machine.virsh("domblkerror", machine.name)
    assert "paused (unknown)" not in machine.virsh("domstate", machine.name, "--reason")
    assert "I/O error" not in machine.virsh("domstate", machine.name, "--reason")


def slowly(machine: Running, source: str) -> tuple[str, ...]:
    ends = ("--from", source, "--to", site.DESTINATION, "--bandwidth-limit", "4")
    return ("transfer", "run", machine.name, *ends, "--json")


def test_guest_that_rewrites_more_than_the_room_goes_on_writing(
    tradewind: Tradewind, the_lab: Lab, small_scratch: str, writing: Running
) -> None:
    with tradewind.start(*slowly(writing, small_scratch)) as process:
        wait_for_line(process, f"mark-written-{writing.name}", 300)
        rewrite(writing, 2)
        _, said = process.communicate(timeout=300)
    print(said[-1500:])
    assert process.returncode != 0
    assert "the snapshot of writing was given up" in said
    assert "scratch_pool" in said
    assert_unharmed(writing)
    assert lab.run(the_lab.source, ["ls", POOL]).stdout.strip() == ""
    assert "None" in writing.virsh("domjobinfo", writing.name)
    writing.io("vda", f"read -P 2 0 {DATA_MIB}M")
    plan = writing.transfer().plan
    (kept,) = (*plan.create, *plan.keep)  # the first attempt made the volume, and it stays
    running.assert_same(writing, hosts.volume_file(the_lab.destination, kept.volume.name), "vda")


def test_guest_is_unharmed_when_the_controller_was_killed(
    tradewind: Tradewind, the_lab: Lab, small_scratch: str, writing: Running
) -> None:
    """Nobody but the guard on the host is left to give the snapshot up."""
    with tradewind.start(*slowly(writing, small_scratch)) as process:
        wait_for_line(process, f"mark-written-{writing.name}", 300)
        time.sleep(2)
        process.kill()
        process.communicate()
    assert "Backup" in writing.virsh("domjobinfo", writing.name)
    rewrite(writing, 3)
    assert_unharmed(writing)
    assert "None" in writing.virsh("domjobinfo", writing.name)
    swept = tradewind.run("sweep", site.SOURCE, site.DESTINATION)
    assert swept.status == 0, swept.stderr[-2000:]
    left = hosts.traces(the_lab.source)["sockets"]
    assert not any(name.startswith("tradewind-") for name in left)


def test_preflight_says_when_there_is_no_room(
    tradewind: Tradewind, the_lab: Lab, small_scratch: str, writing: Running
) -> None:
    filler = f"{POOL}/filler"
    lab.run(the_lab.source, ["sh", "-c", f"head -c {ROOM_MIB - RESERVE_MIB}M /dev/zero >{filler}"])
    ends = ("--from", small_scratch, "--to", site.DESTINATION)
    looked = tradewind.run("preflight", writing.name, *ends, "--json")
    lab.run(the_lab.source, ["rm", filler])
    assert looked.status == 2, looked.stderr[-2000:]
    assert "no room for what the guest overwrites" in looked.stdout
