# SPDX-License-Identifier: Apache-2.0
"""ISO 9660 images: small ones made in memory, others' files read (home of pycdlib)."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

import pycdlib
from pycdlib.pycdlibexception import PyCdlibException

# More files than any medium of drivers has.
MOST_FILES: Final = 100_000


def iso_image(label: str, files: Mapping[str, str]) -> bytes:
    """Make an image of text files, by their paths; names are kept by Joliet and Rock Ridge.

    ISO 9660 itself allows 8 characters in capitals: files and folders are numbered there.
    """
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=label)
    numbered = {PurePosixPath("."): ""}
    for number, (name, text) in enumerate(files.items()):
        path = PurePosixPath(name)
        for folder in reversed(path.parents):
            if folder not in numbered:
                numbered[folder] = f"{numbered[folder.parent]}/DIR{len(numbered)}"
                iso.add_directory(
                    numbered[folder], rr_name=folder.name, joliet_path=f"/{folder.as_posix()}"
                )
        content = text.encode()
        iso.add_fp(
            io.BytesIO(content),
            len(content),
            f"{numbered[path.parent]}/FILE{number}.;1",
            rr_name=path.name,
            joliet_path=f"/{path.as_posix()}",
        )
    out = io.BytesIO()
    iso.write_fp(out)
    iso.close()
    return out.getvalue()


class UnreadableIsoError(Exception):
    """Why the files of an image cannot be read."""


class IsoFiles:
    """The files of an image, by their paths from its top; `read` bounds what is read of one."""

    def __init__(self, iso: pycdlib.PyCdlib) -> None:
        self._iso = iso
        self._kind = _names(iso)

    def paths(self) -> tuple[str, ...]:
        """List all files, folder by folder."""
        found: list[str] = []
        for folder, _, files in self._iso.walk(**{self._kind: "/"}):
            found += (f"{folder.rstrip('/')}/{name}".lstrip("/") for name in files)
            if len(found) > MOST_FILES:
                raise UnreadableIsoError(f"it has more than {MOST_FILES:,} files")
        return tuple(found)

    def read(self, path: str, most: int) -> bytes:
        """Read the beginning of a file, `most` bytes of it at most."""
        with self._iso.open_file_from_iso(**{self._kind: f"/{path}"}) as file:
            return bytes(file.read(most))


def _names(iso: pycdlib.PyCdlib) -> str:
    """Say which names of files an image has, the best first: those of ISO 9660 are in capitals."""
    if iso.has_rock_ridge():
        return "rr_path"
    if iso.has_joliet():
        return "joliet_path"
    return "udf_path" if iso.has_udf() else "iso_path"


@contextmanager
def iso_files(path: Path) -> Iterator[IsoFiles]:
    """Lend the files of an image; UnreadableIsoError when it is none, or damaged."""
    iso = pycdlib.PyCdlib()
    try:
        iso.open(str(path))
        try:
            yield IsoFiles(iso)
        finally:
            iso.close()
    except PyCdlibException as error:
        raise UnreadableIsoError(str(error)) from None
