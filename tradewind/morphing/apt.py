# SPDX-License-Identifier: Apache-2.0
"""Packages of the Debian family, from the guest's own repositories."""

from collections.abc import Sequence
from typing import Final

from tradewind.errors import LateError, MorphingError
from tradewind.morphing.tree import tail
from tradewind.ports import Completed, GuestTree

# Emulated workers need minutes for what takes seconds elsewhere.
UPDATE_TIMEOUT: Final = 600
INSTALL_TIMEOUT: Final = 1800

# /run is empty and lives as long as the guest is mounted: lists are fetched once for all steps.
_FRESH: Final = "/run/tradewind-package-lists"

_APT: Final = (
    "env", "DEBIAN_FRONTEND=noninteractive", "DEBIAN_PRIORITY=critical", "NEEDRESTART_MODE=l",
    "apt-get", "-q", "-y",
    "-o", "Acquire::http::Timeout=20",
    "-o", "Acquire::https::Timeout=20",
    "-o", "Acquire::Retries=2",
    "-o", "Acquire::Languages=none",
    "-o", "Acquire::PDiffs=false",
    "-o", "APT::Keep-Downloaded-Packages=false",
    "-o", "DPkg::Lock::Timeout=60",
    "-o", "DPkg::Use-Pty=0",
    # The volumes are synced as a whole when the guest is unmounted.
    "-o", "DPkg::Options::=--force-unsafe-io",
    "-o", "DPkg::Options::=--force-confdef",
    "-o", "DPkg::Options::=--force-confold",
)  # fmt: skip

_UPDATE: Final = f'[ -e {_FRESH} ] || {{ "$@" update && : >{_FRESH}; }}'
# man-db would index every manual page once more; it does so by itself every day (cron, timer).
_INSTALL: Final = """
switch=/var/lib/man-db/auto-update
[ -e $switch ] && mv $switch $switch.tradewind-saved
"$@"
status=$?
[ -e $switch.tradewind-saved ] && mv $switch.tradewind-saved $switch
exit $status
"""

_UNREACHABLE: Final = ("Could not resolve", "Temporary failure", "Unable to connect", "timed out")
_NOT_FOUND: Final = ("Unable to locate package", "has no installation candidate")


def installed(guest: GuestTree, *packages: str) -> bool:
    """Whether all packages are installed and configured."""
    asked = guest.run(["dpkg-query", "-W", "-f", "${db:Status-Status}\\n", *packages], check=False)
    return asked.status == 0 and set(asked.stdout.split()) == {"installed"}


def install(guest: GuestTree, *packages: str) -> bool:
    """Install what is missing, without recommended packages; False when nothing was.

    MorphingError says why a package cannot be had; nothing is left half-installed then.
    """
    if installed(guest, *packages):
        return False
    update = guest.run(["sh", "-c", _UPDATE, "sh", *_APT], timeout=UPDATE_TIMEOUT, check=False)
    try:
        done = guest.run(
            ["sh", "-c", _INSTALL, "sh", *_APT, "install", "--no-install-recommends", *packages],
            timeout=INSTALL_TIMEOUT,
            check=False,
        )
    except LateError:
        _undo(guest, packages)
        raise
    if done.status != 0 or not installed(guest, *packages):
        _undo(guest, packages)
        raise _failure(packages, update, done)
    return True


def _undo(guest: GuestTree, packages: Sequence[str]) -> None:
    """Leave no package half-installed; whatever cannot be mended is dpkg's to tell."""
    for argv in (
        ["dpkg", "--configure", "-a", "--force-confold", "--force-confdef"],
        [*_APT, "purge", "--auto-remove", *packages],
    ):
        guest.run(argv, timeout=INSTALL_TIMEOUT, check=False)


def _failure(packages: Sequence[str], update: Completed, done: Completed) -> MorphingError:
    names = ", ".join(packages)
    said = "\n".join((update.stderr, done.stderr, done.stdout))
    if any(sign in said for sign in _UNREACHABLE):
        reason = "the guest's package repositories cannot be reached from the worker"
        hint = (
            "give the worker's network a way to the repositories in /etc/apt/sources.list*, or "
            "install the packages on the source before the transfer"
        )
    elif any(sign in said for sign in _NOT_FOUND):
        reason = "the guest's package repositories do not have it"
        hint = "install it on the source before the transfer, or add a repository that has it"
    else:
        reason = "apt-get failed"
        hint = "mend the package database on the source (`apt-get -f install`), transfer again"
    return MorphingError(f"{names} cannot be installed: {reason}\n{tail(done)}", hint)
