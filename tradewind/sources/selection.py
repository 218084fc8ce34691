# SPDX-License-Identifier: Apache-2.0
"""Choose some of a source's machines: by name, by pattern, by tag."""

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

from tradewind.errors import NotFoundError
from tradewind.model.groups import MachineSelection
from tradewind.model.machine import MachineSummary
from tradewind.nearest import listed

_TEST = Callable[[str, MachineSummary], bool]

# How each word of a selection is compared, and what it is called when it fits nothing.
_TESTS: tuple[tuple[str, str, _TEST], ...] = (
    ("names", "machine is called", lambda word, machine: word in (machine.name, machine.id)),
    ("patterns", "machine fits", lambda word, machine: fnmatchcase(machine.name, word)),
    # One that cannot be read may bear any tag: it is chosen, and its own run says what is wrong.
    (
        "tags",
        "machine bears the tag",
        lambda word, machine: word in machine.tags or bool(machine.problem),
    ),
)


def is_meant(machine: MachineSummary, selection: MachineSelection) -> bool:
    """Whether a selection means a machine: one of its words is enough."""
    return any(fits(word, machine) for kind, _, fits in _TESTS for word in getattr(selection, kind))


def choose(
    machines: Iterable[MachineSummary], selection: MachineSelection, source: str
) -> tuple[MachineSummary, ...]:
    """Return the machines that are meant, by name; each word has to fit one at least.

    NotFoundError names every word that fits nothing, and the machines that there are.
    """
    there = sorted(machines, key=lambda machine: machine.name)
    chosen: dict[str, MachineSummary] = {}
    idle: list[str] = []
    for kind, phrase, fits in _TESTS:
        for word in getattr(selection, kind):
            found = [machine for machine in there if fits(word, machine)]
            chosen.update((machine.id, machine) for machine in found)
            idle.extend([] if found else [f"no {phrase} “{word}”"])
    if idle:
        raise NotFoundError(
            f"on {source}: {'; '.join(idle)}", f"there are: {_shown(there, idle[0])}"
        )
    return tuple(machine for machine in there if machine.id in chosen)


def _shown(machines: Sequence[MachineSummary], wanted: str) -> str:
    lines = [
        f"{machine.name} ({', '.join(machine.tags)})" if machine.tags else machine.name
        for machine in machines
    ]
    return listed(lines, wanted)
