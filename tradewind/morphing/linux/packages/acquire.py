# SPDX-License-Identifier: Apache-2.0
"""Where a package comes from: the guest's own repositories, else what the operator prepared."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path

from tradewind.errors import PackageError
from tradewind.model.guest import Family, GuestOS, MorphOptions, Outcome
from tradewind.morphing.linux.packages import dnf, folder, zypper
from tradewind.morphing.linux.packages.apt import Apt
from tradewind.morphing.linux.packages.rpm import PackageFrontend, Rpm
from tradewind.ports import GuestTree, PackageSystem


class Origin(StrEnum):
    """Where a package came from, in words for the report."""

    THERE = "was installed"
    REPOSITORIES = "installed"
    FOLDER = "installed from the prepared packages"


def system_of(guest: GuestTree, os: GuestOS) -> PackageSystem:
    """Return what installs software in this guest; PackageError when we do not know it."""
    if os.family is Family.DEBIAN:
        return Apt(guest)
    front: PackageFrontend | None = None
    if os.family is Family.RED_HAT:
        front = dnf.front(guest)
    elif os.family is Family.SUSE:
        front = zypper.front(guest)
    if front is not None:
        return Rpm(guest, front)
    raise PackageError(
        f"how {os.pretty_name} installs software is not known",
        "install what is needed on the source before the transfer",
    )


def find_system(guest: GuestTree, os: GuestOS) -> PackageSystem | None:
    """Return what installs software in this guest; None when we do not know it."""
    try:
        return system_of(guest, os)
    except PackageError:
        return None


def install(guest: GuestTree, os: GuestOS, options: MorphOptions, *packages: str) -> Origin:
    """See that packages are installed, and say where they came from.

    PackageError says why they cannot be had and what to do; nothing is half-installed then.
    """
    system = system_of(guest, os)
    if system.installed(*packages):
        return Origin.THERE

    def from_folder() -> None:
        place = folder.bring(guest, os, system, Path(options.packages_folder))
        system.install_from(place, *packages)

    attempts = [(Origin.REPOSITORIES, lambda: system.install(*packages))]
    if options.packages_folder:
        attempts.append((Origin.FOLDER, from_folder))
    if folder.is_there(guest):
        attempts.reverse()  # the repositories failed a moment ago, and that may take minutes
    return _first(attempts)


def _first(attempts: Sequence[tuple[Origin, Callable[[], None]]]) -> Origin:
    """Return where the packages came from; when from nowhere, all reasons are told."""
    reasons: list[PackageError] = []
    for origin, attempt in attempts:
        try:
            attempt()
        except PackageError as error:
            reasons.append(error)
        else:
            return origin
    raise PackageError("\nand ".join(e.message for e in reasons), reasons[-1].hint)


def not_done(error: PackageError) -> Outcome:
    """Report a step whose package cannot be had, and without which the machine boots."""
    return Outcome(changed=False, summary=error.message, remedy=error.hint, done=False)
