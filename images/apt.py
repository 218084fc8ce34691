# SPDX-License-Identifier: Apache-2.0
"""Which Debian archive this machine uses: read from its own apt sources, never named here.

Two formats, both described in sources.list(5): one line per source, and deb822 paragraphs.
"""

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tradewind.errors import NotFoundError

KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
ETC: Final = Path("/etc/apt")
RELEASES: Final = ("bullseye", "bookworm", "trixie")
"""Debian's releases whose archives are laid out alike; before bullseye security was apart."""
_ONE_LINE: Final = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<rest>\S+\s+\S+.*)$")
_SETTINGS: Final = re.compile(r"^Acquire::(Check-|Retries|(http|https)::(Proxy|Verify|CaInfo))")


@dataclass(frozen=True, slots=True)
class AptArchive:
    """One archive of binary packages, for one suite."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""


def debian_sources(release: str, etc: Path = ETC) -> tuple[AptArchive, ...]:
    """Find this machine's sources of a Debian release, updates and security included.

    Where it has none, those of its own release serve: Debian's archives hold all releases.

    TRADEWIND_APT_SOURCES names a file to read instead, for a machine of another release.
    Raises NotFoundError when there is none.
    """
    files = sources_files(etc, os.environ)
    found = [source for path in files for source in parse(path.read_text(), path.suffix)]
    own = [source for source in found if is_debian(source, release)]
    for wanted in (own, list(_as_another_release(found, release))):
        if any(source.suite == release for source in wanted):
            return tuple(wanted)
    raise NotFoundError(
        f"Debian {release}: none of apt's sources on this machine has it",
        "name a file with sources of it in TRADEWIND_APT_SOURCES",
    )


def _as_another_release(found: Iterable[AptArchive], release: str) -> Iterator[AptArchive]:
    """Ask the archives of this machine's own release for another one: Debian's have all of them.

    Backports and what is proposed are left out, as `is_debian` leaves them out.
    """
    for source in found:
        own, _, kind = source.suite.partition("-")
        if own in RELEASES and is_debian(source, own):
            suite = f"{release}-{kind}" if kind else release
            yield replace(source, suite=suite, signed_by="")


def sources_files(etc: Path, environment: Mapping[str, str]) -> tuple[Path, ...]:
    """List the files apt reads, in apt's order; files with other endings are switched off."""
    if chosen := environment.get("TRADEWIND_APT_SOURCES"):
        return (Path(chosen),)
    parts = sorted((etc / "sources.list.d").glob("*"))
    main = [etc / "sources.list"]
    return tuple(
        path for path in main + parts if path.suffix in {".list", ".sources"} and path.is_file()
    )


def parse(text: str, suffix: str) -> Iterator[AptArchive]:
    """Read one file: `.sources` is deb822, anything else has one source per line."""
    return _parse_deb822(text) if suffix == ".sources" else _parse_lines(text)


def is_debian(source: AptArchive, release: str) -> bool:
    """Tell Debian's own archive from others that use the names of its releases.

    The suite must be exact ("bookworm-pgdg" is somebody else's), the component main, and the key
    Debian's, if one is named. Whatever slips through is refused later by its signature, since
    only Debian's keyring is trusted.
    """
    suites = {release, f"{release}-updates", f"{release}-security"}
    key = Path(source.signed_by).name
    ours = not key or key.startswith("debian-archive")
    return source.suite in suites and "main" in source.components and ours


def render(sources: Iterable[AptArchive]) -> str:
    """Write sources for a file system in the making: component main, Debian's keyring only."""
    return "".join(f"deb [signed-by={KEYRING}] {s.uri} {s.suite} main\n" for s in sources)


def settings() -> str:
    """Take over from this machine's apt how to reach an archive: proxies and clock checks."""
    dump = subprocess.run(["apt-config", "dump", "--no-empty"], capture_output=True, check=True)
    lines = dump.stdout.decode().splitlines()
    return "".join(f"{line}\n" for line in lines if _SETTINGS.match(line))


def _parse_lines(text: str) -> Iterator[AptArchive]:
    for line in text.splitlines():
        match = _ONE_LINE.match(line.split("#")[0].strip())
        if match:
            uri, suite, *components = match["rest"].split()
            options = dict(
                option.split("=", 1) for option in (match["options"] or "").split() if "=" in option
            )
            yield AptArchive(uri, suite, tuple(components), options.get("signed-by", ""))


def _parse_deb822(text: str) -> Iterator[AptArchive]:
    for paragraph in re.split(r"\n\s*\n", text):
        fields = _fields(paragraph)
        if "deb" not in fields.get("types", "").split() or fields.get("enabled") == "no":
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                components = tuple(fields.get("components", "").split())
                yield AptArchive(uri, suite, components, fields.get("signed-by", ""))


def _fields(paragraph: str) -> dict[str, str]:
    """Field names are case-insensitive; a line that starts with a space goes on the last field."""
    lines = [line for line in paragraph.splitlines() if not line.startswith("#")]
    unfolded = re.sub(r"\n[ \t]+", " ", "\n".join(lines))
    pairs = (line.split(":", 1) for line in unfolded.splitlines() if ":" in line)
    return {name.strip().lower(): value.strip() for name, value in pairs}
