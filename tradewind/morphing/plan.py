# SPDX-License-Identifier: Apache-2.0
"""The steps, in order."""

import time
from typing import Final

from tradewind.errors import MorphingError
from tradewind.model.guest import Family, GuestOS, MorphOptions, StepReport
from tradewind.morphing.linux.steps import (
    boot_code,
    cloud_init,
    cloud_network,
    default_kernel,
    device_names,
    dhcp,
    early_volumes,
    efi_fallback,
    hyperv_daemons,
    initramfs,
    interface_names,
    old_cloud_agents,
    old_disks,
    old_hardware,
    parallels_tools,
    persistent_net,
    qemu_guest_agent,
    selinux_labels,
    serial_console,
    virtualbox_additions,
    vmware_tools,
    xen_tools,
)
from tradewind.ports import GuestTree, MorphStep

STEPS: Final[tuple[MorphStep, ...]] = (
    default_kernel,  # first: it refuses a guest that none can start
    device_names,
    old_disks,
    early_volumes,
    old_hardware,
    vmware_tools,
    virtualbox_additions,
    xen_tools,
    parallels_tools,
    hyperv_daemons,
    old_cloud_agents,
    cloud_init,  # after repositories that are nobody's any more are gone
    cloud_network,
    qemu_guest_agent,
    interface_names,
    dhcp,
    persistent_net,  # after the names were taken from its rules
    serial_console,
    boot_code,
    efi_fallback,
    initramfs,  # after all that goes into the image, once for all of it
    selinux_labels,  # last: it labels what the others wrote
)


def steps_for(os: GuestOS, options: MorphOptions) -> tuple[MorphStep, ...]:
    """Choose the steps that this guest needs.

    MorphingError: its family is unknown, and the operator did not allow to try.
    """
    if os.family is Family.UNKNOWN and not options.allow_unknown_os:
        raise MorphingError(
            f"{os.pretty_name} is of no family that we know (Debian, Red Hat, SUSE)",
            "deploy with allow_unknown_os to try what can be proven on any Linux, or with "
            "skip_os_morphing",
        )
    return tuple(step for step in STEPS if step.applies_to(os, options))


def warnings(os: GuestOS) -> tuple[str, ...]:
    """Return what an operator has to know of a guest that was adapted."""
    if os.family is not Family.UNKNOWN:
        return ()
    return (
        f"{os.pretty_name} is of a family that is not known: only what could be proven without "
        "its package system was adapted. cloud-init and the guest agent were not installed",
    )


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
