# SPDX-License-Identifier: Apache-2.0
"""ISO images, read back by the library's own reader."""

import io

import pycdlib
import pytest

from tradewind.iso import iso_image

FILES = {"a/b/one.json": "{}", "a/two": "2", "three.txt": "drei"}


def read(iso: bytes, **path: str) -> str:
    opened, content = pycdlib.PyCdlib(), io.BytesIO()
    opened.open_fp(io.BytesIO(iso))
    opened.get_file_from_iso_fp(content, **path)
    opened.close()
    return content.getvalue().decode()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["joliet_path", "rr_path"])
def test_files_in_folders_keep_their_names(name: str, kind: str) -> None:
    assert read(iso_image("config-2", FILES), **{kind: f"/{name}"}) == FILES[name]


def test_label() -> None:
    opened = pycdlib.PyCdlib()
    opened.open_fp(io.BytesIO(iso_image("config-2", FILES)))
    assert opened.pvd.volume_identifier.decode().strip() == "config-2"
