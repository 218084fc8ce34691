# SPDX-License-Identifier: Apache-2.0
"""Programs that try what a taken-over QEMU would try."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.images import make_qcow2
from tradewind.errors import NotFoundError, StreamError
from tradewind.sources.images import confinement, qemu
from tradewind.sources.images.confinement import (
    Bubblewrap,
    Command,
    Confinement,
    Limits,
    Namespaces,
    Unconfined,
)
from tradewind.sources.images.door import open_image
from tradewind.sources.nbd import open_reader
from tradewind.waiting import wait_for

MiB = 1 << 20
LIMITS = Limits(memory=1 << 30, cpu_seconds=20)
# The system's own Python is inside, ours may lie elsewhere.
PYTHON = "/usr/bin/python3"

CONFINED: list[Confinement] = [Bubblewrap(), Namespaces()]
ALL: list[Confinement] = [*CONFINED, Unconfined("a test")]


def trying(
    room: Confinement, program: str, files: tuple[int, ...] = (), limits: Limits = LIMITS
) -> "subprocess.CompletedProcess[str]":
    names = " ".join(room.names(files))
    command = Command((PYTHON, "-I", "-S", "-c", program, names), files, limits)
    return confinement.run(room, command, 60)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    path = tmp_path / "disk.img"
    path.write_bytes(b"what the disk holds")
    descriptor = os.open(path, os.O_RDONLY)
    yield path, descriptor
    os.close(descriptor)


def test_here_programs_are_confined() -> None:
    assert confinement.find() == Bubblewrap()
    assert confinement.find().findings() == ()


@pytest.mark.parametrize("room", ALL)
def test_the_file_is_the_one_that_was_opened(room: Confinement, file: tuple[Path, int]) -> None:
    _, descriptor = file
    done = trying(room, "import sys; print(open(sys.argv[1]).read())", (descriptor,))
    assert (done.returncode, done.stdout, done.stderr) == (0, "what the disk holds\n", "")


@pytest.mark.parametrize("room", CONFINED)
def test_a_file_that_was_swapped_is_noticed(room: Confinement, file: tuple[Path, int]) -> None:
    path, descriptor = file
    path.rename(path.with_name("aside"))
    path.write_text("something else")
    done = trying(room, "import sys; print(open(sys.argv[1]).read())", (descriptor,))
    assert "something else" not in done.stdout
    if done.returncode == 0:  # the kernel still knows the file by its new name
        assert done.stdout == "what the disk holds\n"


@pytest.mark.parametrize("room", CONFINED)
@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys; open(sys.argv[1], 'r+b')", "Read-only file system"),
        ("open('/etc/passwd')", "No such file"),
        ("open('/proc/self/environ')", "No such file"),
        ("import os; os.listdir('/root')", "No such file"),
        ("import os; os.listdir('/home')", "No such file"),
        ("import os; os.listdir('/tmp')", "No such file"),
        ("open('/dev/tty')", "No such file"),
        ("open('/usr/new', 'w')", "Read-only file system"),
        ("open('/new', 'w')", "Read-only file system"),
        ("import os; os.mknod('/dev/sda', 0o60600, 0x0800)", "Operation not permitted|Read-only"),
        ("import os; os.chroot('/usr')", "Operation not permitted"),
        ("import os; os.setuid(1234)", "Operation not permitted|Invalid argument"),
    ],
)
def test_there_is_nothing_but_the_file(
    room: Confinement, file: tuple[Path, int], program: str, said: str
) -> None:
    done = trying(room, program, (file[1],))
    assert done.returncode == 1
    assert re.search(said, done.stderr.splitlines()[-1])


@pytest.mark.parametrize("room", CONFINED)
def test_it_has_processes_of_its_own(room: Confinement) -> None:
    assert int(trying(room, "import os; print(os.getpid())").stdout) < 10


@pytest.mark.parametrize("room", CONFINED)
def test_there_is_no_network_not_even_that_of_this_machine(room: Confinement) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        reach = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5); print('in')"
        assert trying(Unconfined(""), reach).stdout == "in\n"
        assert "in" not in trying(room, reach).stdout
        name = f"\\0tradewind-test-{os.getpid()}"
        with socket.socket(socket.AF_UNIX) as abstract:
            abstract.bind(name.replace("\\0", "\0"))
            abstract.listen()
            reach = f"import socket; socket.socket(socket.AF_UNIX).connect('{name}'); print('in')"
            assert trying(Unconfined(""), reach).stdout == "in\n"
            assert "in" not in trying(room, reach).stdout


@pytest.mark.parametrize("room", ALL)
def test_nothing_of_our_environment_gets_in(
    room: Confinement, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "LD_PRELOAD",
        "QEMU_MODULE_DIR",
        "G_MESSAGES_DEBUG",
        "PREFECT_API_KEY",
        "PYTHONPATH",
    ):
        monkeypatch.setenv(name, "/tmp/of-ours")
    done = trying(room, "import os; print(sorted(set(os.environ) - {'PWD', 'LC_ALL', 'PATH'}))")
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("room", ALL)
def test_no_privileges_can_be_gained(room: Confinement) -> None:
    asks = "import ctypes; print(ctypes.CDLL(None).prctl(39, 0, 0, 0, 0))"  # PR_GET_NO_NEW_PRIVS
    assert trying(room, asks).stdout == "1\n"


@pytest.mark.parametrize("room", ALL)
def test_memory_has_a_limit(room: Confinement) -> None:
    assert "MemoryError" in trying(room, "bytearray(2 << 30)").stderr
    shared = trying(room, "import mmap; mmap.mmap(-1, 5 << 30)")  # no memory of its own, it says
    assert "Cannot allocate memory" in shared.stderr


@pytest.mark.parametrize("room", ALL)
def test_cpu_time_has_a_limit(room: Confinement) -> None:
    done = trying(room, "while True: pass", limits=Limits(memory=1 << 30, cpu_seconds=1))
    assert done.returncode != 0, "it never ends by itself"


@pytest.mark.parametrize("room", ALL)
def test_time_has_a_limit(room: Confinement) -> None:
    command = Command((PYTHON, "-c", "import time; time.sleep(1000)"), (), LIMITS)
    with pytest.raises(StreamError, match=r"took more than 0\.5 s"):
        confinement.run(room, command, 0.5)


@pytest.mark.parametrize("room", ALL)
def test_what_it_says_has_a_limit(room: Confinement) -> None:
    limits = Limits(memory=1 << 30, cpu_seconds=20, file_size=MiB)
    done = trying(room, "while True: print('x' * 100_000)", limits=limits)
    assert done.returncode != 0
    assert len(done.stdout) <= MiB


@pytest.mark.parametrize("room", ALL)
def test_images_are_served_by_each_of_the_ways(
    room: Confinement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confinement, "find", lambda: room)
    held = make_qcow2(tmp_path / "base.qcow2", MiB, {0: b"of the base", 512: b"\x07" * 70000})
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2"]
    subprocess.run([*argv, tmp_path / "top.qcow2"], check=True)
    buffer = bytearray(MiB)
    with open_image(tmp_path, tmp_path / "top.qcow2") as image:
        assert qemu.measure(image) == MiB
        qemu.check(image)
        with qemu.served(image, tmp_path, "one") as at, open_reader(at) as reader:
            reader.readinto(memoryview(buffer), 0)
    assert bytes(buffer) == held


@pytest.mark.parametrize("room", ALL)
def test_files_of_other_accounts_are_read_as_ever(
    room: Confinement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confinement, "find", lambda: room)
    path = tmp_path / "disk.qcow2"
    make_qcow2(path, MiB, {})
    path.chmod(0o600)
    os.chown(path, 1234, 1234)
    with open_image(tmp_path, path) as image:
        assert qemu.measure(image) == MiB


def test_an_account_that_is_not_root_is_confined_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a worker under systemd runs: without any capability, and without a way to get one."""
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    bounds = ["setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--"]
    program = (
        "import os; print(open('/image/0').read(), os.getuid(), os.getpid() < 10, os.listdir('/'))"
    )
    with tempfile.NamedTemporaryFile(dir="/tmp") as disk:  # pytest's folders are root's alone
        disk.write(b"what the disk holds")
        disk.flush()
        os.chown(disk.name, 1234, 1234)
        argv = [*LIMITS.argv(), *bounds, *Bubblewrap().argv([disk.fileno()], None, tmp_path)]
        done = subprocess.run(
            [*argv, PYTHON, "-I", "-S", "-c", program],
            user=1234, group=1234, extra_groups=[], pass_fds=[disk.fileno()], env={}, cwd="/",
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("what the disk holds 1234 True")
    assert "proc" not in done.stdout


def test_without_bubblewrap_root_confines_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without(monkeypatch, "bwrap")
    assert confinement.find.__wrapped__() == Namespaces()


def test_where_nothing_works_that_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    without(monkeypatch, "bwrap", "unshare")
    found = confinement.find.__wrapped__()
    assert found == Unconfined("bwrap is not on this machine; unshare is not on this machine")
    [finding] = found.findings()
    assert finding.severity == "warning"
    assert "not confined" in finding.what
    assert "bubblewrap" in finding.remedy
    assert "not confined" in caplog.text


def test_an_old_bubblewrap_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "bwrap"
    old.write_text("#!/bin/sh\necho 'bwrap: Unknown option --ro-bind-fd' >&2\nexit 1\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert confinement.failure(Bubblewrap()) == "bwrap: Unknown option --ro-bind-fd"


def test_a_program_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NotFoundError, match=r"qemu-img is not on this machine.*\n.*qemu-utils"):
        confinement.find.__wrapped__()


def test_a_server_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Even when it is killed; `clean_up` of the source counts on it."""
    make_qcow2(tmp_path / "a.qcow2", MiB, {})
    program = (
        "import sys, time; from pathlib import Path\n"
        "from tradewind.sources.images import qemu; from tradewind.sources.images.door import *\n"
        "folder = Path(sys.argv[1])\n"
        "with open_image(folder, folder / 'a.qcow2') as image:\n"
        "    with qemu.served(image, folder, 'one') as at: print(at, flush=True); time.sleep(600)\n"
    )
    argv = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        at = process.stdout.readline().strip()
        with open_reader(Path(at)):
            process.kill()
    with socket.socket(socket.AF_UNIX) as client:
        wait_for(lambda: client.connect_ex(at) != 0, "the server has ended", 30, every=0.1)


def without(monkeypatch: pytest.MonkeyPatch, *programs: str) -> None:
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name in programs else which(name))
