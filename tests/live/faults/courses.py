# SPDX-License-Identifier: Apache-2.0
"""The courses that a cell can take: a flow, the machines it is about, and what is before it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import lab
from lab import site
from tests.live import hosts
from tests.live.faults import stored, tiny, world
from tests.live.faults.processes import Run
from tests.live.faults.records import SeenStep
from tests.live.faults.scene import OPTIONS, Scene
from tests.live.running import Running

ENDS: Final = {"source": site.SOURCE, "destination": site.DESTINATION, "options": OPTIONS}
# What the flow may take when nothing is wrong, three times over on a busy machine.
LIMIT: Final = 420.0


@dataclass(frozen=True, slots=True)
class Course:
    """`machine_runs` is how the machine is before; `replicas` whether it has one already."""

    name: str
    flow: str
    words: str
    request: Callable[[tuple[str, ...]], dict[str, Any]]
    machine_runs: bool = True
    replicas: bool = True
    machines: int = 1
    # A clean run takes seconds.
    is_cheap: bool = False
    # The machine shows no prompt, so that the course takes the way back.
    is_mute: bool = False

    @property
    def makes_machine(self) -> bool:
        """Whether it ends with a machine on the destination."""
        return self.flow == "migrate" or self.name == "deploy"

    @property
    def succeeds(self) -> bool:
        """Whether it ends well when nothing is done to it."""
        return not self.is_mute


def _transfer(names: tuple[str, ...]) -> dict[str, Any]:
    return {"machine": names[0], **ENDS}


def _deploy(names: tuple[str, ...]) -> dict[str, Any]:
    deploy_options = {"skip_os_morphing": True, "boot_timeout": 120}
    return {"machine": names[0], **ENDS, **deploy_options}


def _rehearse(names: tuple[str, ...]) -> dict[str, Any]:
    return {**_deploy(names), "rehearse": True, "rehearsal_subnet": "198.18.231.0/24"}


def _migrate(names: tuple[str, ...]) -> dict[str, Any]:
    return {
        "transfer": _transfer(names),
        "deploy_options": {"skip_os_morphing": True, "boot_timeout": 120, "clone_disks": False},
        "go": "nothing",
        "rounds": 1,
        "shutdown_timeout": 60,
    }


# Longer than a machine with a prompt takes to show it.
_IN_VAIN: Final = 12


def _deploy_in_vain(names: tuple[str, ...]) -> dict[str, Any]:
    return {**_deploy(names), "boot_timeout": _IN_VAIN}


def _migrate_in_vain(names: tuple[str, ...]) -> dict[str, Any]:
    wanted = _migrate(names)
    return {**wanted, "deploy_options": {**wanted["deploy_options"], "boot_timeout": _IN_VAIN}}


def _replicate(names: tuple[str, ...]) -> dict[str, Any]:
    return {"machines": {"names": list(names)}, **ENDS}


_ALL: Final = (
    Course(
        "deploy",
        "deploy",
        "the replica of a machine that is off becomes a machine, which shows its login prompt",
        _deploy,
        machine_runs=False,
        is_cheap=True,
    ),
    Course(
        "rehearse",
        "deploy",
        "a clone boots on a network that nothing leaves, and is removed",
        _rehearse,
        is_cheap=True,
    ),
    Course(
        "transfer", "transfer", "a machine that runs gets its replica", _transfer, replicas=False
    ),
    Course("update", "transfer", "a replica is brought up to date from a checkpoint", _transfer),
    Course("migrate", "migrate", "a machine moves", _migrate, replicas=False),
    Course(
        "deploy in vain",
        "deploy",
        "a machine whose console stays silent is removed again",
        _deploy_in_vain,
        machine_runs=False,
        is_cheap=True,
        is_mute=True,
    ),
    Course(
        "migrate in vain",
        "migrate",
        "the new machine does not prove its boot, and the original is started again",
        _migrate_in_vain,
        replicas=False,
        is_mute=True,
    ),
    Course(
        "replicate",
        "replicate",
        "two machines in processes of their own",
        _replicate,
        replicas=False,
        machines=2,
    ),
)
COURSES: Final = {course.name: course for course in _ALL}


class Stage:
    """The machines of one course on a scene, from nothing to nothing."""

    def __init__(self, scene: Scene, course: Course, prefix: str) -> None:
        self.scene, self.course, self.prefix = scene, course, prefix
        self.machines: list[Running] = []
        # Those of the transfer that made the replica.
        self.first_steps: list[SeenStep] = []

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(machine.name for machine in self.machines)

    def set_up(self) -> None:
        """Make the machines, and what the course takes for granted."""
        for number in range(self.course.machines):
            name = f"{self.prefix}{'ab'[number]}"
            self.machines.append(tiny.make(self.scene.source, name, mute=self.course.is_mute))
            tiny.start(self.machines[-1])
        if self.course.replicas:
            self._replicate()
        if not self.course.machine_runs:
            self.machines[0].stop()

    def _replicate(self) -> None:
        """Have a replica: a deployment needs no more than its bytes, which are the same each time.

        An update counts from a checkpoint on the source, so its replica is made by a transfer.
        """
        planted = (
            self.course.flow == "deploy"
            and self.course.succeeds
            and stored.plant(self.scene.destination)
        )
        if not planted:
            run = self.scene.server.flow("transfer", {"request": _transfer(self.names)})
            assert run.ended(LIMIT), run.said
            assert run.status == 0, run.said[-4000:]
            self.first_steps = run.steps
            if self.course.succeeds:
                stored.keep(self.scene.destination)

    def request(self) -> dict[str, Any]:
        return {"request": self.course.request(self.names)}

    def write(self, turn: int) -> None:
        """Change the machines that run, so that there is something to send."""
        for machine in self.machines:
            if self.state_at_source(machine) == "running":
                machine.io("vda", f"write -P {turn % 200 + 1} 1M 64k")
                machine.io("vdb", f"write -P {turn % 200 + 2} {turn % 5}M 128k")

    def state_at_source(self, machine: Running) -> str:
        return world.state(self.scene.source, machine.name)

    def state_at_destination(self, machine: Running) -> str:
        return world.state(self.scene.destination, machine.name)

    def run(self) -> Run:
        """Run the course to its end, without a fault."""
        run = self.scene.server.flow(self.course.flow, self.request())
        if not run.ended(LIMIT):
            run.insist()
        return run

    def remove_deployed(self) -> None:
        """Take the new machine away, as its owner may."""
        for machine in self.machines:
            if self.state_at_destination(machine) != "absent":
                hosts.end_machines(self.scene.destination, machine.name)

    def revive(self) -> None:
        """Start again what a fault has killed, as the operator of its host does."""
        for machine in self.machines:
            if self.course.machine_runs and self.state_at_source(machine) == "shut off":
                lab.run(self.scene.source, ["virsh", "start", machine.name])
