# SPDX-License-Identifier: Apache-2.0
"""Small files of a host, read without root."""

import libvirt
import pytest

from tests.fakes.libvirt_fakes import FakeConnection, libvirt_error
from tradewind.errors import NotFoundError
from tradewind.host import host_files, storage
from tradewind.model.storage import Volume

PATH = "/var/lib/libvirt/qemu/nvram/ledger01_VARS.fd"


def pools(host: FakeConnection) -> set[str]:
    return {pool.name() for pool in host.listAllStoragePools()}


def test_file_outside_of_all_pools(host: FakeConnection) -> None:
    before = pools(host)
    host.host.files[PATH] = b"variables"
    assert host_files.read(host, PATH, 100, "raw") == b"variables"
    assert host_files.describe(host, PATH).capacity == len(b"variables")
    assert any("of /var/lib/libvirt/qemu/nvram" in call for call in host.host.calls)
    assert pools(host) == before


def test_file_in_a_pool_needs_none(host: FakeConnection) -> None:
    volume = Volume(pool="fast", name="a.fd", capacity=3, format="raw")
    storage.create_volume(host, volume)
    storage.upload_bytes(host, volume, b"abc")
    assert host_files.read(host, "/pools/fast/a.fd", 100, "raw") == b"abc"
    assert not any(call.startswith("pool ") for call in host.host.calls)


def test_pool_of_a_crash_is_used_and_ended(host: FakeConnection) -> None:
    before = pools(host)
    host.host.files[PATH] = b"variables"
    end, left = host_files._end, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host_files, "_end", lambda _c, name: left.append(name))
        host_files.read(host, PATH, 100, "raw")
    assert pools(host) == before | set(left)
    assert host_files.read(host, PATH, 100, "raw") == b"variables"
    assert pools(host) == before
    end(host, left[0])  # nothing to end


def test_what_cannot_be_read(host: FakeConnection) -> None:
    before = pools(host)
    with pytest.raises(NotFoundError, match="there is no file"):
        host_files.read(host, PATH, 100, "raw")
    host.host.files[PATH] = bytes(101)
    with pytest.raises(NotFoundError, match="a raw file of 101 bytes"):
        host_files.read(host, PATH, 100, "raw")
    assert pools(host) == before


def test_libvirt_that_refuses(host: FakeConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def refuse(xml: str, _flags: int) -> None:
        asked.append(xml)
        raise libvirt_error(libvirt.VIR_ERR_OPERATION_FAILED, "pool already exists")

    monkeypatch.setattr(host_files, "PAUSE", 0)
    monkeypatch.setattr(host, "storagePoolCreateXML", refuse)
    with pytest.raises(NotFoundError, match="cannot be read through libvirt"):
        host_files.read(host, PATH, 100, "raw")
    assert len(asked) == host_files.ATTEMPTS
