# SPDX-License-Identifier: Apache-2.0
"""The room for scratch files: measured, demanded, watched, and a snapshot given up in time."""

import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pytest
from pydantic import SecretStr

from tests.fakes.libvirt_fakes import FakeConnection, open_fake
from tests.fakes.local_remote import WORKER, LocalRemote
from tradewind.errors import (
    CapacityError,
    ConnectionFailedError,
    NotFoundError,
    StreamError,
    TradewindError,
)
from tradewind.model.finding import Severity
from tradewind.model.host import HostAccess
from tradewind.model.machine import Disk, VirtualMachine
from tradewind.model.source import DEFAULT_CARE, SourceCare
from tradewind.ports import Completed
from tradewind.remote import shell
from tradewind.sources.libvirt import scratch, scratch_watch
from tradewind.sources.libvirt.scratch import ScratchSpace
from tradewind.sources.libvirt.scratch_watch import ScratchWatch, WatchedSnapshot
from tradewind.units import GiB, MiB

ACCESS = HostAccess(host="old", username="mover", private_key=SecretStr("k"), host_key="SHA256:x")
CARE = SourceCare(scratch_reserve=10 * MiB, scratch_reserve_percent=1)
RUN = "0123456789ab"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[FakeConnection]:
    connection = open_fake(tmp_path)
    yield connection
    connection.close()


def test_larger_of_both_reserves_counts() -> None:
    assert CARE.reserve_of(100 * MiB) == 10 * MiB
    assert CARE.reserve_of(10 * GiB) == 10 * GiB // 100
    assert ScratchSpace("/pool", 100 * MiB, 30 * MiB).above(CARE) == 20 * MiB


def test_scratch_files_go_beside_their_disks_or_into_the_named_pool(host: FakeConnection) -> None:
    file = Disk(id="vda", capacity=1, location="/images/web.qcow2")
    block = Disk(id="vdb", capacity=1, location="/dev/vg/web")
    assert scratch.folder_of_pool(host, DEFAULT_CARE) is None
    assert scratch.path_of(file, RUN, None) == f"/images/tradewind-{RUN}-vda.scratch"
    ovirt = Disk(id="vdc", capacity=1, location="/rhev/data-center/5849/images/6f/9c", block=True)
    memory = Disk(id="vdd", capacity=1, location="/dev/shm/web.qcow2", block=False)
    for disk in (block, ovirt, memory):
        assert scratch.folder_of(disk, None) == scratch.FALLBACK
    pool = scratch.folder_of_pool(host, SourceCare(scratch_pool="fast"))
    assert {scratch.folder_of(disk, pool) for disk in (file, block)} == {
        PurePosixPath("/pools/fast")
    }


@pytest.mark.parametrize(
    ("pool", "why"),
    [("nowhere", "no storage pool"), ("vg", "holds no files"), ("asleep", "is not running")],
)
def test_pool_that_cannot_hold_them_is_refused(host: FakeConnection, pool: str, why: str) -> None:
    with pytest.raises(NotFoundError, match=why):
        scratch.folder_of_pool(host, SourceCare(scratch_pool=pool))


def test_room_is_what_the_file_system_has(tmp_path: Path) -> None:
    (room,) = scratch.measure(LocalRemote(), [str(tmp_path)])
    usage = shutil.disk_usage(tmp_path)
    assert (room.folder, room.size) == (str(tmp_path), usage.total)
    assert abs(room.free - usage.free) < usage.total // 10


def test_folder_that_cannot_be_watched_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="cannot be measured") as caught:
        scratch.measure(LocalRemote(), [str(tmp_path / "missing")])
    assert "scratch_pool" in caught.value.hint


def test_too_little_room_is_refused_before_anything() -> None:
    scratch.require_room([ScratchSpace("/pool", GiB, 12 * MiB)], CARE)
    with pytest.raises(CapacityError, match=r"/pool has 10\.0 MiB free.* reserve of 10\.2 MiB"):
        scratch.require_room([ScratchSpace("/pool", GiB, 10 * MiB)], CARE)


