# SPDX-License-Identifier: Apache-2.0
"""dnf and its relatives: dnf5, yum, microdnf."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tradewind.morphing import files
from tradewind.morphing.linux.packages import closure
from tradewind.morphing.linux.packages.failure import FailureSigns
from tradewind.ports import GuestTree

# yum is another name for dnf where there is dnf; microdnf is for guests that have neither.
_PROGRAMS: Final = ("dnf", "dnf5", "yum", "microdnf")

# Plugins of subscriptions would ask their server, and wait for it. The repositories that they
# wrote are files, and are used.
_ALWAYS: Final = ("-y", "--noplugins", "--setopt=install_weak_deps=0")
# A repository that is down must not hide what the others have. microdnf refuses what it does not
# know; the others only warn.
_PATIENCE: Final = (
    "--setopt=timeout=20", "--setopt=retries=2", "--setopt=skip_if_unavailable=1",
    "--setopt=keepcache=1",
)  # fmt: skip

_SIGNS: Final = FailureSigns(
    unreachable=(
        "Failed to download metadata", "Could not resolve host", "Couldn't resolve host",
        "Curl error", "All mirrors were tried", "Cannot find a valid baseurl",
        "Could not retrieve mirrorlist", "There are no enabled repos",
    ),
    not_found=(
        "Unable to find a match", "No match for argument", "No package", "nothing provides",
        "Nothing to do",
    ),
    repositories="/etc/yum.repos.d",
    mend="rpm --rebuilddb; dnf check",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dnf:
    """Satisfies `rpm.Front`."""

    name: str

    @property
    def signs(self) -> FailureSigns:
        """What dnf, yum and microdnf print; seen with dnf 4.14."""
        return _SIGNS

    def refresh(self) -> Sequence[str]:
        """Nothing: installing fetches what is out of date."""
        return ()

    def install(self, packages: Sequence[str]) -> Sequence[str]:
        """Install from the enabled repositories."""
        return [self.name, *self._options(), "install", *packages]

    def install_from(self, guest: GuestTree, folder: str, packages: Sequence[str]) -> Sequence[str]:
        """Install the files that the packages need; dnf checks that they suffice."""
        chosen = closure.of(guest, folder, packages)
        if self.name == "microdnf":  # it knows no files
            return ["rpm", "-U", *chosen]
        return [self.name, *self._options(), "--disablerepo=*", "install", *chosen]

    def _options(self) -> Sequence[str]:
        return _ALWAYS if self.name == "microdnf" else (*_ALWAYS, *_PATIENCE)


def front(guest: GuestTree) -> Dnf | None:
    """Choose by the programs that are there."""
    there = files.present(guest, *(f"/usr/bin/{program}" for program in _PROGRAMS))
    return Dnf(there[0].rpartition("/")[2]) if there else None
