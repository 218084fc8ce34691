# SPDX-License-Identifier: Apache-2.0
"""Fill a folder of packages for one distribution, on a machine that reaches its repositories.

apt, dnf or zypper downloads the packages and all they depend on, with a state of its own: nothing
depends on what this machine has installed, and nothing of it is changed. The kind of the sources
says which; dnf reads zypper's repositories as well.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tradewind.errors import NotFoundError, OptionError, PackageError
from tradewind.morphing.linux.packages.folder import WORD

_TIMEOUT: Final = 3600
_TAIL: Final = 1500

_ALWAYS: Final = ("cloud-init", "qemu-guest-agent")
_APT_SOURCES: Final = frozenset({".list", ".sources"})
_RPM_SOURCES: Final = frozenset({".repo"})


@dataclass(frozen=True, slots=True)
class DownloadRequest:
    """What is to be downloaded.

    `distribution` is id-version[-architecture], as the folder will be called; `sources` are files
    as its own package system reads them. Left out, `packages` are those that our own steps install.
    """

    distribution: str
    sources: tuple[Path, ...]
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Downloader:
    """A program, what it leaves behind, and what is asked of it when nobody says."""

    program: str
    suffix: str
    download: Callable[[DownloadRequest, Path, Sequence[str]], None]
    packages: tuple[str, ...] = _ALWAYS


def prepare(order: DownloadRequest, into: Path) -> tuple[Path, ...]:
    """Download packages into the distribution's folder below `into`; name the files.

    What was in the folder is replaced, and only when everything has come. OptionError,
    NotFoundError: nothing was begun. PackageError has what the program said.
    """
    _check(order)
    means = _means(order)
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tradewind-", dir=into.resolve()) as name:
        work = Path(name)
        means.download(order, work, order.packages or means.packages)
        shelf = work / "shelf"
        shelf.mkdir(mode=0o755)
        for path in list(work.rglob(f"*{means.suffix}")):
            path.rename(shelf / path.name)
        if not any(shelf.iterdir()):
            raise PackageError(f"{means.program} downloaded nothing", "look at the sources")
        return _replace(shelf, into / order.distribution)


def _check(order: DownloadRequest) -> None:
    if not WORD.fullmatch(order.distribution):
        raise OptionError(
            f"“{order.distribution}” names no distribution", "write it as debian-12 or rocky-9"
        )
    missing = [str(path) for path in order.sources if not path.is_file()]
    if missing or not order.sources:
        what = f"no file {', '.join(missing)}" if missing else "no source"
        raise NotFoundError(
            f"{order.distribution}: {what}",
            "name files with its repositories (--sources): a guest's own .sources, .list or .repo",
        )


def _means(order: DownloadRequest) -> _Downloader:
    kinds = {path.suffix for path in order.sources}
    if kinds <= _APT_SOURCES:
        candidates = [_APT]
    elif kinds <= _RPM_SOURCES:
        candidates = [_DNF, _ZYPPER]
    else:
        raise OptionError(
            f"sources of several kinds: {', '.join(sorted(kinds))}",
            "name .list and .sources for apt, or .repo for dnf and zypper",
        )
    for means in candidates:
        if shutil.which(means.program):
            return means
    names = " or ".join(means.program for means in candidates)
    raise NotFoundError(
        f"{names} is not on this machine, and nothing else can tell what packages of "
        f"{order.distribution} need",
        f"run this on a machine that has it, or put the files into {order.distribution} yourself",
    )


def _replace(shelf: Path, place: Path) -> tuple[Path, ...]:
    shelf.chmod(0o755)
    if place.exists():
        shutil.rmtree(place)
    shelf.rename(place)
    return tuple(sorted(place.iterdir()))


def _apt(order: DownloadRequest, work: Path, packages: Sequence[str]) -> None:
    """Give apt an empty list of installed packages: all that is needed comes, whatever is here."""
    for folder in ("lists/partial", "archives/partial", "parts"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    for path in order.sources:
        shutil.copy(path, work / "parts")
    settings = {
        "Dir::State": work,
        "Dir::State::status": work / "status",
        "Dir::Cache": work,
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": work / "parts",
        "Dir::Etc::preferencesparts": "/dev/null",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    apt = ["apt-get", "-q", "-y", *(w for k, v in settings.items() for w in ("-o", f"{k}={v}"))]
    _run([*apt, "update", "--error-on=any"])
    _run([*apt, "install", "--download-only", *packages])


def _dnf(order: DownloadRequest, work: Path, packages: Sequence[str]) -> None:
    """Give it an empty root; signatures are checked as the .repo files say."""
    (work / "repos").mkdir()
    for path in order.sources:
        shutil.copy(path, work / "repos")
    version = order.distribution.split("-")[1] if "-" in order.distribution else "/"
    _run(
        [
            "dnf", "-y", "--noplugins",
            f"--installroot={work / 'root'}", f"--releasever={version}",
            f"--setopt=reposdir={work / 'repos'}", f"--setopt=cachedir={work / 'cache'}",
            "--setopt=install_weak_deps=0",
            "install", "--downloadonly", f"--downloaddir={work / 'files'}",
            *packages,
        ]
    )  # fmt: skip


def _zypper(order: DownloadRequest, work: Path, packages: Sequence[str]) -> None:
    """Give it an empty root; signatures are checked as the .repo files say."""
    (work / "repos").mkdir()
    for path in order.sources:
        shutil.copy(path, work / "repos")
    zypper = [
        "zypper", "--non-interactive", "--root", str(work / "root"),
        "--reposd-dir", str(work / "repos"), "--pkg-cache-dir", str(work / "files"),
    ]  # fmt: skip
    _run([*zypper, "refresh"])
    _run([*zypper, "install", "--download-only", "--no-recommends", *packages])


def _run(argv: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise PackageError(f"{argv[0]} did not end within {_TIMEOUT} s") from None
    if done.returncode != 0:
        raise PackageError(
            f"{argv[0]} failed:\n{(done.stderr or done.stdout)[-_TAIL:].rstrip()}",
            "look at the sources, and whether they can be reached from here",
        )


_APT: Final = _Downloader("apt-get", ".deb", _apt, (*_ALWAYS, "isc-dhcp-client"))
_DNF: Final = _Downloader("dnf", ".rpm", _dnf)
_ZYPPER: Final = _Downloader("zypper", ".rpm", _zypper)