@pytest.mark.parametrize(
    ("capacity", "free", "pool", "said"),
    [
        (GiB, 500 * MiB, None, []),
        (10 * GiB, 500 * MiB, None, [(Severity.WARNING, "may overwrite 489.8 MiB")]),
        (GiB, MiB, None, [(Severity.ERROR, "no room for what the guest overwrites")]),
        (GiB, GiB, "nowhere", [(Severity.ERROR, "no storage pool “nowhere”")]),
    ],
)
def test_preflight_counts_the_room(
    host: FakeConnection, capacity: int, free: int, pool: str | None, said: list[tuple[str, str]]
) -> None:
    disk = Disk(id="vda", capacity=capacity, location="/pool/a.qcow2")
    machine = VirtualMachine(id="1", name="web", vcpus=1, memory=1, disks=(disk,))
    care = CARE.model_copy(update={"scratch_pool": pool})
    found = list(scratch.findings(host, Told(free), machine, care))
    assert [each.severity for each in found] == [severity for severity, _ in said]
    assert all(words in each.what for each, (_, words) in zip(found, said, strict=True))


class Told:
    """A Remote that answers `stat` with what is on the list, and `cat` as if there were no file."""

    def __init__(self, *free: int | TradewindError) -> None:
        self.free = list(free)
        self.guard = ""

    def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60, check: bool = True
    ) -> Completed:
        if argv[0] == "cat":
            return Completed(tuple(argv), 0 if self.guard else 1, self.guard, "")
        answer = self.free.pop(0)
        if isinstance(answer, TradewindError):
            raise answer
        return Completed(tuple(argv), 0, f"1 {GiB} {answer}\n", "")

    def write(self, path: str, content: bytes, mode: int = 0o600) -> None:
        raise AssertionError(path)


def watch_of(remote: Told, calls: list[str], *, is_guarded: bool = True) -> ScratchWatch:
    watched = WatchedSnapshot(
        ACCESS, "web", "u-u-i-d", CARE, {"/pool"}, "/run", lambda: calls.append("given up")
    )
    return ScratchWatch(watched, remote, is_guarded)


def test_snapshot_is_given_up_when_the_reserve_is_reached() -> None:
    calls: list[str] = []
    watch = watch_of(Told(500 * MiB, 499 * MiB, 10 * MiB), calls)
    assert [watch.look(), watch.look()] == [False, False]
    assert calls == []
    assert watch.look()
    assert calls == ["given up"]
    with pytest.raises(CapacityError) as caught, watch.explained():
        raise StreamError("the connection to QEMU is closed")
    assert "the snapshot of web was given up" in caught.value.message
    assert "10.0 MiB free in /pool" in caught.value.message
    assert not caught.value.transient
    assert "scratch_pool" in caught.value.hint


def test_fast_growth_is_noticed_before_the_reserve_is_reached() -> None:
    calls: list[str] = []
    watch = watch_of(Told(500 * MiB, 400 * MiB, 250 * MiB), calls)
    assert [watch.look(), watch.look(), watch.look()] == [False, False, True]
    assert calls == ["given up"]


def test_snapshot_that_cannot_be_given_up_at_once_is_given_up_later() -> None:
    calls: list[str] = []

    def refuse() -> None:
        calls.append("tried")
        if len(calls) < 3:
            raise ConnectionFailedError("lost")

    watched = WatchedSnapshot(ACCESS, "web", "u-u-i-d", CARE, {"/pool"}, "/run", refuse)
    watch = ScratchWatch(watched, Told(0), is_guarded=True)
    for _ in range(2):
        with pytest.raises(ConnectionFailedError):
            watch.look()
    assert watch.look()
    assert len(calls) == 3


def test_without_a_guard_a_watch_that_sees_nothing_gives_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost = ConnectionFailedError("the host is gone")
    calls: list[str] = []
    assert not watch_of(Told(lost), calls, is_guarded=True).look()
    assert not watch_of(Told(lost), calls, is_guarded=False).look()
    monkeypatch.setattr(scratch_watch, "BLIND", 0.0)
    assert not watch_of(Told(lost), calls, is_guarded=True).look()
    watch = watch_of(Told(lost), calls, is_guarded=False)
    assert watch.look()
    assert calls == ["given up"]
    assert watch.reason is not None
    assert watch.reason.transient


def test_word_of_the_guard_is_the_reason() -> None:
    remote = Told()
    watch = watch_of(remote, [])
    with pytest.raises(StreamError, match="closed"), watch.explained():
        raise StreamError("closed")
    remote.guard = f"/pool\n{5 * MiB}\n"
    with pytest.raises(CapacityError, match=r"5\.0 MiB free in /pool"), watch.explained():
        raise StreamError("closed")


