# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator

import pytest

from tests.fakes.ssh_server import Server, running_sshd


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running
