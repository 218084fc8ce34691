# SPDX-License-Identifier: Apache-2.0
"""Run the live tests on the lab; what is skipped fails, and so does a run of nothing."""

import subprocess
import sys

import images
from lab import demo_machine, lifecycle, linux_guests, records, site


def run(*, slow: bool, chosen: list[str]) -> int:
    """Build what the tests need, run them, and leave nothing behind; the exit status of pytest."""
    longer = [linux_guests.UEFI_LVM.machine.recipe] if slow else []
    hosts = [plan.system for plan in (records.GENERATIONS if slow else (records.TRIXIE,))]
    images.build_for_lab(["worker", demo_machine.RECIPE, *longer], hosts)
    lifecycle.up()
    try:
        site.connect_prefect()
        marks = "live" if slow else "live and not slow"
        pytest = [sys.executable, "-m", "pytest", "-m", marks, "-v", "-s", "--durations=40"]
        return subprocess.run([*pytest, *(chosen or ["tests/live"])], check=False).returncode
    finally:
        lifecycle.down()
