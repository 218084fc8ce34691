# SPDX-License-Identifier: Apache-2.0
"""States that disks do not show: each is found, said before, and has its behaviour."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest

from tests.fakes.libvirt_fakes import FakeConnection, FakeDomain, libvirt_error, open_fake
from tradewind.errors import BadInputError, BusyError, SeveralProblemsError
from tradewind.host.domain import domains
from tradewind.model.finding import Severity
from tradewind.model.machine import Disk, VirtualMachine
from tradewind.model.source import BlockedWork, SourceState
from tradewind.sources.libvirt import state

DISK = """<disk type="file" device="disk"><driver name="qemu" type="qcow2"/>
<source file="/images/{file}"/><target dev="{target}" bus="virtio"/>{more}</disk>"""
NIC = """<interface type="network"><mac address="52:54:00:00:00:0{}"/>
<source network="lan"/></interface>"""
DOMAIN = """<domain type="test"><name>web</name><memory>1024</memory><os><type>hvm</type></os>
<devices>{devices}</devices></domain>"""
MACHINE = VirtualMachine(id="1", name="web", vcpus=1, memory=1, disks=(Disk(id="vda", capacity=1),))
VDA = DISK.format(file="a.qcow2", target="vda", more="")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[FakeConnection]:
    connection = open_fake(tmp_path)
    yield connection
    connection.close()


@pytest.fixture
def web(host: FakeConnection) -> FakeDomain:
    domains.define(host, DOMAIN.format(devices=VDA))
    domains.start(host, "web")
    return named(host)


def named(host: FakeConnection) -> FakeDomain:
    found: FakeDomain = domains.require_domain(host, "web")
    return found


def only(found: tuple[SourceState, ...], words: str) -> SourceState:
    (one,) = found
    assert words in one.what
    assert one.remedy
    assert one.evidence
    return one


def test_machine_that_runs_or_is_shut_off_is_in_no_other_state(
    host: FakeConnection, web: FakeDomain
) -> None:
    assert state.look(web) == ()
    web.destroy()
    assert state.look(web) == ()
    state.require(MACHINE, moving=True)


def in_state(monkeypatch: pytest.MonkeyPatch, number: int, reason: int = 0) -> None:
    monkeypatch.setattr(FakeDomain, "state", lambda _domain: [number, reason], raising=False)


@pytest.mark.parametrize(
    ("number", "reason", "words", "stops"),
    [
        (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER, "is paused:", BlockedWork.MOVE),
        (
            libvirt.VIR_DOMAIN_PAUSED,
            libvirt.VIR_DOMAIN_PAUSED_IOERROR,
            "after a write of its guest failed",
            BlockedWork.MOVE,
        ),
        (
            libvirt.VIR_DOMAIN_PAUSED,
            libvirt.VIR_DOMAIN_PAUSED_MIGRATION,
            "paused by another job",
            BlockedWork.TRANSFER,
        ),
        (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_CRASHED, "crashed", BlockedWork.MOVE),
        (libvirt.VIR_DOMAIN_CRASHED, 0, "has crashed", BlockedWork.MOVE),
        (libvirt.VIR_DOMAIN_PMSUSPENDED, 0, "suspended to memory", BlockedWork.MOVE),
        (libvirt.VIR_DOMAIN_SHUTDOWN, 0, "is shutting down", BlockedWork.TRANSFER),
        (
            libvirt.VIR_DOMAIN_SHUTOFF,
            libvirt.VIR_DOMAIN_SHUTOFF_CRASHED,
            "ended by a crash",
            BlockedWork.NOTHING,
        ),
        (
            libvirt.VIR_DOMAIN_SHUTOFF,
            libvirt.VIR_DOMAIN_SHUTOFF_SAVED,
            "was saved and not shut down",
            BlockedWork.MOVE,
        ),
    ],
)
def test_every_state_of_a_machine_has_its_behaviour(
    web: FakeDomain,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    reason: int,
    words: str,
    stops: BlockedWork,
) -> None:
    in_state(monkeypatch, number, reason)
    assert only(state.look(web), words).stops is stops


def test_saved_machine_is_not_taken_for_one_that_is_shut_off(
    web: FakeDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.managedSave()
    found = only(state.look(web), "is not shut off but saved")
    assert found.stops is BlockedWork.TRANSFER
    assert "virsh start web" in found.remedy
    assert "managedsave-remove web" in found.remedy


def test_transient_machine_is_replicated_and_not_moved(host: FakeConnection) -> None:
    domains.start_transient(host, DOMAIN.format(devices=VDA))
    found = only(state.look(named(host)), "is transient")
    assert found.stops is BlockedWork.MOVE
    assert found.finding().severity is Severity.WARNING


def differing(
    web: FakeDomain, monkeypatch: pytest.MonkeyPatch, running: str, defined: str
) -> tuple[SourceState, ...]:
    def describe(_domain: FakeDomain, flags: int = 0) -> str:
        is_inactive = flags & libvirt.VIR_DOMAIN_XML_INACTIVE
        return DOMAIN.format(devices=defined if is_inactive else running)

    monkeypatch.setattr(FakeDomain, "XMLDesc", describe)
    return state.look(web)


@pytest.mark.parametrize(
    ("running", "defined", "words", "stops"),
    [
        (("b.qcow2", "vdb"), None, "attached to the running web only", BlockedWork.MOVE),
        (None, ("b.qcow2", "vdb"), "in the definition of web only", BlockedWork.TRANSFER),
        (
            ("b.qcow2", "vdb"),
            ("c.qcow2", "vdb"),
            "disk vdb of web is /images/b.qcow2 now, and /images/c.qcow2",
            BlockedWork.TRANSFER,
        ),
    ],
)
def test_disk_that_only_one_description_knows(
    web: FakeDomain,
    monkeypatch: pytest.MonkeyPatch,
    running: tuple[str, str] | None,
    defined: tuple[str, str] | None,
    words: str,
    stops: BlockedWork,
) -> None:
    both = [
        VDA + (DISK.format(file=each[0], target=each[1], more="") if each else "")
        for each in (running, defined)
    ]
    assert only(differing(web, monkeypatch, *both), words).stops is stops


def test_nic_that_only_the_running_machine_has_is_told(
    web: FakeDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = differing(web, monkeypatch, VDA + NIC.format(1) + NIC.format(2), VDA + NIC.format(1))
    assert only(found, "NIC 52:54:00:00:00:02").stops is BlockedWork.NOTHING


@pytest.mark.parametrize(
    ("more", "words"), [("<readonly/>", "read-only"), ("<shareable/>", "may be shared")]
)
def test_modes_of_disks_are_told(host: FakeConnection, more: str, words: str) -> None:
    disk = DISK.format(file="a.qcow2", target="vda", more=more)
    domains.define(host, DOMAIN.format(devices=disk))
    assert only(state.look(named(host)), words).finding().severity is Severity.NOTE


def test_jobs_of_others_are_waited_for_and_ours_are_not(
    host: FakeConnection, web: FakeDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        FakeDomain, "jobInfo", lambda _d: [libvirt.VIR_DOMAIN_JOB_UNBOUNDED], raising=False
    )
    found = only(state.look(web), "another job runs on web")
    assert (found.stops, found.passes) == (BlockedWork.TRANSFER, True)
    ours = (
        "<domainbackup><server socket='/var/tmp/tradewind-0123456789ab/nbd.sock'/></domainbackup>"
    )
    host.host.backups["web"] = ours
    assert state.look(web) == ()


@pytest.mark.parametrize("kind", ["in its description", "asked for"])
def test_block_job_is_waited_for(
    web: FakeDomain, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "asked for":
        job = {"type": libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_COMMIT}
        monkeypatch.setattr(FakeDomain, "blockJobInfo", lambda *_: job)
        found = state.look(web)
    else:
        mirror = DISK.format(file="a.qcow2", target="vda", more="<mirror ready='yes'/>")
        found = differing(web, monkeypatch, mirror, VDA)
    assert only(found, "a block job works on disk vda").passes


def test_backup_of_ours_is_no_block_job(web: FakeDomain, monkeypatch: pytest.MonkeyPatch) -> None:
    job = {"type": libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_BACKUP}
    monkeypatch.setattr(FakeDomain, "blockJobInfo", lambda *_: job)
    assert state.look(web) == ()


def test_snapshots_stay_behind_and_are_told(
    web: FakeDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.snapshotCreateXML("<domainsnapshot><name>before</name></domainsnapshot>")
    found = only(state.look(web), "web has 1 internal snapshot:")
    assert found.stops is BlockedWork.NOTHING
    assert state.notes([found])[0].startswith("web has 1 internal snapshot")


def with_states(*states: tuple[BlockedWork, bool]) -> VirtualMachine:
    return MACHINE.model_copy(
        update={
            "states": tuple(
                SourceState(what=f"state {n}", remedy="r", evidence="e", stops=stops, passes=passes)
                for n, (stops, passes) in enumerate(states)
            )
        }
    )


@pytest.mark.parametrize(
    ("states", "moving", "error"),
    [
        ([(BlockedWork.NOTHING, False)], True, None),
        ([(BlockedWork.MOVE, False)], False, None),
        ([(BlockedWork.MOVE, False)], True, BadInputError),
        ([(BlockedWork.TRANSFER, False)], False, BadInputError),
        ([(BlockedWork.TRANSFER, True)], False, BusyError),
        ([(BlockedWork.TRANSFER, True), (BlockedWork.MOVE, False)], True, SeveralProblemsError),
    ],
)
def test_what_stops_is_refused_and_all_at_once(
    states: list[tuple[BlockedWork, bool]], moving: bool, error: type[Exception] | None
) -> None:
    machine = with_states(*states)
    if error is None:
        state.require(machine, moving=moving)
        return
    with pytest.raises(error) as caught:
        state.require(machine, moving=moving)
    assert type(caught.value) is error
    assert "state 0" in str(caught.value)


def test_driver_that_knows_no_jobs_has_none(
    web: FakeDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise libvirt_error(libvirt.VIR_ERR_NO_SUPPORT)

    monkeypatch.setattr(FakeDomain, "jobInfo", refuse, raising=False)
    assert state.look(web) == ()
