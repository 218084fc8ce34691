# SPDX-License-Identifier: Apache-2.0
"""A process that has everything imported, and forks one for each run that is asked for.

Prefect takes five seconds to import where a fault takes one. Each line on its standard input is a
folder with `work.json`; the run's process leaves there `pid`, `out`, `err` and, ended, `status`.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


def main() -> None:
    """Serve; in a process that was forked, work."""
    from tests.live.faults import hook  # noqa: PLC0415 - before anything else of ours

    hook.install()
    _import()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        folder = Path(line.strip())
        if _fork(folder):
            sys.exit(_work(json.loads((folder / "work.json").read_text())))


def _import() -> None:
    import cli.main  # noqa: F401, PLC0415
    import flows.deploy  # noqa: PLC0415
    import flows.migrate  # noqa: PLC0415
    import flows.replicate  # noqa: PLC0415
    import flows.sweep  # noqa: PLC0415
    import flows.transfer  # noqa: F401, PLC0415


def _fork(folder: Path) -> bool:
    """Fork a process that waits for one that works; True in the latter."""
    if pid := os.fork():
        os.waitpid(pid, 0)
        return False
    os.setsid()
    if os.fork():
        os._exit(0)  # what waits is nobody's child, and no zombie of ours
    if pid := os.fork():
        _, status = os.waitpid(pid, 0)
        unfinished = folder / "status.unfinished"
        unfinished.write_text(str(os.waitstatus_to_exitcode(status)))
        unfinished.rename(folder / "status")
        os._exit(0)
    _settle(folder)
    return True


def _settle(folder: Path) -> None:
    """Become a process like any that a person starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, name in ((0, os.devnull), (1, folder / "out"), (2, folder / "err")):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND
        os.dup2(os.open(name, flags, 0o600), number)
    os.environ["TRADEWIND_FAULTS"] = str(folder)
    here = [str(ROOT / "tests/live/faults/site"), str(ROOT)]
    os.environ["PYTHONPATH"] = os.pathsep.join(here)
    (folder / "pid").write_text(str(os.getpid()))


def _work(work: dict[str, Any]) -> int:
    """Run a command as `tradewind` does, or a flow whose request no command can express."""
    import cli.main  # noqa: PLC0415

    if "words" in work:
        sys.argv = ["tradewind", *work["words"]]
    else:
        cli.main.app = lambda: _flow(work)  # type: ignore[assignment]
    cli.main.main()
    return 0


def _flow(work: dict[str, Any]) -> None:
    """Run a flow; its process ends as a command's does (cli.main.main)."""
    import importlib  # noqa: PLC0415

    module = importlib.import_module(work["module"])
    flow = getattr(module, work["flow"])
    sys.stdout.write(f"{flow(**work['request']).model_dump_json()}\n")


if __name__ == "__main__":
    main()
