# SPDX-License-Identifier: Apache-2.0
"""Daemons of libvirt that are not there, or closed: libvirt's own errors, and a real account."""

import errno
import itertools
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path

import libvirt
import pytest

from tests.fakes.libvirt_fakes import libvirt_error
from tests.fakes.local_remote import LocalRemote
from tradewind.errors import AccessRefusedError, HypervisorError, TradewindError
from tradewind.host import daemons
from tradewind.host.connection import translate
from tradewind.ports import Completed

RPC = libvirt.VIR_FROM_RPC
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def refused(path: Path) -> libvirt.libvirtError:
    """What libvirt's client raises for a socket that cannot be connected to."""
    with pytest.raises(libvirt.libvirtError) as caught:
        libvirt.open(f"qemu+unix:///system?socket={path}")
    return caught.value


@pytest.fixture
def dead(tmp_path: Path) -> Path:
    """A socket at which nobody listens any more."""
    path = tmp_path / "virtnetworkd-sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    return path


@pytest.mark.parametrize("name", ["virtnodedevd", "virtstoraged", "virtqemud"])
def test_daemon_that_is_not_there_is_named_with_its_unit(tmp_path: Path, name: str) -> None:
    error = translate(refused(tmp_path / f"{name}-sock"), "kvm1")
    assert type(error) is HypervisorError
    assert f"systemctl enable --now {name}.socket" in error.hint
    assert not error.transient


def test_daemon_that_died_is_named_too(dead: Path) -> None:
    assert daemons.is_absent(refused(dead))
    assert "virtnetworkd.socket" in translate(refused(dead), "kvm1").hint


def test_libvirtd_that_is_not_there(tmp_path: Path) -> None:
    hint = translate(refused(tmp_path / "libvirt-sock"), "kvm1").hint
    assert "libvirtd.socket" in hint
    assert "virtqemud.socket" in hint


def test_socket_that_is_closed_is_a_matter_of_the_account() -> None:
    text = "无法连接套接字到 '/run/libvirt/virtqemud-sock': 权限不够"
    error = libvirt_error(libvirt.VIR_ERR_SYSTEM_ERROR, text, RPC)
    error.err = (*error.err[:7], errno.EACCES, -1)
    assert isinstance(translate(error, "kvm1"), AccessRefusedError)
    assert "groups libvirt and kvm" in translate(error, "kvm1").hint


class Account(LocalRemote):
    """An account without any group, and with a path that leads to some programs only."""

    def __init__(self, programs: Path) -> None:
        self._path = f"PATH={programs}"

    def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60, check: bool = True
    ) -> Completed:
        return super().run(
            [*NOBODY, "/usr/bin/env", self._path, "/bin/sh", *argv[1:]],
            stdin=stdin,
            timeout=timeout,
            check=check,
        )


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for /run/libvirt and one for programs, into which everybody may look."""
    above = itertools.takewhile(
        lambda folder: folder != Path(tempfile.gettempdir()), tmp_path.parents
    )
    for folder in (tmp_path, *above):
        folder.chmod(0o755)
    monkeypatch.setattr(daemons, "_SOCKETS", (str(tmp_path / "libvirt-sock"),))
    (tmp_path / "bin").mkdir()
    return tmp_path


def put(path: Path, mode: int) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    path.chmod(mode)


def install(host: Path, name: str) -> None:
    (host / "bin" / name).write_text("#!/bin/sh\n")
    (host / "bin" / name).chmod(0o755)


def found(host: Path) -> TradewindError | None:
    try:
        daemons.require_access(Account(host / "bin"), "kvm1")
    except TradewindError as error:
        return error
    return None


@pytest.mark.parametrize("helper", ["virt-ssh-helper", "nc"])
def test_account_that_may_connect(host: Path, helper: str) -> None:
    install(host, helper)
    put(host / "libvirt-sock", 0o777)
    assert found(host) is None


def test_account_outside_the_groups(host: Path) -> None:
    install(host, "virt-ssh-helper")
    put(host / "libvirt-sock", 0o770)
    error = found(host)
    assert isinstance(error, AccessRefusedError)
    assert "groups libvirt and kvm" in error.hint


def test_host_without_a_daemon(host: Path) -> None:
    install(host, "virt-ssh-helper")
    error = found(host)
    assert error is not None
    assert "no daemon of libvirt" in error.message
    assert "systemctl enable --now" in error.hint


def test_host_without_helper_and_netcat(host: Path) -> None:
    error = found(host)
    assert error is not None
    assert "neither virt-ssh-helper nor nc" in error.message
    assert "netcat-openbsd" in error.hint
