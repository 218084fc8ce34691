# SPDX-License-Identifier: Apache-2.0
"""Programs for sh(1): files beside the modules that run them, checked by `make lint`.

They run with `sh -c PROGRAM sh ARGUMENT…`: what differs from call to call is an argument.
"""

from itertools import dropwhile
from pathlib import Path


def program(module: str, *names: str) -> str:
    """Read the programs with these names beside a module (its `__file__`), one after the other.

    The comments at the head of a file are for its readers and stay out: a message that quotes a
    command shows how the program begins.
    """
    return "".join(_body(Path(module).parent / name) for name in names)


def _body(file: Path) -> str:
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(dropwhile(lambda line: line.startswith("#") or not line.strip(), lines))
