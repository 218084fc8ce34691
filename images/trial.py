# SPDX-License-Identifier: Apache-2.0
"""What `python -m images boot` does and prints."""

from images import boot, recipe
from images.boot import BootedImage
from images.builder import build
from images.commands import say
from images.recipe import TrialHardware
from tradewind.errors import LateError


def try_image(name: str, cpu: str, bus: str, timeout: float) -> None:
    """Start an image, log in, print how long it took and where the time went, power it off.

    Raises LateError, after the last lines of its console, when nobody can log in.
    """
    wanted = recipe.load(name).hardware
    chosen = {"cpu": cpu or wanted.cpu, "bus": bus or wanted.bus}
    hardware = TrialHardware.model_validate(wanted.model_dump() | chosen)
    image = build(name)
    say(
        f"image {name}: starting {image.digest} under TCG, CPU {hardware.cpu}, {hardware.bus} disks"
    )
    with boot.started(image, hardware) as guest:
        try:
            report(guest, name, timeout)
        except LateError:
            say("\n".join(guest.console.splitlines()[-20:]))
            raise
        guest.power_off()


def report(guest: BootedImage, name: str, timeout: float) -> None:
    """Say when SSH let us in, and what took longest until then."""
    say(f"image {name}: logged in over SSH {guest.wait_for_login(timeout):.1f} s after the start")
    say(
        guest.ssh(
            "systemctl is-system-running --wait; systemd-analyze; systemd-analyze blame | head"
        )
    )
    if guest.shows_console_login():
        say(f"image {name}: its serial console asks for a login")
