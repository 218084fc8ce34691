# SPDX-License-Identifier: Apache-2.0
"""Pull-mode backups: freeze, begin, thaw; and jobs that others left."""

import contextlib
from collections.abc import Iterator

import libvirt
import pytest

from tests.fakes.libvirt_fakes import FakeConnection, FakeDomain, libvirt_error
from tradewind.domainxml.backup import BackupDisk
from tradewind.errors import BusyError
from tradewind.host import backup, domains
from tradewind.host.backup import Job

SOCKET = "/var/tmp/tradewind-0123456789ab/nbd"
DISKS = [BackupDisk(target="vda", scratch="/var/tmp/tradewind-0123456789ab/vda")]
JOB = Job(SOCKET, DISKS)


@pytest.fixture
def domain(host: FakeConnection) -> FakeDomain:
    domains.start_transient(
        host,
        '<domain type="test"><name>db</name><memory>1024</memory><os><type>hvm</type></os>'
        "</domain>",
    )
    return host.listAllDomains()[0]


def test_guest_with_an_agent_is_frozen_only_for_the_moment(
    host: FakeConnection, domain: FakeDomain
) -> None:
    host.host.with_agent.add("db")
    assert backup.begin(domain, JOB).consistency == backup.FROZEN
    assert host.host.calls == ["freeze", "begin backup", "thaw"]
    assert backup.current_socket(domain) == SOCKET


def test_guest_without_an_agent_is_crash_consistent(
    host: FakeConnection, domain: FakeDomain
) -> None:
    assert backup.begin(domain, JOB).consistency == backup.CRASH_CONSISTENT
    assert host.host.calls == ["begin backup"]


def test_guest_is_thawed_when_the_backup_cannot_begin(
    host: FakeConnection, domain: FakeDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_domain: FakeDomain, *_arguments: object) -> None:
        raise libvirt_error(libvirt.VIR_ERR_OPERATION_FAILED, "no bitmaps")

    host.host.with_agent.add("db")
    monkeypatch.setattr(FakeDomain, "backupBegin", refuse)
    with pytest.raises(libvirt.libvirtError, match="no bitmaps"):
        backup.begin(domain, JOB)
    assert host.host.calls == ["freeze", "thaw"]


def test_our_own_leftover_job_is_aborted(host: FakeConnection, domain: FakeDomain) -> None:
    backup.begin(domain, Job(SOCKET.replace("0123", "dead"), DISKS))
    backup.begin(domain, JOB)
    assert host.host.calls == ["begin backup", "abort job", "begin backup"]
    assert backup.current_socket(domain) == SOCKET


def test_foreign_job_is_left_alone(host: FakeConnection, domain: FakeDomain) -> None:
    backup.begin(domain, Job("/run/otherprogram/nbd", DISKS))
    with pytest.raises(BusyError, match=r"machine db .* another program \(/run/otherprogram/nbd"):
        backup.begin(domain, JOB)
    assert "abort job" not in host.host.calls


def test_end_aborts_the_job_once(host: FakeConnection, domain: FakeDomain) -> None:
    backup.begin(domain, JOB)
    backup.end(domain)
    backup.end(domain)
    assert host.host.calls.count("abort job") == 1
    assert backup.current_socket(domain) is None


@contextlib.contextmanager
def refusing(monkeypatch: pytest.MonkeyPatch, code: int) -> Iterator[None]:
    def refuse(_domain: FakeDomain) -> str:
        raise libvirt_error(code, "no")

    with monkeypatch.context() as patched:
        patched.setattr(FakeDomain, "backupGetXMLDesc", refuse)
        yield


def test_shut_off_machine_has_no_job(domain: FakeDomain, monkeypatch: pytest.MonkeyPatch) -> None:
    with refusing(monkeypatch, libvirt.VIR_ERR_OPERATION_INVALID):
        assert backup.current_socket(domain) is None


def test_other_refusals_are_not_taken_for_no_job(
    domain: FakeDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refusing(monkeypatch, libvirt.VIR_ERR_RPC), pytest.raises(libvirt.libvirtError):
        backup.current_socket(domain)
