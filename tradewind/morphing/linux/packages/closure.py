# SPDX-License-Identifier: Apache-2.0
"""Which of many .rpm files a package needs, beside what the guest has: dnf has no plain folders."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from tradewind.errors import PackageError
from tradewind.ports import GuestTree
from tradewind.shell_programs import program

_FACTS: Final = program(__file__, "rpm_facts.sh")
# Says in three ways that nothing provides a name.
_LACKING: Final = re.compile(
    r"no package provides (.+)$|file (/\S+) is not owned|file (/\S+): No such file", re.MULTILINE
)


@dataclass(slots=True)
class _File:
    path: str
    name: str = ""
    provides: set[str] = field(default_factory=set)
    requires: set[str] = field(default_factory=set)


def of(guest: GuestTree, folder: str, packages: Sequence[str]) -> tuple[str, ...]:
    """Name the files for these packages and for what they need and the guest does not have.

    Versions are not compared: that is for whoever installs them. PackageError when a package
    itself is not there.
    """
    files = _facts(guest, folder)
    named = {each.name: each for each in files}
    absent = [package for package in packages if package not in named]
    if absent:
        raise PackageError(
            f"the prepared folder has no {', '.join(absent)}",
            "prepare it again with these packages (`tradewind packages prepare`)",
        )
    providers: dict[str, list[_File]] = defaultdict(list)
    for each in files:
        for what in each.provides:
            providers[what].append(each)
    lacking = _lacking(guest, {what for each in files for what in each.requires})
    return _collect([named[package] for package in packages], providers, lacking)


def _collect(
    wanted: Iterable[_File], providers: dict[str, list[_File]], lacking: set[str]
) -> tuple[str, ...]:
    chosen: dict[str, _File] = {}
    waiting = list(wanted)
    while waiting:
        each = waiting.pop()
        if each.path in chosen:
            continue
        chosen[each.path] = each
        for what in sorted(each.requires & lacking):
            waiting += providers[what][:1]
    return tuple(sorted(chosen))


def _facts(guest: GuestTree, folder: str) -> list[_File]:
    files: list[_File] = []
    said = guest.run(["sh", "-c", _FACTS, "sh", folder], timeout=300, check=False)
    for line in said.stdout.splitlines():
        kind, _, what = line.partition(" ")
        if kind == "@":
            files.append(_File(what))
        elif kind == "N":
            files[-1].name = what
        elif kind == "P":
            files[-1].provides.add(what)
        elif kind == "R" and not what.startswith(("rpmlib(", "(")):
            files[-1].requires.add(what)
    return files


def _lacking(guest: GuestTree, names: set[str]) -> set[str]:
    """Ask rpm what of this nothing in the guest provides."""
    if not names:
        return set()
    argv = ["rpm", "-q", "--whatprovides", *sorted(names)]
    said = guest.run(argv, timeout=300, check=False)
    found = _LACKING.findall(said.stdout + said.stderr)
    return {name for names in found for name in names if name}
