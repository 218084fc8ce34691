# SPDX-License-Identifier: Apache-2.0
"""Pull-mode backups begin and end; and jobs that others left."""

import contextlib
from collections.abc import Iterator

import libvirt
import pytest

from tests.fakes.libvirt_fakes import FakeConnection, FakeDomain, libvirt_error
from tradewind.domainxml.backup import BackupDisk
from tradewind.errors import BusyError
from tradewind.host.domain import backup, domains
from tradewind.host.domain.backup import BackupRequest

SOCKET = "/var/tmp/tradewind-0123456789ab/nbd"
DISKS = [BackupDisk(target="vda", scratch="/var/tmp/tradewind-0123456789ab/vda")]
JOB = BackupRequest(SOCKET, DISKS)


@pytest.fixture
def domain(host: FakeConnection) -> FakeDomain:
    domains.start_transient(
        host,
        '<domain type="test"><name>db</name><memory>1024</memory><os><type>hvm</type></os>'
        "</domain>",
    )
    return host.listAllDomains()[0]


def test_backup_begins_and_is_known_by_its_socket(host: FakeConnection, domain: FakeDomain) -> None:
    backup.begin(domain, JOB)
    assert host.host.calls == ["begin backup"]
    assert backup.current_address(domain) == SOCKET


def test_our_own_leftover_job_is_aborted(host: FakeConnection, domain: FakeDomain) -> None:
    backup.begin(domain, BackupRequest(SOCKET.replace("0123", "dead"), DISKS))
    backup.begin(domain, JOB)
    assert host.host.calls == ["begin backup", "abort job", "begin backup"]
    assert backup.current_address(domain) == SOCKET


def test_foreign_job_is_left_alone(host: FakeConnection, domain: FakeDomain) -> None:
    backup.begin(domain, BackupRequest("/run/otherprogram/nbd", DISKS))
    with pytest.raises(BusyError, match=r"machine db .* another program \(/run/otherprogram/nbd"):
        backup.begin(domain, JOB)
    assert "abort job" not in host.host.calls


def test_our_own_leftover_job_over_tcp_is_known_by_its_scratch_file(
    host: FakeConnection, domain: FakeDomain
) -> None:
    backup.begin(domain, BackupRequest("127.0.0.1:49152", DISKS))
    assert backup.mark_of(domain) == DISKS[0].scratch
    backup.begin(domain, JOB)
    backup.begin(
        domain, BackupRequest("127.0.0.1:49153", [BackupDisk("vda", "/images/web.scratch")])
    )
    assert host.host.calls.count("abort job") == 2
    with pytest.raises(BusyError, match=r"another program \(127.0.0.1:49153\)"):
        backup.begin(domain, JOB)


def test_end_aborts_the_job_once(host: FakeConnection, domain: FakeDomain) -> None:
    backup.begin(domain, JOB)
    backup.end(domain)
    backup.end(domain)
    assert host.host.calls.count("abort job") == 1
    assert backup.current_address(domain) is None


def test_end_leaves_another_programs_job_alone(host: FakeConnection, domain: FakeDomain) -> None:
    backup.begin(domain, BackupRequest("/run/otherprogram/nbd", DISKS))
    backup.end(domain)
    assert backup.current_address(domain) == "/run/otherprogram/nbd"


@contextlib.contextmanager
def refusing(monkeypatch: pytest.MonkeyPatch, code: int) -> Iterator[None]:
    def refuse(_domain: FakeDomain) -> str:
        raise libvirt_error(code, "no")

    with monkeypatch.context() as patched:
        patched.setattr(FakeDomain, "backupGetXMLDesc", refuse)
        yield


def test_shut_off_machine_has_no_job(domain: FakeDomain, monkeypatch: pytest.MonkeyPatch) -> None:
    with refusing(monkeypatch, libvirt.VIR_ERR_OPERATION_INVALID):
        assert backup.current_address(domain) is None


def test_other_refusals_are_not_taken_for_no_job(
    domain: FakeDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refusing(monkeypatch, libvirt.VIR_ERR_RPC), pytest.raises(libvirt.libvirtError):
        backup.current_address(domain)
