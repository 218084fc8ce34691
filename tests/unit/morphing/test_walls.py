# SPDX-License-Identifier: Apache-2.0
"""A guest's programs run behind walls: every way out that we know is tried from inside."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes import escape_attempts, small_root, walls
from tests.fakes.local_remote import WORKER, LocalRemote
from tests.fakes.walls import Target
from tradewind.errors import LateError, MorphingError
from tradewind.model.guest import ChrootAccess
from tradewind.morphing.confinement import inside, program, run_inside
from tradewind.morphing.tree import RemoteGuestTree

REMOTE = LocalRemote()
# What a command that installs has, as the docstrings and docs/security.md say.
OF_THE_NETWORK = {"network", "port outside", "abstract socket"}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with walls.target_lent(REMOTE, str(tmp_path_factory.mktemp("outside"))) as lent:
        yield lent


@pytest.fixture
def root(tmp_path: Path) -> Iterator[str]:
    with walls.root_lent(REMOTE, str(tmp_path / "guest")) as lent:
        yield lent


@pytest.fixture
def small(tmp_path: Path) -> RemoteGuestTree:
    return RemoteGuestTree(REMOTE, str(small_root.build(tmp_path / "small")))


@pytest.mark.parametrize("reach", [ChrootAccess.FILES, ChrootAccess.DISKS])
def test_no_way_leads_out(root: str, target: Target, reach: ChrootAccess) -> None:
    tried = walls.attempts(REMOTE, root, target, reach)
    assert set(tried) == set(escape_attempts.WAYS)
    assert {way: said for way, said in tried.items() if not said.startswith("closed")} == {}


def test_what_installs_has_the_network_and_nothing_more(root: str, target: Target) -> None:
    tried = walls.attempts(REMOTE, root, target, ChrootAccess.NETWORK)
    assert {way for way, said in tried.items() if not said.startswith("closed")} == OF_THE_NETWORK


def test_the_attempts_succeed_where_there_are_no_walls(root: str, target: Target) -> None:
    """In a chroot with all rights they lead out: so they are attempts."""
    ways = ("double chroot", "mount of proc", "mount of memory", "block device", "raw socket",
            "mount name space", "new key", "file by handle", "clock",
            "port outside", "abstract socket", "network")  # fmt: skip
    words = (target.marker, target.process, target.abstract, target.port)
    argv = ["unshare", "--mount", "chroot", root, "python3", "/tmp/escape_attempts.py"]
    tried = REMOTE.run([*argv, *words, *ways], timeout=120).stdout.splitlines()
    found = {line.partition("\t")[0] for line in tried if "\tOPEN" in line}
    # The handle is a made-up one: there is nothing behind it.
    assert found == set(ways) - {"file by handle"}
    assert any(line.startswith("file by handle") and "permitted" not in line for line in tried)


def test_disks_are_lent_to_what_needs_them(tmp_path: Path, small: RemoteGuestTree) -> None:
    folder = tmp_path / "small/dev"
    (folder / "vdb").write_bytes(b"a disk")
    (folder / "disk/by-id").mkdir(parents=True)
    (folder / "disk/by-id/virtio-tw1").symlink_to("../../vdb")
    assert not small.run(["ls", "/dev/disk"], check=False).stdout
    for reach in (ChrootAccess.DISKS, ChrootAccess.NETWORK):
        assert small.run(["cat", "/dev/disk/by-id/virtio-tw1"], reach=reach).stdout == "a disk"
        modes = small.run(["stat", "-c", "%a", "/dev/disk", "/dev/disk/by-id"], reach=reach)
        assert modes.stdout == "755\n755\n"


def test_links_in_place_of_our_mounts_fool_only_the_guest(
    tmp_path: Path, small: RemoteGuestTree
) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    for name in ("proc", "sys"):
        (tmp_path / "small" / name).rmdir()
        (tmp_path / "small" / name).symlink_to("/etc")
    assert small.run(["echo", "still"]).stdout == "still\n"
    assert Path("/proc/self/mountinfo").read_text() == before


def test_what_a_command_started_ends_with_it(small: RemoteGuestTree) -> None:
    begun = time.monotonic()
    small.run(["sh", "-c", "sleep 4713 & sleep 4713 & :"])
    assert time.monotonic() - begun < 60
    assert b"4713" not in b"".join(_command_lines())


def _command_lines() -> list[bytes]:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes())
        except OSError:  # it ended meanwhile
            continue
    return lines


def test_a_killed_command_leaves_nothing_running(tmp_path: Path) -> None:
    root = str(small_root.build(tmp_path / "small"))
    run_inside(REMOTE, root, program("echo"))
    argv = inside(root, program("sh", "-c", "echo begun; sleep 4714"))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=WORKER) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"begun\n"
        running.kill()
    deadline = time.monotonic() + 60
    while b"4714" in b"".join(_command_lines()):
        assert time.monotonic() < deadline, "it still runs"
        time.sleep(0.1)


def test_a_request_to_end_reaches_the_program(tmp_path: Path) -> None:
    root = str(small_root.build(tmp_path / "small"))
    run_inside(REMOTE, root, program("echo"))
    polite = 'trap "echo politely; exit 5" TERM; echo begun; while :; do sleep 0.1; done'
    argv = inside(root, program("sh", "-c", polite))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=WORKER) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"begun\n"
        running.send_signal(signal.SIGTERM)
        assert running.stdout.read() == b"politely\n"
        assert running.wait() == 5


def test_statuses_are_those_of_a_shell(small: RemoteGuestTree) -> None:
    def status(*argv: str) -> int:
        return small.run(argv, check=False).status

    assert status("sh", "-c", "exit 3") == 3
    assert status("sh", "-c", "kill -9 $$") == 128 + signal.SIGKILL
    assert status("nowhere") == 127
    assert status("/etc") == 126
    assert status("sh", "-c", "exit 99") == 99


def test_outputs_stay_apart_and_are_bounded(small: RemoteGuestTree) -> None:
    said = small.run(["sh", "-c", "echo out; echo err >&2; cat"])
    assert (said.stdout, said.stderr) == ("out\n", "err\n")
    endless = "while :; do echo 0123456789012345678901234567890123456789; done"
    flood = small.run(["sh", "-c", endless], check=False, timeout=120)
    assert flood.status == 128 + signal.SIGKILL
    assert flood.stderr == "it printed more than 16 MiB and was ended\n"
    assert len(flood.stdout) <= 16 * 1024 * 1024


def test_a_pipe_that_breaks_ends_its_writer(small: RemoteGuestTree) -> None:
    """Python ignores the signal, and must not hand that on."""
    said = small.run(["sh", "-c", "(while :; do echo y; done; echo $? >&2) | head -c 4"])
    assert (said.stdout, said.stderr) == ("y\ny\n", "")


def test_a_command_that_does_not_end_is_named(small: RemoteGuestTree) -> None:
    with pytest.raises(LateError, match=r"in the guest, `sleep 4715` did not end within 1 s"):
        small.run(["sleep", "4715"], timeout=1)


def test_the_host_name_and_processes_are_its_own(small: RemoteGuestTree) -> None:
    said = small.run(["sh", "-c", "cat /proc/self/status; ls -d /proc/[0-9]*"]).stdout
    assert str(os.getpid()) not in said
    assert "NoNewPrivs:\t1" in said


def test_a_worker_without_what_walls_need_is_named(tmp_path: Path) -> None:
    with pytest.raises(MorphingError, match=r"walls cannot be put up: .*No such file") as caught:
        run_inside(REMOTE, str(tmp_path / "nothing"), program("echo"))
    assert "seccomp" in caught.value.hint
