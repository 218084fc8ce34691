# SPDX-License-Identifier: Apache-2.0
"""What libvirt says when it refuses, in our words; and opening over SSH."""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import libvirt
import pytest
from pydantic import SecretStr

from tests.fakes.libvirt_fakes import libvirt_error
from tests.fakes.local_remote import LocalRemote
from tradewind.errors import (
    AccessRefusedError,
    BusyError,
    CapacityError,
    ConnectionFailedError,
    HostKeyError,
    HypervisorBusyError,
    HypervisorError,
    NotFoundError,
    TradewindError,
)
from tradewind.host import connection
from tradewind.host.connection import connect, translate
from tradewind.model.host import HostAccess
from tradewind.ports import Completed

ACCESS = HostAccess(
    host="kvm1.example",
    port=2222,
    username="mover@site",
    private_key=SecretStr("a key"),
    host_key="SHA256:x",
)
RPC = libvirt.VIR_FROM_RPC


@pytest.mark.parametrize(
    ("code", "domain", "kind"),
    [
        (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_FROM_QEMU, NotFoundError),
        (libvirt.VIR_ERR_NO_STORAGE_POOL, libvirt.VIR_FROM_STORAGE, NotFoundError),
        (libvirt.VIR_ERR_NO_STORAGE_VOL, libvirt.VIR_FROM_STORAGE, NotFoundError),
        (libvirt.VIR_ERR_NO_NETWORK, libvirt.VIR_FROM_NETWORK, NotFoundError),
        (libvirt.VIR_ERR_OPERATION_TIMEOUT, libvirt.VIR_FROM_QEMU, HypervisorBusyError),
        (libvirt.VIR_ERR_RESOURCE_BUSY, libvirt.VIR_FROM_QEMU, HypervisorBusyError),
        (libvirt.VIR_ERR_AUTH_FAILED, RPC, AccessRefusedError),
        (libvirt.VIR_ERR_ACCESS_DENIED, libvirt.VIR_FROM_ACCESS, AccessRefusedError),
        (libvirt.VIR_ERR_INVALID_CONN, RPC, ConnectionFailedError),
        (libvirt.VIR_ERR_SYSTEM_ERROR, RPC, ConnectionFailedError),
        # A file that cannot be opened is no lost connection.
        (libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_FROM_STORAGE, HypervisorError),
        (libvirt.VIR_ERR_STORAGE_VOL_EXIST, libvirt.VIR_FROM_STORAGE, BusyError),
        (libvirt.VIR_ERR_XML_ERROR, libvirt.VIR_FROM_DOMAIN, HypervisorError),
    ],
)
def test_every_refusal_has_its_class(code: int, domain: int, kind: type[TradewindError]) -> None:
    error = translate(libvirt_error(code, "it does not work", domain), "kvm1.example")
    assert type(error) is kind
    assert error.message == "kvm1.example: it does not work"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_a_matter_of_capacity_in_every_language(number: int) -> None:
    """What counts is the errno that libvirt sends along."""
    text = "无法填充文件 '/pool/a'：设备上没有空间"
    refused = libvirt_error(libvirt.VIR_ERR_SYSTEM_ERROR, text, libvirt.VIR_FROM_STORAGE)
    refused.err = (*refused.err[:7], number, -1)
    error = translate(refused, "kvm1")
    assert type(error) is CapacityError
    assert "make room" in error.hint


def test_text_alone_decides_nothing() -> None:
    """The name of a file may be “No space left on device”."""
    text = "cannot open '/pool/No space left on device': Permission denied"
    refused = libvirt_error(libvirt.VIR_ERR_SYSTEM_ERROR, text, libvirt.VIR_FROM_STORAGE)
    refused.err = (*refused.err[:7], errno.EACCES, -1)
    assert type(translate(refused, "kvm1")) is HypervisorError


def test_busy_is_tried_again_and_refused_is_not() -> None:
    busy = translate(libvirt_error(libvirt.VIR_ERR_OPERATION_TIMEOUT), "kvm1")
    refused = translate(libvirt_error(libvirt.VIR_ERR_AUTH_FAILED, domain=RPC), "kvm1")
    assert (busy.transient, refused.transient) == (True, False)
    assert "groups libvirt and kvm" in refused.hint


class Opened:
    """A virConnect that remembers how it was treated."""

    def __init__(self) -> None:
        self.keep_alive: tuple[int, int] | None = None
        self.closed = False

    def setKeepAlive(self, interval: int, count: int) -> None:  # noqa: N802
        self.keep_alive = (interval, count)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> tuple[Opened, list[str]]:
    """libvirt.open answers with our connection; the list has the URIs."""
    there, uris = Opened(), []

    @contextmanager
    def files(_access: HostAccess) -> Iterator[Any]:
        yield SimpleNamespace(ssh=Path("/private/folder/ssh wrapper"))

    def answer(uri: str) -> Opened:
        uris.append(uri)
        return there

    monkeypatch.setattr(connection, "client_files", files)
    monkeypatch.setattr(libvirt, "open", answer)
    return there, uris


@pytest.mark.usefixtures("opened")
def test_what_was_noted_of_a_refusal_is_told() -> None:
    refusal = libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR)
    refusal.add_note("QEMU is confined")
    with pytest.raises(HypervisorError) as caught, connect(ACCESS):
        raise refusal
    assert caught.value.__notes__ == ["QEMU is confined"]


def test_opens_over_our_own_ssh(opened: tuple[Opened, list[str]]) -> None:
    there, uris = opened
    with connect(ACCESS) as lent:
        assert lent is there
        assert not there.closed
    assert uris == [
        "qemu+ssh://mover%40site@kvm1.example:2222/system"
        "?command=%2Fprivate%2Ffolder%2Fssh+wrapper&no_tty=1"
    ]
    assert there.closed
    assert there.keep_alive is not None
    interval, count = there.keep_alive
    assert interval * count <= 60


def test_what_libvirt_raises_inside_is_translated(opened: tuple[Opened, list[str]]) -> None:
    with pytest.raises(NotFoundError, match=r"kvm1\.example: gone") as caught, connect(ACCESS):
        raise libvirt_error(libvirt.VIR_ERR_NO_DOMAIN, "gone")
    assert isinstance(caught.value.__cause__, libvirt.libvirtError)
    assert opened[0].closed


def test_our_own_errors_pass_as_they_are(opened: tuple[Opened, list[str]]) -> None:
    with pytest.raises(CapacityError, match="too small"), connect(ACCESS):
        raise CapacityError("too small")
    assert opened[0].closed


class Silent(LocalRemote):
    """A host on which the account may run nothing."""

    def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60, check: bool = True
    ) -> Completed:
        return Completed(tuple(argv), 1, "", "")


def test_ssh_says_why_a_host_cannot_be_opened(
    opened: tuple[Opened, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_uri: str) -> None:
        raise libvirt_error(libvirt.VIR_ERR_SYSTEM_ERROR, "Cannot recv data", RPC)

    @contextmanager
    def wrong_key(_access: HostAccess) -> Iterator[None]:
        raise HostKeyError("the host key is another one")
        yield

    @contextmanager
    def fine(_access: HostAccess) -> Iterator[Silent]:
        yield Silent()

    monkeypatch.setattr(libvirt, "open", refuse)
    monkeypatch.setattr("tradewind.remote.shell.connect_to_host", wrong_key)
    with pytest.raises(HostKeyError, match="another one"), connect(ACCESS):
        pass
    monkeypatch.setattr("tradewind.remote.shell.connect_to_host", fine)
    with pytest.raises(ConnectionFailedError, match="Cannot recv data"), connect(ACCESS):
        pass
