# SPDX-License-Identifier: Apache-2.0
"""zypper, of the SUSE family."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tradewind.morphing import files
from tradewind.morphing.linux.packages.failure import FailureSigns
from tradewind.ports import GuestTree

_PROGRAM: Final = "/usr/bin/zypper"
# It gives the default answer to whatever it would ask: an unknown key is not trusted.
_ZYPPER: Final = ("zypper", "--non-interactive")
_INSTALL: Final = ("--no-refresh", "install", "--no-recommends", "--auto-agree-with-licenses")

_OWN: Final = "/run/tradewind-zypper"
# Format: zypper's .repo files; plaindir is a folder of packages without any index.
_PLAIN_FOLDER: Final = """\
[tradewind]
name=prepared packages
baseurl=dir://{folder}
type=plaindir
enabled=1
gpgcheck=0
"""

_SIGNS: Final = FailureSigns(
    unreachable=(
        "Could not resolve host", "Connection failed", "Could not refresh the repositories",
        "Valid metadata not found", "Timeout exceeded", "Skipping repository",
        "no enabled repositories", "No repositories defined",
    ),
    not_found=("not found in package names", "No provider of", "nothing provides"),
    repositories="/etc/zypp/repos.d",
    mend="rpm --rebuilddb; zypper verify",
    # Done, and: reboot (102), restart zypper (103), some repositories were skipped (106).
    good=frozenset({0, 102, 103, 106}),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Zypper:
    """Satisfies `rpm.Front`."""

    name: str = "zypper"

    @property
    def signs(self) -> FailureSigns:
        """What zypper prints; seen with 1.14."""
        return _SIGNS

    def refresh(self) -> Sequence[str]:
        """Refresh the enabled repositories; services (SUSEConnect) are left as they are."""
        return (*_ZYPPER, "refresh")

    def install(self, packages: Sequence[str]) -> Sequence[str]:
        """Install from the enabled repositories."""
        return (*_ZYPPER, *_INSTALL, *packages)

    def install_from(self, guest: GuestTree, folder: str, packages: Sequence[str]) -> Sequence[str]:
        """Make the folder the one repository, with caches of its own."""
        guest.write_text(f"{_OWN}/repos/tradewind.repo", _PLAIN_FOLDER.format(folder=folder))
        alone = ("--reposd-dir", f"{_OWN}/repos", "--cache-dir", f"{_OWN}/cache")
        zypper = (*_ZYPPER, *alone, "--no-gpg-checks")
        refresh = " ".join((*zypper, "refresh"))
        return ("sh", "-c", f'{refresh} && "$@"', "sh", *zypper, *_INSTALL, *packages)


def front(guest: GuestTree) -> Zypper | None:
    """Choose by the program that is there."""
    return Zypper() if files.present(guest, _PROGRAM) else None
