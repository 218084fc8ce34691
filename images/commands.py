# SPDX-License-Identifier: Apache-2.0
"""Run the programs that make images; say what happens in plain lines."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tradewind.errors import TradewindError
from tradewind.units import human_duration

CONFINED: Final = (
    # Whatever happens to the builder, SIGKILL too, the programs below it end with it, and their
    # mounts with them.
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
)
_SEARCH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LAST_LINES: Final = 15


def run(argv: Sequence[str | Path], *, input_text: str = "", cwd: Path | None = None) -> str:
    """Run a program to its end and return what it wrote on standard output.

    The environment is a clean one: a PYTHONDONTWRITEBYTECODE of the builder's shell once made an
    image without any bytecode, which starts slowly. Raises TradewindError with the last lines.
    """
    ended = subprocess.run(
        [str(word) for word in argv],
        input=input_text, capture_output=True, text=True, cwd=cwd, env=_environment(), check=False,
    )  # fmt: skip
    if ended.returncode == 0:
        return ended.stdout
    last = "\n    ".join((ended.stdout + ended.stderr).splitlines()[-_LAST_LINES:])
    raise TradewindError(f"{argv[0]} ended with status {ended.returncode}:\n    {last}")


def say(line: str) -> None:
    """Report progress: one plain line on standard error."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@contextmanager
def reported(what: str) -> Iterator[None]:
    """Say what is being done, and how long it took."""
    say(f"{what} ...")
    start = time.monotonic()
    yield
    say(f"{what}: {human_duration(time.monotonic() - start)}")


def _environment() -> dict[str, str]:
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    return proxies | {"PATH": _SEARCH, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
