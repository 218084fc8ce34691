# SPDX-License-Identifier: Apache-2.0
"""Run programs of this machine."""

import shlex
import subprocess
from collections.abc import Sequence

from lab.errors import LabError


def call(
    argv: Sequence[str], *, check: bool = True, timeout: float = 120, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and capture what it prints.

    `timeout` is in seconds. Raises LabError when it is over, when the program is not there, and,
    with `check`, when the command fails.
    """
    try:
        done = subprocess.run(
            list(argv), capture_output=True, text=True, input=stdin, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"`{shlex.join(argv)}` did not end within {timeout:.0f} s") from None
    except FileNotFoundError:
        raise LabError(
            f"{argv[0]} is not on this machine", "run deployments/install-system-packages --lab"
        ) from None
    if check and done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise LabError(f"`{shlex.join(argv)}` failed with status {done.returncode}: {said}")
    return done


def words(argv: Sequence[str]) -> list[str]:
    """Run a command that prints names, and return them."""
    return call(argv).stdout.split()
