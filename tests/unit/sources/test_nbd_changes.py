# SPDX-License-Identifier: Apache-2.0
"""What changed, by a real dirty bitmap that QEMU kept and serves."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tradewind.errors import StreamError
from tradewind.model.storage import Extent, ExtentKind
from tradewind.sources import nbd
from tradewind.waiting import wait_for

MiB = 1 << 20
BITMAP = "qemu:dirty-bitmap:day"
DATA, ZERO, CLEAN = ExtentKind.DATA, ExtentKind.ZERO, ExtentKind.CLEAN


def run(*argv: str | Path) -> None:
    subprocess.run(argv, check=True, capture_output=True)


@pytest.fixture
def changed(tmp_path: Path) -> Iterator[Path]:
    """8 MiB of data; then one MiB was overwritten, one zeroed, and one unmapped."""
    image, socket = tmp_path / "a.qcow2", tmp_path / "a.sock"
    pid_file = tmp_path / "a.pid"
    run("qemu-img", "create", "-f", "qcow2", image, "8M")
    run("qemu-io", "-c", "write -P 1 0 8M", image)
    run("qemu-img", "bitmap", "--add", image, "day")
    for command in ("write -P 2 1M 1M", "write -z 3M 1M", "discard 5M 1M"):
        run("qemu-io", "-d", "unmap", "-c", command, image)
    argv = ["qemu-nbd", "-r", "-t", "-B", "day", "-k", str(socket), f"--pid-file={pid_file}"]
    with subprocess.Popen([*argv, str(image)]) as server:
        wait_for(pid_file.exists, "qemu-nbd", 10, every=0.05)
        yield socket
        server.terminate()


def test_dirty_is_data_or_zero_and_the_rest_is_clean(changed: Path) -> None:
    """What was overwritten with zeroes is dirty and zero: the target has to be zeroed there."""
    assert list(nbd.extents(changed, "", 8 * MiB, BITMAP)) == [
        Extent(0, MiB, CLEAN),
        Extent(MiB, MiB, DATA),
        Extent(2 * MiB, MiB, CLEAN),
        Extent(3 * MiB, MiB, ZERO),
        Extent(4 * MiB, MiB, CLEAN),
        Extent(5 * MiB, MiB, ZERO),
        Extent(6 * MiB, 2 * MiB, CLEAN),
    ]


def test_changes_are_asked_for_step_by_step(changed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(nbd.extents(changed, "", 8 * MiB, BITMAP))
    monkeypatch.setattr(nbd, "_STATUS_STEP", 3 * 65536)
    assert list(nbd.extents(changed, "", 8 * MiB, BITMAP)) == whole


def test_a_bitmap_that_is_not_offered_is_named(changed: Path) -> None:
    with pytest.raises(StreamError, match="does not offer qemu:dirty-bitmap:night"):
        list(nbd.extents(changed, "", 8 * MiB, "qemu:dirty-bitmap:night"))
