# SPDX-License-Identifier: Apache-2.0
"""How long the commands take while many transfers are stored: one run of each.

`python -m bench.fleet [--count N]`. A Prefect server of its own on SQLite, set as
`tradewind settings server` prints, with all its services; a ledger with a replica of two disks and
twenty runs for each transfer. Registering reads a file and looks at no host (--no-check). No lab is
needed.
"""

import argparse
import os
import resource
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from bench import results
from deployments.project import settings
from tradewind.ledger import open_ledger, owners
from tradewind.model.machine import VirtualMachine
from tradewind.units import GiB
from tradewind.waiting import wait_for

_START: Final = 180
_LOG: Final = "server.log"
_DISKS: Final = ("sda", "sdb")
_RUNS: Final = 20
_NOW: Final = "2026-01-01 00:00:00"
_TRANSFERS: Final = (
    "INSERT INTO transfer VALUES"
    " (:id, 'old', 'new', :name, :name, :machine, :now, :now, :now, NULL)"
)
_RUN: Final = (
    "INSERT INTO run VALUES (:run, :id, 'execution', 'completed', :now, :now, :owner, NULL)"
)
_DISK: Final = (
    "INSERT INTO disk (transfer_id, disk_id, pool, volume, format, capacity, serial, written,"
    " location, exact, generation, writer)"
    " VALUES (:id, :disk, 'default', :disk, 'qcow2', 1048576, :disk, 1, '', 1, 1, '')"
)


def name_of(number: int) -> str:
    """Name a machine of the fleet; its transfer has the same name."""
    return f"web{number:04}"


@dataclass(frozen=True, slots=True)
class Server:
    """The environment in which commands find a server, and its process."""

    environment: Mapping[str, str]
    pid: int

    def cpu(self) -> float:
        """Return the seconds of a processor that it has taken so far (proc_pid_stat(5))."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


class Taken(NamedTuple):
    """Seconds that a command took: by the clock, and of a processor, itself and the server."""

    clock: float
    command: float
    server: float


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    """Lend a server; what it keeps begins empty."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = str(free.getsockname()[1])
    url = f"http://127.0.0.1:{port}/api"
    argv = [sys.executable, "-m", "prefect", "server", "start", "--host=127.0.0.1"]
    environment = os.environ | settings("server") | {"PREFECT_HOME": str(folder)}
    with (
        (folder / _LOG).open("wb") as log,
        subprocess.Popen(
            [*argv, f"--port={port}"], env=environment, stdout=log, stderr=log
        ) as process,
    ):
        try:
            wait_for(lambda: _answers(f"{url}/health"), "Prefect's server answers", _START)
            names = {"PREFECT_API_URL": url, "PREFECT_HOME": str(folder)}
            yield Server(os.environ | names, process.pid)
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url):  # noqa: S310 - ours
        return True
    return False


def fill_ledger(place: Path, count: int) -> None:
    """Write down a replica with two disks and twenty runs for each machine."""
    with open_ledger(str(place)):
        pass  # its tables are made
    numbers = [f"{number:08}" for number in range(count)]
    rows = [_transfer_row(number) for number in numbers]
    owner = owners.current().model_dump_json()
    runs = [
        {"id": number, "run": f"{number}{run:04}", "now": _NOW, "owner": owner}
        for number in numbers
        for run in range(_RUNS)
    ]
    disks = [{"id": number, "disk": disk} for number in numbers for disk in _DISKS]
    with closing(sqlite3.connect(place)) as database, database:
        database.executemany(_TRANSFERS, rows)
        database.executemany(_RUN, runs)
        database.executemany(_DISK, disks)


def _transfer_row(number: str) -> dict[str, str]:
    name = name_of(int(number))
    machine = VirtualMachine(id=name, name=name, vcpus=1, memory=GiB, disks=())
    return {"id": number, "name": name, "machine": machine.model_dump_json(), "now": _NOW}


def write_list(path: Path, count: int) -> None:
    """Write the file that is registered: every fourth machine comes due at two each night."""
    lines = ["machine,name,cron,every"]
    for number in range(count):
        when = "0 2 * * *," if number % 4 == 0 else ",4h"
        lines.append(f"{name_of(number)},{name_of(number)},{when}")
    path.write_text("\n".join(lines) + "\n")


def timed(there: Server, words: Sequence[str]) -> Taken:
    """Run a command, and say what it took."""
    begun, before, served = time.monotonic(), _of_children(), there.cpu()
    subprocess.run(
        [sys.executable, "-m", "cli.main", *words], env=there.environment, check=False,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return Taken(time.monotonic() - begun, _of_children() - before, there.cpu() - served)


def _of_children() -> float:
    taken = resource.getrusage(resource.RUSAGE_CHILDREN)  # the server has not ended yet
    return taken.ru_utime + taken.ru_stime


def commands(listed: Path, count: int) -> Iterator[list[str]]:
    """List what is timed, in this order."""
    middle = name_of(count // 2)
    yield ["transfer", "list"]  # nothing is stored yet: what the command itself takes
    yield ["transfer", "import", str(listed), "--from", "old", "--to", "new", "--no-check"]
    yield ["status"]
    yield ["transfer", "list"]
    yield ["transfer", "show", middle]
    yield ["schedule", "list"]
    yield ["schedule", "pause", middle]
    yield ["schedule", "resume", middle]
    yield ["transfer", "show", "nobody"]


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="number of transfers")
    count = parser.parse_args().count
    table = Table("command", "seconds", "CPU: command", "CPU: server")
    machine = results.machine()
    with tempfile.TemporaryDirectory(prefix="tradewind-fleet-") as name:
        folder = Path(name)
        place, listed = folder / "ledger.sqlite", folder / "fleet.csv"
        write_list(listed, count)
        with server(folder) as there:
            timed(there, ["setup"])
            timed(there, ["options", "set", f"sqlite_database_file={place}"])
            fill_ledger(place, count)
            for words in commands(listed, count):
                shown = " ".join(words).replace(str(listed), listed.name)
                taken = timed(there, words)
                print(f"{shown}: {taken.clock:.1f} s", flush=True)
                table.add_row(shown, *(f"{seconds:.1f}" for seconds in taken))
        locked = (folder / _LOG).read_text(errors="replace").count("database is locked")
    Console(width=120).print(table)
    print(f"the server said {locked} times that its database is locked")
    print(f"{count} transfers; {machine}, after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
