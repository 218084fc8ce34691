# SPDX-License-Identifier: Apache-2.0
"""`python -m lab`: the lab from a terminal."""

import os
import subprocess
import sys
import time
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from lab import lifecycle, namespaces, settings, status
from lab.errors import LabError
from lab.records import EVERY_HOST, GENERATIONS, HostPlan
from tradewind.errors import TradewindError
from tradewind.units import human_duration

app = typer.Typer(
    help="Two real KVM hosts on this machine, for the demo and the tests.", no_args_is_help=True
)
console = Console()


class HostName(StrEnum):
    """A host, as an argument."""

    SOURCE = "source"
    DESTINATION = "destination"
    TRIXIE = "trixie"
    BULLSEYE = "bullseye"


Host = Annotated[HostName, typer.Argument(help="Which host.")]


@app.command()
def up() -> None:
    """Build the lab, or repair it: nothing that runs is disturbed."""
    began = time.monotonic()
    lab = lifecycle.up()
    status.show(console, lab)
    console.print(f"up after {human_duration(time.monotonic() - began)}")


@app.command()
def join(host: Host) -> None:
    """Let a host of another generation join: Debian 13 (trixie) or Debian 11 (bullseye)."""
    plan = _plan(host)
    if plan not in GENERATIONS:
        raise LabError(f"{plan.name} is a part of each lab", "python -m lab up")
    joined = lifecycle.join(plan)
    console.print(status.ssh_command(joined), soft_wrap=True, markup=False, highlight=False)


@app.command()
def down() -> None:
    """End everything that runs in the lab and leave nothing behind."""
    began = time.monotonic()
    lifecycle.down()
    console.print(f"down after {human_duration(time.monotonic() - began)}, nothing left behind")


@app.command("status")
def show() -> None:
    """Tell what runs and how to look at it. Fails when the lab is not up."""
    lab = lifecycle.describe()
    if lab is not None:
        status.show(console, lab)
        return
    console.print("The lab is not up: python -m lab up")
    for remains in lifecycle.leftovers():
        console.print(f"  there is still {remains}; `python -m lab down` removes it")
    raise typer.Exit(1)


@app.command()
def shell(host: Host) -> None:
    """Open a shell as root inside a host."""
    argv = namespaces.enter(_plan(host), ["bash", "--login"])
    os.execvp(argv[0], argv)  # noqa: S606 - nsenter with our own arguments


@app.command(context_settings={"ignore_unknown_options": True})
def run(
    host: Host, command: Annotated[list[str], typer.Argument(help="The command, after `--`.")]
) -> None:
    """Run a command as root inside a host; its exit status becomes ours."""
    done = subprocess.run(namespaces.enter(_plan(host), command), check=False)
    raise typer.Exit(done.returncode)


@app.command()
def demo() -> None:
    """Move one real machine from host to host, and prove that it booted."""
    from lab import demo as story  # noqa: PLC0415 - builds on Prefect, which takes seconds to load

    story.run(console)


@app.command()
def machine() -> None:
    """Start the demo machine on the source, for a move of your own; the lab has to be up."""
    import images  # noqa: PLC0415 - as above
    from lab import demo, demo_machine  # noqa: PLC0415

    lab = lifecycle.describe()
    if lab is None:
        raise LabError("the lab is not up", "python -m lab up")
    images.build_mirror()
    demo.start_source(lab)
    demo.wait_until_it_answers(demo_machine.ADDRESS)
    console.print(f"“{demo_machine.NAME}” runs on the source and answers at {demo_machine.ADDRESS}")


@app.command("test")
def run_tests(
    chosen: Annotated[list[str] | None, typer.Argument(help="Tests to run; all live ones.")] = None,
    slow: Annotated[bool, typer.Option(help="The longer cases too.")] = False,
) -> None:
    """Run the live tests on a lab of their own, and take it down afterwards."""
    from lab import trial  # noqa: PLC0415

    raise typer.Exit(trial.run(slow=slow, chosen=chosen or []))


@app.command()
def login(
    address: Annotated[str, typer.Argument(help="Address of the demo machine.")] = "198.18.10.50",
) -> None:
    """Open a root shell in the demo machine, the original or the migrated one."""
    from images import keys  # noqa: PLC0415

    key = str(keys.guest_key())
    known = f"UserKnownHostsFile={settings.state_folder / 'guest_known_hosts'}"
    line = f"{address} {keys.public_line(keys.guest_host_key())}\n"
    (settings.state_folder / "guest_known_hosts").write_text(line)
    os.execvp("ssh", ["ssh", "-F", "none", "-i", key, "-o", known, f"root@{address}"])  # noqa: S606


def _plan(name: HostName) -> HostPlan:
    return next(plan for plan in EVERY_HOST if plan.name == name)


def main() -> None:
    """Run the command; an expected error is a sentence, not a traceback."""
    try:
        app(prog_name="python -m lab")
    except TradewindError as error:
        Console(stderr=True, soft_wrap=True).print(str(error), style="red", markup=False)
        sys.exit(1)
