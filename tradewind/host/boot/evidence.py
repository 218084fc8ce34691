# SPDX-License-Identifier: Apache-2.0
"""What a boot looked like, kept on the machine that runs the flow: console and screenshot.

    <TRADEWIND_EVIDENCE>/2026-11-24-web01-<run>/console.txt, screenshot.png

Left alone for 90 days, then removed when the next boot is kept.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import libvirt

from tradewind.errors import TradewindError
from tradewind.host.boot import screenshot
from tradewind.host.boot.console import Console, excerpt
from tradewind.host.domain import domains
from tradewind.model.proof import KeptEvidence
from tradewind.model.run import Run
from tradewind.plain_text import readable

VARIABLE: Final = "TRADEWIND_EVIDENCE"
RETENTION: Final = timedelta(days=90)
CONSOLE: Final = "console.txt"
SCREENSHOT: Final = "screenshot.png"

_NAME: Final = re.compile(r"(\d{4}-\d\d-\d\d)-.*-[0-9a-f]{12}")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]+")


def root() -> Path:
    """Name the folder of all evidence: as the environment says, else in the account's home."""
    chosen = os.environ.get(VARIABLE)
    return Path(chosen) if chosen else Path.home() / ".local" / "state" / "tradewind" / "evidence"


def folder_of(run: Run, machine: str) -> Path:
    """Name the folder of one deployment's evidence."""
    return root() / f"{run.begun:%Y-%m-%d}-{_UNSAFE.sub('_', machine)[:80]}-{run.id}"


def keep(connection: libvirt.virConnect, name: str, console: Console, folder: Path) -> KeptEvidence:
    """Keep what the machine shows and what its console printed. Never raises: a note says why."""
    notes: list[str] = []
    screen, text, screen_file = None, "", ""
    with _noted(notes, "no screenshot"):
        screen = screenshot.take(connection, domains.require_domain(connection, name))
    with _noted(notes, "not kept"):
        remove_old(root(), datetime.now(UTC).date())
        text = _write(folder, CONSOLE, readable(console.text).encode())
        if screen is not None:
            screen_file = _write(folder, SCREENSHOT, screen)
    return KeptEvidence(
        folder=str(folder) if text else "",
        screenshot=screen_file,
        console=excerpt(console.text),
        note="; ".join(notes),
    )


def load(folder: Path) -> KeptEvidence:
    """Find what was kept of a boot that failed; empty when there is nothing."""
    console, picture = folder / CONSOLE, folder / SCREENSHOT
    if not console.exists():
        return KeptEvidence()
    return KeptEvidence(
        folder=str(folder),
        screenshot=str(picture) if picture.exists() else "",
        console=excerpt(console.read_text(errors="replace")),
    )


def remove_old(folder: Path, today: date) -> None:
    """Remove what is older than the retention, and only what has our names."""
    for kept in folder.iterdir() if folder.is_dir() else ():
        named = _NAME.fullmatch(kept.name)
        if named and date.fromisoformat(named.group(1)) < today - RETENTION:
            for file in (CONSOLE, SCREENSHOT):
                (kept / file).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # somebody added a file: it is theirs
                kept.rmdir()


def _write(folder: Path, name: str, content: bytes) -> str:
    # A console can show what its guest prints at boot, passwords of appliances included.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(content)
    return str(path)


@contextlib.contextmanager
def _noted(notes: list[str], what: str) -> Iterator[None]:
    """Turn a failure into a note: evidence that cannot be kept is no reason to fail."""
    try:
        yield
    except (TradewindError, libvirt.libvirtError, OSError, ValueError) as error:
        notes.append(
            f"{what}: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        )
