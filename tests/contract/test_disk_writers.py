# SPDX-License-Identifier: Apache-2.0
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.contract.disk_writer import DiskWriterContract, WriterCase
from tests.fakes.memory import MemoryTarget, MemoryWriter
from tests.fakes.writer_process import running_writer
from tradewind.streaming.https_writer import open_writer

# Neither a multiple of the page, nor of a block.
SIZE = 16 * (1 << 20) + 512


class TestMemoryWriter(DiskWriterContract):
    @pytest.fixture
    def case(self) -> WriterCase:
        target = MemoryTarget(bytearray(SIZE))
        return WriterCase(SIZE, lambda: MemoryWriter(target), lambda: bytes(target.content))


class TestHttpsWriter(DiskWriterContract):
    @pytest.fixture
    def case(self, tmp_path: Path) -> Iterator[WriterCase]:
        path = tmp_path / "disk"
        path.touch()
        os.truncate(path, SIZE)
        with running_writer(tmp_path, {"one": path}) as service:
            yield WriterCase(SIZE, partial(open_writer, service.access, "one"), path.read_bytes)
