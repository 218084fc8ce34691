# SPDX-License-Identifier: Apache-2.0
"""The demo: one real running machine moves from one real KVM host to another."""

import time

from rich.console import Console
from rich.markdown import Markdown

import images
from lab import demo_machine, lifecycle, namespaces, site
from lab.errors import LabError
from lab.records import Lab
from lab.resources import virsh
from tradewind.remote import shell
from tradewind.reports.deploy import deploy_markdown
from tradewind.reports.transfer import transfer_markdown
from tradewind.units import human_duration
from tradewind.waiting import wait_for

BOOT_TIMEOUT = 400
SUMS = ["sh", "-c", "cd /srv/files && sha256sum -c --quiet SHA256SUMS && wc -l < SHA256SUMS"]


def run(console: Console) -> None:
    """Build the lab, move the machine, and show what proves that it moved."""
    begun = time.monotonic()
    _say(console, "1/5  the lab: two KVM hosts, guest and worker images, a package mirror")
    images.build_for_lab(["worker", demo_machine.RECIPE])
    lab = lifecycle.up()
    refuse_a_second_run(lab)
    url = site.connect_prefect()
    site.store_blocks(lab)
    _say(console, f"     Prefect's UI: {url}")
    _say(console, "2/5  the machine “demo” starts on the source, the worker image is staged")
    start_source(lab)
    site.stage_worker_image()
    wait_until_it_answers(demo_machine.ADDRESS)
    _say(console, "3/5  transfer: its disks are replicated while it runs")
    from flows.deploy import deploy  # noqa: PLC0415 - Prefect reads its settings at import
    from flows.transfer import transfer  # noqa: PLC0415
    from tradewind.model.requests import DeployRequest, TransferRequest  # noqa: PLC0415

    names = {
        "machine": demo_machine.NAME,
        "source": site.SOURCE,
        "destination": site.DESTINATION,
    }
    moved = transfer(TransferRequest.model_validate(names))
    _say(console, "4/5  deployment: the replica is cloned, adapted, defined and booted")
    deployed = deploy(DeployRequest.model_validate(names))
    console.print(Markdown(transfer_markdown(moved)))
    console.print(Markdown(deploy_markdown(deployed)))
    _say(console, "5/5  proof from inside")
    address = deployed.proof.addresses[0] if deployed.proof else ""
    for line in evidence(address):
        _say(console, f"     ✓ {line}")
    _say(console, f"done after {human_duration(time.monotonic() - begun)}")
    look_around(console, url, address)


def refuse_a_second_run(lab: Lab) -> None:
    """Raise when the destination has the machine already: the demo tells its story once."""
    there = virsh(namespaces.plan_of(lab.destination), "list", "--all", "--name")
    if demo_machine.NAME in there:
        raise LabError(
            "the demo has been run on this lab already",
            "look around (python -m lab status), or start anew: make demo-down, then make demo",
        )


def start_source(lab: Lab) -> None:
    """Install the demo machine on the source unless it runs there already, and start it."""
    if demo_machine.answers():
        return
    demo_machine.install(lab.source, kvm=lab.kvm)
    demo_machine.start(lab.source)


def wait_until_it_answers(address: str) -> None:
    """Wait until the demo machine answers over SSH with its own key."""
    what = f"the demo machine answers at {address}"
    wait_for(lambda: demo_machine.answers(address), what, BOOT_TIMEOUT, every=2)


def evidence(address: str) -> list[str]:
    """Look into both machines and say what was found; raises when something is not right."""
    wait_until_it_answers(address)
    with shell.connect_to_host(demo_machine.access(address)) as guest:
        sums = guest.run(SUMS, timeout=300)
        agent = guest.run(["systemctl", "is-active", "qemu-guest-agent"]).stdout.strip()
        disks = guest.run(["lsblk", "-dno", "NAME"]).stdout.split()
        running = guest.run(["systemctl", "is-active", "steady-writer"]).stdout.strip()
    if not demo_machine.answers():
        raise LabError("the original does not answer any more")
    return [
        f"the new machine answers at {address}, an address from DHCP, with its old host key",
        f"its guest agent is {agent}, its disks are {', '.join(disks)}, its service is {running}",
        f"{sums.stdout.strip()} files on its data disk have equal checksums",
        f"the original still runs on the source and answers at {demo_machine.ADDRESS}",
    ]


def look_around(console: Console, url: str, address: str) -> None:
    """Say how to look around, and how to end it."""
    console.print(
        f"\nPrefect's UI with runs, progress and reports:  {url}\n"
        f"the hosts and how to reach them:               .venv/bin/python -m lab status\n"
        f"the migrated machine ({address}):        .venv/bin/python -m lab login {address}\n"
        f"the original:                                  .venv/bin/python -m lab login\n"
        f"end it and leave nothing behind:               make demo-down\n",
        highlight=False,
        markup=False,
    )


def _say(console: Console, line: str) -> None:
    console.print(line, style="bold", markup=False, highlight=False)
