# SPDX-License-Identifier: Apache-2.0
"""Packages of the Debian family, with apt."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tradewind.errors import MorphingError, PackageError
from tradewind.model.guest import ChrootAccess
from tradewind.morphing.linux.packages.commands import INSTALL_TIMEOUT, UPDATE_TIMEOUT, patiently
from tradewind.morphing.linux.packages.failure import FailureSigns, explain
from tradewind.morphing.tree import tail
from tradewind.ports import GuestTree
from tradewind.shell_programs import program

# /run is empty and lives as long as the guest is mounted: lists are fetched once for all steps.
_FRESH: Final = "/run/tradewind-package-lists"

_QUIETLY: Final = (
    "env", "DEBIAN_FRONTEND=noninteractive", "DEBIAN_PRIORITY=critical", "NEEDRESTART_MODE=l",
)  # fmt: skip
_APT: Final = (
    *_QUIETLY,
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

_UPDATE: Final = program(__file__, "apt_update.sh")
_INSTALL: Final = program(__file__, "apt_install.sh")
_INDEX: Final = program(__file__, "apt_index.sh")

# States as in dpkg(1); one that was interrupted early has no version.
_STATES: Final = (
    "dpkg-query", "-W", "-f",
    "${db:Status-Status}\\t${Package}\\t${Version}\\t${Architecture}\\n",
)  # fmt: skip

_SIGNS: Final = FailureSigns(
    unreachable=("Could not resolve", "Temporary failure", "Unable to connect", "timed out"),
    not_found=("Unable to locate package", "has no installation candidate"),
    repositories="/etc/apt/sources.list*",
    mend="apt-get -f install",
)


def _alone(folder: str) -> Sequence[str]:
    """Leave the guest's own lists alone, and see no repository but the folder."""
    settings = {
        "Dir::Etc::sourcelist": f"{folder}/sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::Lists": f"{folder}/lists",
        # Files below /run/tradewind-packages are root's alone.
        "APT::Sandbox::User": "root",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


@dataclass(frozen=True, slots=True)
class _DpkgPackage:
    """One line of dpkg's own table."""

    state: str
    name: str
    version: str
    architecture: str

    @property
    def gone(self) -> bool:
        """Whether nothing of it is there but, at most, its configuration."""
        return self.state in {"config-files", "not-installed"}

    @property
    def whole(self) -> bool:
        """Whether it is installed and configured, or gone."""
        return self.gone or self.state == "installed"

    @property
    def file_name(self) -> str:
        """As apt and dpkg name package files: without the epoch."""
        return f"{self.name}_{self.version.rpartition(':')[2]}_{self.architecture}"


@dataclass(frozen=True, slots=True)
class Apt:
    """A guest of the Debian family; satisfies `ports.PackageSystem`."""

    guest: GuestTree
    name: str = "apt"
    suffix: str = ".deb"

    def installed(self, *packages: str) -> bool:
        """Whether all packages are installed and configured."""
        there = {p.name for p in self._packages(*packages) if p.state == "installed"}
        return set(packages) <= there

    def matching(self, *patterns: str) -> tuple[str, ...]:
        """Name the installed packages that match shell patterns, sorted."""
        found = self._packages(*patterns)
        return tuple(sorted({p.name for p in found if p.state == "installed"}))

    def versions(self) -> frozenset[str]:
        """Name every installed package as "name_version_architecture"."""
        return frozenset(p.file_name for p in self._packages() if p.state == "installed")

    def install(self, *packages: str) -> None:
        """Install from the guest's own repositories, without recommended packages."""
        update = ["sh", "-c", _UPDATE, "sh", _FRESH, *_APT]
        self._install(_APT, packages, update, network=True)

    def install_from(self, folder: str, *packages: str) -> None:
        """Install from a folder of .deb files; the index that apt needs is made in there."""
        alone = [*_APT, *_alone(folder)]
        update = ["sh", "-c", _INDEX, "sh", folder, *alone, "update"]
        self._install(alone, packages, update, network=False)

    def leaving_with(self, *packages: str) -> frozenset[str]:
        """Ask apt-get what it would remove beside these packages. Format: "Remv name [version]"."""
        simulate = [*_APT, "--simulate", "remove", *packages]
        said = self.guest.run(simulate, timeout=300, check=False)
        if said.status != 0:
            raise PackageError(
                f"apt-get cannot say what would go with {', '.join(packages)}:\n{tail(said)}",
                "mend the package database on the source (`apt-get -f install`)",
            )
        gone = re.findall(r"^(?:Remv|Purg) (\S+)", said.stdout, re.MULTILINE)
        return frozenset(name.partition(":")[0] for name in gone) - set(packages)

    def remove(self, *packages: str) -> None:
        """Remove packages and nothing else; their configuration files stay."""
        others = self.leaving_with(*packages)
        if others:
            raise PackageError(f"with {', '.join(packages)} would go {', '.join(sorted(others))}")
        patiently(self.guest, [*_APT, "remove", *packages], INSTALL_TIMEOUT)
        left = self.matching(*packages)
        if left:
            raise PackageError(f"{', '.join(left)} cannot be removed", "remove it on the source")

    def _install(
        self, apt: Sequence[str], packages: Sequence[str], update: Sequence[str], *, network: bool
    ) -> None:
        before = self._packages()
        reach = ChrootAccess.NETWORK if network else ChrootAccess.DISKS
        updated = patiently(self.guest, update, UPDATE_TIMEOUT, reach)
        install = [*apt, "install", "--no-install-recommends", *packages]
        argv = ["sh", "-c", _INSTALL, "sh", *install]
        done = patiently(self.guest, argv, INSTALL_TIMEOUT, reach)
        if done.status != 0 or not self.installed(*packages):
            self._undo(before)
            raise explain(packages, (updated, done), _SIGNS, network=network)

    def _undo(self, before: Sequence[_DpkgPackage]) -> None:
        """Take away exactly what is new, and finish what dpkg was interrupted in."""
        self.guest.run(
            [*_QUIETLY, "dpkg", "--configure", "-a", "--force-confold", "--force-confdef"],
            timeout=INSTALL_TIMEOUT,
            check=False,
            reach=ChrootAccess.DISKS,
        )
        there = {p.name for p in before if not p.gone}
        remembered = {p.name for p in before if p.gone}
        new = {p.name for p in self._packages() if not p.gone} - there
        for how, names in (("--remove", new & remembered), ("--purge", new - remembered)):
            if names:
                argv = [*_QUIETLY, "dpkg", how, "--force-remove-reinstreq", *sorted(names)]
                patiently(self.guest, argv, INSTALL_TIMEOUT)
        broken = {p.name for p in before if not p.whole}
        after = [p for p in self._packages() if not p.gone]
        left = [p.name for p in after if p.name in new or (not p.whole and p.name not in broken)]
        if left:
            raise MorphingError(
                f"{', '.join(left)} could not be installed and could not be taken back",
                "mend the package database on the source (`apt-get -f install`), transfer again",
            )

    def _packages(self, *patterns: str) -> tuple[_DpkgPackage, ...]:
        said = self.guest.run([*_STATES, *patterns], check=False)
        lines = [line.split("\t") for line in said.stdout.splitlines()]
        return tuple(_DpkgPackage(*words) for words in lines if len(words) == 4)
