# SPDX-License-Identifier: Apache-2.0
"""Small ISO 9660 images, made in memory (home of pycdlib)."""

import io
from collections.abc import Mapping
from pathlib import PurePosixPath

import pycdlib


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
