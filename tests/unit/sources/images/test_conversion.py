# SPDX-License-Identifier: Apache-2.0
"""Variable stores between raw and qcow2, judged by qemu-img."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.fakes.images import forge_qcow2, make_qcow2, patch
from tradewind.errors import ImageFormatError
from tradewind.model.uefi import LARGEST
from tradewind.sources.images import confinement, conversion
from tradewind.sources.images.confinement import Confinement, Unconfined
from tradewind.units import KiB

SIZE = 528 * KiB
NAME = "/var/lib/libvirt/qemu/nvram/web_VARS.qcow2"


def qemu_img(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["qemu-img", *arguments], check=False, capture_output=True, text=True, timeout=60
    )


@pytest.fixture(params=["confined", "not confined"])
def room(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "not confined":
        nothing: Confinement = Unconfined("as on a machine without bubblewrap")
        monkeypatch.setattr(confinement, "find", lambda: nothing)


@pytest.mark.usefixtures("room")
def test_store_is_the_same_in_both_formats(tmp_path: Path) -> None:
    store = os.urandom(64 * KiB).ljust(SIZE, b"\xff")
    raw, packed = tmp_path / "VARS.fd", tmp_path / "VARS.qcow2"
    raw.write_bytes(store)
    packed.write_bytes(conversion.to_qcow2(store, packed.name))
    seen = json.loads(qemu_img("info", "--output=json", packed).stdout)
    assert (seen["format"], seen["virtual-size"]) == ("qcow2", SIZE)
    assert qemu_img("compare", "-f", "raw", "-F", "qcow2", raw, packed).returncode == 0
    assert conversion.to_raw(packed.read_bytes(), NAME, LARGEST) == store


def test_largest_store_goes_both_ways() -> None:
    store = os.urandom(LARGEST)
    assert conversion.to_raw(conversion.to_qcow2(store, NAME), NAME, LARGEST) == store


def test_store_that_was_never_what_it_says(tmp_path: Path) -> None:
    """A guest writes whatever it likes into its flash: raw bytes are not looked at."""
    store = b"QFI\xfb".ljust(SIZE, b"\xff")
    packed = conversion.to_qcow2(store, NAME)
    assert conversion.to_raw(packed, NAME, LARGEST) == store


def test_store_on_another_file_is_not_opened(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"not for them".ljust(SIZE, b"."))
    for named in (bytes(secret), b"secret", b"json:{}"):
        forged = forge_qcow2(tmp_path / "store", b"", named, SIZE)
        with pytest.raises(ImageFormatError, match=r"web_VARS\.qcow2(: its| has a) backing file"):
            conversion.to_raw(forged.read_bytes(), NAME, LARGEST)


def test_store_on_itself_is_not_opened(tmp_path: Path) -> None:
    forged = forge_qcow2(tmp_path / "store", b"", b"store", SIZE)
    with pytest.raises(ImageFormatError):
        conversion.to_raw(forged.read_bytes(), NAME, LARGEST)


def test_store_that_is_too_large_is_refused(tmp_path: Path) -> None:
    make_qcow2(tmp_path / "store", LARGEST + 512, {})
    with pytest.raises(ImageFormatError, match="holds 4194816 bytes, more than 4194304"):
        conversion.to_raw((tmp_path / "store").read_bytes(), NAME, LARGEST)


def test_damaged_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store"
    make_qcow2(path, SIZE, {0: b"boot entries"})
    whole = path.read_bytes()
    with pytest.raises(ImageFormatError, match=r"web_VARS\.qcow2"):
        conversion.to_raw(whole[: len(whole) // 2], NAME, LARGEST)
    patch(path, 0, b"....")
    with pytest.raises(ImageFormatError, match=r"web_VARS\.qcow2 is declared as qcow2"):
        conversion.to_raw(path.read_bytes(), NAME, LARGEST)
