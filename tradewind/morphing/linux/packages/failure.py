# SPDX-License-Identifier: Apache-2.0
"""Why a package could not be installed, in words that name the remedy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tradewind.errors import PackageError
from tradewind.morphing.linux.packages.commands import LATE
from tradewind.morphing.tree import tail
from tradewind.ports import Completed

_FOLDER: Final = "name a folder of prepared packages (`tradewind packages prepare`)"


@dataclass(frozen=True, slots=True)
class FailureSigns:
    """What a package system says for each reason, where its remedies are; `good` is no failure."""

    unreachable: tuple[str, ...]
    not_found: tuple[str, ...]
    repositories: str
    mend: str
    good: frozenset[int] = frozenset({0})


def explain(
    packages: Sequence[str],
    commands: Sequence[Completed],
    signs: FailureSigns,
    *,
    network: bool = True,
) -> PackageError:
    """Tell the three reasons apart by what the commands printed, the last of them in full."""
    said = "\n".join(f"{done.stderr}\n{done.stdout}" for done in commands)
    if commands[-1].status == LATE:
        reason = "it took too long"
        hint = f"see that the repositories answer quickly, or {_FOLDER}"
    elif network and any(sign in said for sign in signs.unreachable):
        reason = "the guest's package repositories cannot be reached from the worker"
        hint = (
            f"give the worker's network a way to the repositories in {signs.repositories}, "
            f"{_FOLDER}, or install the packages on the source before the transfer"
        )
    elif any(sign in said for sign in signs.not_found):
        where = "the guest's package repositories do" if network else "the prepared folder does"
        reason = f"{where} not have it, or not all that it needs"
        hint = f"install it on the source before the transfer, or {_FOLDER}"
    else:
        reason = "the package system failed"
        hint = f"mend the package database on the source (`{signs.mend}`), transfer again"
    names = ", ".join(packages)
    return PackageError(f"{names} cannot be installed: {reason}\n{tail(commands[-1])}", hint)
