# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path

import pytest

from tests.contract.data_source import DataSourceContract, SourceCase
from tests.fakes.images import make_qcow2, make_raw
from tests.fakes.memory import MemorySource
from tradewind.sources.images.source import DiskImageSource

MiB = 1 << 20


class TestMemorySource(DataSourceContract):
    @pytest.fixture
    def case(self) -> SourceCase:
        contents = [bytes(MiB) + os.urandom(MiB) + bytes(512), os.urandom(100_000) + bytes(MiB)]
        disks = {f"disk{number}": content for number, content in enumerate(contents)}
        return SourceCase(MemorySource({"web": disks}), "web", contents)


class TestDiskImageSource(DataSourceContract):
    @pytest.fixture
    def case(self, tmp_path: Path) -> SourceCase:
        root = make_qcow2(
            tmp_path / "root.qcow2",
            40 * MiB,
            {0: os.urandom(700), 3 * MiB: os.urandom(MiB), 39 * MiB: os.urandom(MiB)},
        )
        data = make_raw(tmp_path / "data.img", 5 * MiB, {MiB: os.urandom(MiB)})
        (tmp_path / "web.toml").write_text(
            "vcpus = 2\nmemory = 1024\n"
            '[[disks]]\nfile = "root.qcow2"\n'
            '[[disks]]\nfile = "data.img"\nformat = "raw"\n'
        )
        return SourceCase(DiskImageSource(tmp_path), "web", [root, data])
