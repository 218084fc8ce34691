# SPDX-License-Identifier: Apache-2.0
"""Look for secrets in what was written down, in each of the forms in which they travel."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Final

# A piece of a secret: short enough to be found where a text was cut off, too long for chance.
PIECE: Final = 24
# Every so many characters of a line one piece is looked for; a PEM line has 64 or 70.
STRIDE: Final = 60
# What is shorter is an option or a default of Prefect's, and no secret.
SHORTEST: Final = 12


def traces(secret: str) -> set[bytes]:
    """Give what a secret's text leaves: as it is, in base64 (also twice), and as hex digits."""
    found: set[bytes] = set()
    for piece in _pieces(secret):
        once = _in_base64(piece)
        found |= {piece, piece.hex().encode(), *once}
        found |= {twice for each in once for twice in _in_base64(each)}
    return found


def _pieces(secret: str) -> list[bytes]:
    lines = [line for line in secret.splitlines() if not line.startswith("-----")]
    starts = [(line, start) for line in lines for start in range(0, len(line), STRIDE)]
    pieces = [line[start : start + PIECE].encode() for line, start in starts]
    return [piece for piece in pieces if len(piece) >= SHORTEST]


def _in_base64(text: bytes) -> set[bytes]:
    """Encode a text as it looks in the middle of a longer one, which may begin anywhere."""
    return {_without_ends(base64.b64encode(bytes(before) + text), before) for before in range(3)}


def _without_ends(encoded: bytes, before: int) -> bytes:
    """Leave out the digits that depend on what comes before and after: RFC 4648, section 4."""
    whole = encoded.rstrip(b"=")
    return whole[(0, 2, 3)[before] : -1 if len(whole) < len(encoded) else None]


def leaks(places: Mapping[str, bytes], secrets: Iterable[str]) -> list[str]:
    """Say where any of the secrets is, with what stands around it."""
    wanted = sorted(set().union(*map(traces, secrets)))
    return [
        f"{place}: …{content[max(0, at - 80) : at + 40]!r}…"
        for place, content in places.items()
        for trace in wanted
        if (at := content.find(trace)) >= 0
    ]


def places_with(places: Mapping[str, bytes], word: str) -> set[str]:
    """Name the places in which a word is; the proof that a place was looked at."""
    return {place for place, content in places.items() if word.encode() in content}


def files_below(folder: Path, name: str) -> dict[str, bytes]:
    """Read all files below a folder."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {f"{name}/{file.relative_to(folder)}": file.read_bytes() for file in files}


def tables_of(dump: bytes, name: str) -> dict[str, bytes]:
    """Split what pg_dump wrote into the rows of each table, which it writes as COPY."""
    blocks = dump.split(b"\nCOPY public.")[1:]
    parts = [block.partition(b"\n\\.\n")[0].partition(b" ") for block in blocks]
    return {f"{name}.{table.decode().strip(chr(34))}": rows for table, _, rows in parts}


@contextmanager
def command_lines() -> Iterator[set[bytes]]:
    """Collect the command lines of all processes of this machine, which all its users can see."""
    seen: set[bytes] = set()
    stop = Event()

    def look() -> None:
        while not stop.wait(0.1):
            seen.update(_command_lines_now())

    watcher = Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        stop.set()
        watcher.join()


def _command_lines_now() -> Iterator[bytes]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                yield (entry / "cmdline").read_bytes()
            except OSError:  # it has ended
                continue
