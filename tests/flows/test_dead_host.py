# SPDX-License-Identifier: Apache-2.0
"""A command against a host that is down: one attempt, and one sentence."""

import base64
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from pydantic import SecretStr

import cli.main
from blocks import LibvirtEndpoint
from tests.fakes.ssh_server import free_port
from tests.fakes.stage_blocks import Blocks

NAME = "dead"


@pytest.fixture
def dialled(stored: Blocks, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Store a host at which nobody listens; the ports of it that are dialled."""
    port, found = free_port(), list[int]()
    LibvirtEndpoint(
        host="127.0.0.1",
        port=port,
        username="mover",
        private_key_base64=SecretStr(base64.b64encode(stored.key.encode()).decode()),
        host_key="SHA256:" + "A" * 43,
    ).save(NAME, overwrite=True)
    plainly = socket.create_connection

    def dial(place: tuple[str, int], *options: Any, **named: Any) -> socket.socket:
        if place[1] == port:
            found.append(port)
        return plainly(place, *options, **named)

    monkeypatch.setattr(socket, "create_connection", dial)
    yield found
    with get_client(sync_client=True) as client:
        document = client.read_block_document_by_name(NAME, "tradewind-libvirt-endpoint")
        client.delete_block_document(document.id)


# Preflight looks at both ends, and here both are dead.
@pytest.mark.parametrize(("command", "attempts"), [(("transfer", "run"), 1), (("preflight",), 2)])
def test_a_host_that_is_down_is_tried_once(
    dialled: list[int],
    command: tuple[str, ...],
    attempts: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    words = [*command, "web01", "--from", NAME, "--to", NAME, "--options", "stage"]
    monkeypatch.setattr(sys, "argv", ["tradewind", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main.main()
    said = capfd.readouterr()
    assert "Traceback" not in said.out + said.err
    assert "nothing listens there" in " ".join((said.out + said.err).split())
    assert ended.value.code in {1, 2}
    assert len(dialled) == attempts
