# SPDX-License-Identifier: Apache-2.0
"""ISO images, read back by the library's own reader."""

import io
import subprocess
from pathlib import Path

import pycdlib
import pytest

from tradewind.iso import UnreadableIsoError, iso_files, iso_image

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


@pytest.mark.parametrize("options", [["-r"], ["-J"], ["-r", "-J"], ["-udf"]], ids=" ".join)
def test_files_of_an_image_that_another_program_made(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "tree" / "Sub Folder").mkdir(parents=True)
    (tmp_path / "tree" / "Sub Folder" / "a long name.Inf").write_bytes(b"x" * 5000)
    (tmp_path / "tree" / "top.txt").write_bytes(b"")
    iso = tmp_path / "x.iso"
    command: list[str | Path] = ["genisoimage", "-quiet", *options, "-o", iso, tmp_path / "tree"]
    subprocess.run(command, check=True)
    with iso_files(iso) as files:
        assert sorted(files.paths()) == ["Sub Folder/a long name.Inf", "top.txt"]
        assert files.read("Sub Folder/a long name.Inf", 9999) == b"x" * 5000
        assert files.read("Sub Folder/a long name.Inf", 7) == b"x" * 7
        assert files.read("top.txt", 7) == b""


def test_image_that_is_none_or_cut_is_refused(tmp_path: Path) -> None:
    whole = iso_image("x", FILES)
    for content in (b"", b"no image at all" * 9999, whole[: 17 * 2048], whole[: 21 * 2048]):
        (tmp_path / "x.iso").write_bytes(content)
        with pytest.raises(UnreadableIsoError), iso_files(tmp_path / "x.iso") as files:
            files.paths()
