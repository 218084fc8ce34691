# SPDX-License-Identifier: Apache-2.0
"""What must hold whatever was done to a run. Each judge names the promises that do not."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import lab
from lab import guests, namespaces
from lab.faults import hosts
from lab.records import LabHost
from tests.live.faults import ledgers, world
from tests.live.faults.courses import Stage
from tests.live.faults.processes import Run
from tests.live.faults.records import Fate
from tests.live.running import Running
from tradewind.host.storage import witness

RUNNING, OFF, ABSENT = "running", "shut off", "absent"
# How a machine that runs nowhere has to be told of.
_OUTAGE = ("outage", "is shut off on", "source off", "stays off", "could NOT be started")


def fate_of(run: Run) -> Fate:
    """Say how a run ended that was hurt."""
    if run.status == 0:
        return Fate.ENDED_WELL
    return Fate.DIED if run.status is None or run.status < 0 else Fate.FAILED


def exit_code(run: Run) -> Iterator[str]:
    """A command ends with one of its exit codes (cli/exit_codes.py), or by a signal."""
    if run.status is not None and run.status not in (0, 1, 2, 143) and run.status > 0:
        yield f"exit code {run.status} means nothing"


def leftovers(stage: Stage, before: dict[str, world.Host]) -> Iterator[str]:
    """After the sweep both hosts are as before, but for replicas and for a machine that is done."""
    replicas = ledgers.volumes()
    witnesses = {f"{name}{witness.SUFFIX}" for name in replicas}
    allowed = replicas | witnesses | _of_finished_machines(stage)
    for name, host in stage.scene.look().items():
        for difference in host.differences(before[name], allowed):
            yield f"after the sweep, on the {name}: {difference}"


def _of_finished_machines(stage: Stage) -> frozenset[str]:
    """Name what a deployment that the ledger knows as completed may leave on the destination."""
    if not (stage.course.makes_machine and ledgers.last_is_completed()):
        return frozenset()
    found = set()
    for machine in stage.machines:
        found.add(machine.name)
        names = {path.name for path in disks(stage.scene.destination, machine.name)}
        # The witness of a replica that was given to a machine stays, and says so (decision 0013).
        found |= names | {f"{name}{witness.SUFFIX}" for name in names}
        found |= {f"{machine.name}_VARS.fd", _uuid(stage.scene.destination, machine.name)}
    return frozenset(found)


def disks(host: LabHost, machine: str) -> list[Path]:
    """List the disks of a domain as this machine sees them, in its order."""
    done = lab.run(host, ["virsh", "-q", "domblklist", machine], check=False)
    found = [line.split(None, 1)[1].strip() for line in done.stdout.splitlines() if line.strip()]
    plan = namespaces.plan_of(host)
    return [guests.inside(plan, path) for path in found if path != "-"]


def _uuid(host: LabHost, machine: str) -> str:
    return lab.run(host, ["virsh", "domuuid", machine], check=False).stdout.strip()


def bystanders(stage: Stage, before: dict[str, world.Bystander]) -> Iterator[str]:
    """Nothing of somebody else was touched."""
    for name, now in stage.scene.bystanders().items():
        then = before[name]
        for what in ("definition", "process", "disks", "volume"):
            if getattr(now, what) != getattr(then, what):
                yield f"the bystander on the {name}: its {what} changed"


def frozen(stage: Stage) -> Iterator[str]:
    """A machine that runs can write."""
    for machine in stage.machines:
        if stage.state_at_source(machine) == RUNNING and (said := world.is_frozen(machine)):
            yield said


def places(stage: Stage, ran: bool, told: str, *, killed: bool) -> Iterator[str]:
    """Each machine runs where it has to, and where it is not as before somebody says so.

    `ran` is how it was before, `killed` whether the fault itself ended it.
    """
    for machine in stage.machines:
        here, there = stage.state_at_source(machine), stage.state_at_destination(machine)
        where = f"{machine.name} is {here} on the source, {there} on the destination"
        if [here, there].count(RUNNING) > 1 and not _may_run_twice(stage):
            yield f"double: {where}"
        elif here not in (RUNNING, OFF) or there not in (RUNNING, OFF, ABSENT):
            yield f"neither on nor off: {where}"
        elif stage.course.flow == "migrate":
            yield from _moved(machine, here, there, told, killed=killed, where=where)
        elif (here == RUNNING) is not ran and not killed:
            yield f"not as before: {where}"
        elif there != ABSENT and not stage.course.makes_machine:
            yield f"nobody asked for it: {where}"


def _may_run_twice(stage: Stage) -> bool:
    """A person who deploys a replica while its machine runs has asked for two."""
    return stage.course.name == "deploy" and stage.course.machine_runs


def _moved(
    machine: Running, here: str, there: str, told: str, *, killed: bool, where: str
) -> Iterator[str]:
    if RUNNING in (here, there):
        says_source = f"{machine.name} runs on lab-source again" in told
        if says_source and here != RUNNING:
            yield f"it is said to run on the source again, but {where}"
        return
    if killed and here == OFF:
        return
    lines = [line for line in told.splitlines() if machine.name in line]
    if not any(word in line for line in lines for word in _OUTAGE):
        yield f"lost: {where}, and neither the run nor status nor sweep says so"


def has_moved(stage: Stage) -> bool:
    """Whether the machine of a move runs on its destination."""
    moves = stage.course.flow == "migrate"
    return moves and stage.state_at_destination(stage.machines[0]) == RUNNING


def replicas(stage: Stage) -> dict[str, str]:
    """Take the digests of the replicas that a deployment clones; else of none."""
    if stage.course.flow != "deploy":
        return {}
    plan = namespaces.plan_of(stage.scene.destination)
    return {name: world.digest(hosts.bounded_file(plan, name)) for name in ledgers.volumes()}


def untouched_replicas(stage: Stage, before: dict[str, str]) -> Iterator[str]:
    """What is cloned stays as it is."""
    for name, digest in replicas(stage).items():
        if before.get(name) != digest:
            yield f"the replica {name} changed"


def same_contents(stage: Stage) -> Iterator[str]:
    """Every disk equals its replica, or that of the new machine, to the last byte.

    A rehearsal is of the replica as it is; its machine may have gone on since.
    """
    if stage.course.name == "rehearse":
        return
    for machine in stage.machines:
        if stage.state_at_source(machine) == RUNNING:
            for target in machine.disks:
                machine.io(target, "flush")
        yield from _differences(machine, _copies(stage, machine))


def _differences(machine: Running, copies: dict[str, Path]) -> Iterator[str]:
    if set(copies) != set(machine.disks):
        yield f"{machine.name}: {sorted(machine.disks)} have the copies {sorted(copies)}"
        return
    for target, copy in copies.items():
        if not _equal(machine.image(target), copy):
            yield f"{machine.name}: {target} is not what {copy.name} holds"


def _copies(stage: Stage, machine: Running) -> dict[str, Path]:
    if stage.course.makes_machine:
        found = disks(stage.scene.destination, machine.name)
        return dict(zip(machine.disks, found, strict=False))
    plan = namespaces.plan_of(stage.scene.destination)
    known = ledgers.volumes_of(machine.name)
    return {target: hosts.bounded_file(plan, volume) for target, volume in known.items()}


def _equal(one: Path, other: Path) -> bool:
    if not (one.exists() and other.exists()):
        return False
    argv = ["qemu-img", "compare", "-U", str(one), str(other)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return "Images are identical." in done.stdout
