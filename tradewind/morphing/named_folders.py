# SPDX-License-Identifier: Apache-2.0
"""Which files of the controller a run may name that was asked for through an interface."""

from collections.abc import Collection
from pathlib import Path

from tradewind.errors import OptionError

VARIABLE = "TRADEWIND_FOLDERS"


def require_below(paths: Collection[str], folders: str) -> None:
    """Refuse a path that is not below one of the folders (separated by colons), links followed.

    Who may start runs is not thereby somebody who may read the controller's files: a script goes
    into the guest, a package too.
    """
    allowed = [Path(folder).resolve() for folder in folders.split(":") if folder.strip()]
    for path in paths:
        real = Path(path).expanduser().resolve()
        if not any(real.is_relative_to(folder) for folder in allowed):
            there = ", ".join(map(str, allowed)) or "none"
            raise OptionError(
                f"{path} is not below a folder that runs may name (there are: {there})",
                f"put it there, or name its folder in {VARIABLE} in the environment of the worker"
                " that runs the flow (worker.env), several separated by colons",
            )
