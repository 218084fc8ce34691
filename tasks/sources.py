# SPDX-License-Identifier: Apache-2.0
"""Steps at the source."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tasks.step import step
from tradewind.model.machine import VirtualMachine
from tradewind.ports import DataSource, Snapshot


@step("inspect-{machine}")
def inspect_machine(source: DataSource, machine: str) -> VirtualMachine:
    """Describe the machine and measure its disks."""
    return source.inspect(machine)


@step("freeze-{machine.name}")
def _freeze(lent: ExitStack, source: DataSource, machine: VirtualMachine, run_id: str) -> Snapshot:
    """Take one point in time of all the machine's disks."""
    return lent.enter_context(source.snapshot(machine, run_id))


@contextmanager
def snapshot(source: DataSource, machine: VirtualMachine, run_id: str) -> Iterator[Snapshot]:
    """Lend one point in time of the machine; the source is as before when it is given back."""
    with ExitStack() as lent:
        yield _freeze(lent, source, machine, run_id)