def test_other_errors_pass() -> None:
    with pytest.raises(ValueError, match="mine"), watch_of(Told(), []).explained():
        raise ValueError("mine")


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host whose virsh says that our job runs, and notes what it is told."""
    folder = tmp_path / "bin"
    folder.mkdir()
    virsh = folder / "virsh"
    virsh.write_text(
        f'#!/bin/sh\necho "$@" >>{tmp_path}/calls\n'
        f"case $3 in backup-dumpxml) cat {tmp_path}/job ;; esac\n"
    )
    virsh.chmod(0o755)
    monkeypatch.setitem(WORKER, "PATH", f"{folder}:/usr/bin:/bin")
    return folder


@contextmanager
def watching(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reserve: int, job: str
) -> Iterator[Path]:
    """Watch for real, with a shell on this machine; the reserve is that of the guard."""

    @contextmanager
    def connect(_access: HostAccess) -> Iterator[LocalRemote]:
        yield LocalRemote()

    run_folder = tmp_path / f"tradewind-{RUN}"
    run_folder.mkdir()
    (tmp_path / "job").write_text(job)
    care = SourceCare(scratch_reserve=2 * reserve, scratch_reserve_percent=0)
    monkeypatch.setattr(shell, "connect_to_host", connect)
    monkeypatch.setattr(scratch, "require_room", lambda *_: None)
    watched = WatchedSnapshot(
        ACCESS, "web", "u-u-i-d", care, {str(tmp_path)}, str(run_folder), lambda: None
    )
    with scratch_watch.watching(watched) as watch:
        assert watch.is_guarded
        yield run_folder
    shutil.rmtree(run_folder, ignore_errors=True)


def calls_of(tmp_path: Path) -> str:
    file = tmp_path / "calls"
    return file.read_text() if file.exists() else ""


def wait_until_guards_end(tmp_path: Path) -> None:
    deadline = time.monotonic() + 30
    while (
        str(tmp_path)
        in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    ):
        assert time.monotonic() < deadline, "the guard did not end with its folder"
        time.sleep(0.1)


@pytest.mark.usefixtures("bin_folder")
@pytest.mark.parametrize(
    "job",
    [
        f"<server transport='unix' socket='/var/tmp/tradewind-{RUN}/nbd.sock'/>",
        f"<server transport='tcp' name='127.0.0.1' port='49152'/><disks><disk name='vda'>"
        f"<scratch file='/images/tradewind-{RUN}-vda.scratch'/></disk></disks>",
    ],
)
def test_guard_on_the_host_ends_our_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job: str
) -> None:
    with watching(tmp_path, monkeypatch, 1 << 60, job) as run_folder:
        deadline = time.monotonic() + 30
        while not (run_folder / "given-up").exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        folder, free = (run_folder / "given-up").read_text().split()
    assert (folder, int(free) > 0) == (str(tmp_path), True)
    assert "-c qemu:///system domjobabort u-u-i-d" in calls_of(tmp_path)
    wait_until_guards_end(tmp_path)


@pytest.mark.usefixtures("bin_folder")
def test_guard_leaves_the_job_of_another_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = "<server transport='unix' socket='/run/another/nbd.sock'/>"
    with watching(tmp_path, monkeypatch, 1 << 60, job) as run_folder:
        deadline = time.monotonic() + 30
        while "backup-dumpxml" not in calls_of(tmp_path):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert not (run_folder / "given-up").exists()
    wait_until_guards_end(tmp_path)
    assert "domjobabort" not in calls_of(tmp_path)


def test_host_without_virsh_has_no_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    for program in ("sh", "setsid", "mktemp", "cat", "chmod", "mv", "rm"):
        (tmp_path / "bin" / program).symlink_to(str(shutil.which(program)))
    watched = WatchedSnapshot(
        ACCESS, "web", "u-u-i-d", CARE, {str(tmp_path)}, str(tmp_path), lambda: None
    )
    monkeypatch.setitem(WORKER, "PATH", str(tmp_path / "bin"))
    assert not scratch_watch._start_guard(LocalRemote(), watched, [])
