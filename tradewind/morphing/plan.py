# SPDX-License-Identifier: Apache-2.0
"""The steps, in order."""

import time
from typing import Final

from tradewind.errors import MorphingError
from tradewind.model.guest import Family, GuestOS, MorphOptions, StepReport
from tradewind.morphing.steps.linux import (
    cloud_init,
    dhcp,
    efi_fallback,
    fstab,
    initramfs,
    interface_names,
    persistent_net,
    qemu_guest_agent,
)
from tradewind.ports import GuestTree, MorphStep

STEPS: Final[tuple[MorphStep, ...]] = (
    fstab,
    cloud_init,
    qemu_guest_agent,
    interface_names,
    dhcp,
    persistent_net,  # after the names were taken from its rules
    efi_fallback,
    initramfs,  # last: it carries interface names and the resume device into the image
)


def steps_for(os: GuestOS, options: MorphOptions) -> tuple[MorphStep, ...]:
    """Choose the steps that this guest needs; MorphingError when we cannot adapt its family."""
    if os.family is not Family.DEBIAN:
        raise MorphingError(
            f"{os.pretty_name} is of a family that cannot be adapted yet",
            "only the Debian family can; deploy with skip_os_morphing",
        )
    return tuple(step for step in STEPS if step.applies_to(os, options))


def name(step: MorphStep) -> str:
    """Name a step as the operator sees it: "cloud-init"."""
    return step.__name__.rpartition(".")[2].replace("_", "-")


def perform(step: MorphStep, guest: GuestTree, os: GuestOS, options: MorphOptions) -> StepReport:
    """Apply one step, and say what came of it."""
    started = time.monotonic()
    outcome = step.apply(guest, os, options)
    return StepReport(
        step=name(step),
        purpose=(step.__doc__ or "").strip(),
        outcome=outcome,
        seconds=time.monotonic() - started,
    )
