# SPDX-License-Identifier: Apache-2.0
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.contract.disk_writer import DiskWriterContract, WriterCase, blake2b, poly1305
from tests.fakes.memory import MEMORY_KEY, MemoryTarget, MemoryWriter
from tests.fakes.ssh_server import Server
from tests.fakes.writer_process import DIGEST_KEY, WriterProcess, running_writer, ssh_access
from tradewind.streaming.jobs import writers

# Neither a multiple of the page, nor of a block.
SIZE = 16 * (1 << 20) + 512


class TestMemoryWriter(DiskWriterContract):
    @pytest.fixture
    def case(self) -> WriterCase:
        target = MemoryTarget(bytearray(SIZE))
        return WriterCase(
            SIZE,
            lambda: MemoryWriter(target),
            lambda: bytes(target.content),
            blake2b(MEMORY_KEY),
        )


def disk_file(folder: Path) -> Path:
    path = folder / "disk"
    path.touch()
    os.truncate(path, SIZE)
    return path


class TestHttpsWriter(DiskWriterContract):
    @pytest.fixture(scope="class")
    def service(
        self, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[tuple[WriterProcess, Path]]:
        """One service for all: it has to go on after whatever the test before asked of it."""
        folder = tmp_path_factory.mktemp("writer")
        path = disk_file(folder)
        with running_writer(folder, {"one": path}) as process:
            yield process, path

    @pytest.fixture(params=["direct", "via-host"])
    def case(
        self,
        service: tuple[WriterProcess, Path],
        server: Server,
        request: pytest.FixtureRequest,
    ) -> WriterCase:
        process, path = service
        os.truncate(path, 0)
        os.truncate(path, SIZE)
        via = server.access() if request.param == "via-host" else None
        access = process.access.model_copy(update={"via": via})
        return WriterCase(
            SIZE, partial(writers(access), "one"), path.read_bytes, poly1305(DIGEST_KEY)
        )


class TestSshWriter(DiskWriterContract):
    """Directly: what a route through the host may do to the bytes, the class above has seen.

    That an SSH writer takes that route is in tests/unit/streaming/test_over_ssh.py.
    """

    @pytest.fixture
    def case(self, tmp_path: Path, server: Server) -> WriterCase:
        path = disk_file(tmp_path)
        access = ssh_access(server, tmp_path, {"one": path})
        return WriterCase(
            SIZE, partial(writers(access), "one"), path.read_bytes, poly1305(DIGEST_KEY)
        )
