# SPDX-License-Identifier: Apache-2.0
"""Packages of the Red Hat and SUSE families: rpm, and the program in front of it."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from tradewind.errors import MorphingError, PackageError
from tradewind.model.guest import ChrootAccess
from tradewind.morphing.linux.packages.commands import INSTALL_TIMEOUT, UPDATE_TIMEOUT, patiently
from tradewind.morphing.linux.packages.failure import FailureSigns, explain
from tradewind.ports import Completed, GuestTree
from tradewind.shell_programs import program

# Berkeley DB keeps its locks in files: in the copy of a machine that ran they belong to nobody.
_UNLOCK: Final = "rm -f /var/lib/rpm/__db.00? /usr/lib/sysimage/rpm/__db.00?"
_PREPARE: Final = f'{_UNLOCK}; : >"$1"'
# "name<tab>name-version-release.architecture", as package files are named.
_FORMAT: Final = "%{NAME}\\t%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}\\n"

_SWEEP: Final = program(__file__, "rpm_sweep.sh")
_CACHES: Final = (
    "/var/cache/dnf", "/var/cache/libdnf5", "/var/cache/yum", "/var/cache/PackageKit",
    "/var/cache/zypp/packages", "/run/tradewind-packages",
)  # fmt: skip
_MARK: Final = "/run/tradewind-rpm-attempt"
_NEEDED_BY: Final = re.compile(r"is needed by \(installed\) (\S+)")


class PackageFrontend(Protocol):
    """The program that finds packages and what they need: dnf, zypper."""

    @property
    def name(self) -> str:
        """The program."""
        ...

    @property
    def signs(self) -> FailureSigns:
        """What it says for each reason to fail."""
        ...

    def refresh(self) -> Sequence[str]:
        """Fetch what the enabled repositories have; no command when installing does that."""
        ...

    def install(self, packages: Sequence[str]) -> Sequence[str]:
        """Install from the enabled repositories."""
        ...

    def install_from(self, guest: GuestTree, folder: str, packages: Sequence[str]) -> Sequence[str]:
        """Install from package files alone; what has to be written for it is below /run."""
        ...


@dataclass(frozen=True, slots=True)
class Rpm:
    """A guest whose packages are rpm's; satisfies `ports.PackageSystem`."""

    guest: GuestTree
    front: PackageFrontend
    suffix: str = ".rpm"

    @property
    def name(self) -> str:
        """The program in front of rpm."""
        return self.front.name

    def installed(self, *packages: str) -> bool:
        """Whether all packages are in rpm's database."""
        return self.guest.run(["rpm", "-q", *packages], check=False).status == 0

    def matching(self, *patterns: str) -> tuple[str, ...]:
        """Name the installed packages that match shell patterns, sorted."""
        return tuple(sorted({name for name, _ in self._table(*patterns)}))

    def versions(self) -> frozenset[str]:
        """Name every installed package as "name-version-release.architecture"."""
        return frozenset(version for _, version in self._table())

    def install(self, *packages: str) -> None:
        """Install from the guest's own repositories, without what is only recommended."""
        before = self._begin()
        refresh = self.front.refresh()
        said = (
            [patiently(self.guest, refresh, UPDATE_TIMEOUT, ChrootAccess.NETWORK)]
            if refresh
            else []
        )
        argv = self.front.install(packages)
        done = patiently(self.guest, argv, INSTALL_TIMEOUT, ChrootAccess.NETWORK)
        self._judge(packages, before, (*said, done), network=True)

    def install_from(self, folder: str, *packages: str) -> None:
        """Install from a folder of .rpm files."""
        before = self._begin()
        argv = self.front.install_from(self.guest, folder, packages)
        done = patiently(self.guest, argv, INSTALL_TIMEOUT)
        self._judge(packages, before, (done,), network=False)

    def leaving_with(self, *packages: str) -> frozenset[str]:
        """Ask rpm what needs these packages. Format: "… is needed by (installed) name-version"."""
        tried = self.guest.run(["rpm", "-e", "--test", *packages], check=False)
        return frozenset(_NEEDED_BY.findall(tried.stderr))

    def remove(self, *packages: str) -> None:
        """Remove packages; rpm takes nothing else along, it refuses."""
        done = patiently(self.guest, ["rpm", "-e", *packages], INSTALL_TIMEOUT)
        left = self.matching(*packages)
        if left:
            raise PackageError(
                f"{', '.join(left)} cannot be removed: {done.stderr.strip()[-400:]}",
                "remove it on the source",
            )

    def _begin(self) -> tuple[tuple[str, str], ...]:
        self.guest.run(["sh", "-c", _PREPARE, "sh", _MARK])
        return self._table()

    def _table(self, *patterns: str) -> tuple[tuple[str, str], ...]:
        """Pairs of name and full name; keys that rpm keeps as packages are none."""
        said = self.guest.run(["rpm", "-qa", "--qf", _FORMAT, *patterns], timeout=300, check=False)
        lines = [tuple(line.split("\t")) for line in said.stdout.splitlines()]
        return tuple((w[0], w[1]) for w in lines if len(w) == 2 and w[0] != "gpg-pubkey")

    def _judge(
        self,
        packages: Sequence[str],
        before: Sequence[tuple[str, str]],
        said: Sequence[Completed],
        *,
        network: bool,
    ) -> None:
        if said[-1].status not in self.front.signs.good or not self.installed(*packages):
            self._undo(before)
            raise explain(packages, said, self.front.signs, network=network)
        self._finish()

    def _finish(self) -> None:
        """Give back the room that package files took."""
        forget = 'find "$@" -name "*.rpm" -cnewer "$0" -exec rm -f {} + 2>/dev/null; :'
        self.guest.run(["sh", "-c", forget, _MARK, *_CACHES[:-1]])

    def _undo(self, before: Sequence[tuple[str, str]]) -> None:
        """Take away what is new; of an update that was cut off, the old half."""
        self.guest.run(["sh", "-c", _UNLOCK])
        old = Counter(name for name, _ in before)
        now = self._table()
        count = Counter(name for name, _ in now)
        twice = [v for name, v in before if old[name] == 1 and count[name] > 1 and (name, v) in now]
        for flags, names in (
            (("--nodeps", "--noscripts"), twice),
            ((), sorted(set(count) - set(old))),
            (("--noscripts",), sorted(set(count) - set(old))),
        ):
            there = [name for name in names if name in twice or self.matching(name)]
            if there:
                patiently(self.guest, ["rpm", "-e", *flags, *there], INSTALL_TIMEOUT)
        argv = ["sh", "-c", _SWEEP, "sh", _MARK, *_CACHES]
        patiently(self.guest, argv, UPDATE_TIMEOUT, ChrootAccess.FILES)
        left = sorted({name for name, _ in self._table()} - set(old))
        if left:
            raise MorphingError(
                f"{', '.join(left)} could not be installed and could not be taken back",
                f"mend the package database on the source (`{self.front.signs.mend}`), "
                "transfer again",
            )
