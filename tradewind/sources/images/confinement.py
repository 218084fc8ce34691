# SPDX-License-Identifier: Apache-2.0
"""What QEMU's tools run in: a root of their own with the files that were opened, and limits.

A program gets no environment of ours, no network, no /proc and no new privileges; it sees the
system's programs and libraries, the opened files (read-only, as /image/0, /image/1, …) and at most
one folder to put a socket into. bubblewrap does that; without it, as root, `confine.sh`. Where
neither works the program has its limits and nothing else, and that is said: by a finding of
preflight, and in the log.
"""

import logging
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final, Protocol

from tradewind.errors import NotFoundError, StreamError
from tradewind.model.finding import Finding, warning
from tradewind.private_folders import private_folder
from tradewind.units import GiB, MiB

_log: Final = logging.getLogger(__name__)

ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
_SCRIPT: Final = Path(__file__).with_name("confine.sh")
_SERVE: Final = "/serve"
_PROBE_SECONDS: Final = 30

_MISSING: Final = {
    "qemu-img": "install qemu-utils (Debian), qemu-tools (SUSE) or qemu-img (Fedora)",
    "qemu-nbd": "install qemu-utils (Debian), qemu-tools (SUSE) or qemu-img (Fedora)",
    "bwrap": "install bubblewrap",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program may take: bytes of memory, seconds of CPU, bytes in a file."""

    memory: int
    cpu_seconds: int
    file_size: int = 4 * MiB

    def argv(self) -> list[str]:
        """Set them for what follows; they are inherited, and cannot be raised again.

        Addresses are four times as many: glibc reserves 64 MiB of them for each thread, and QEMU
        has up to 64 threads. A server with 32 files and 16 connections was seen to have 1.6 GB.
        """
        return [
            _program("prlimit"), f"--data={self.memory}", f"--as={4 * self.memory}",
            f"--cpu={self.cpu_seconds}", f"--fsize={self.file_size}", "--core=0", "--",
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, the open files that it gets, and its limits."""

    argv: tuple[str, ...]
    files: tuple[int, ...]
    limits: Limits


class Confinement(Protocol):
    """One way to confine a program."""

    def names(self, files: Sequence[int]) -> tuple[str, ...]:
        """Return what the files of these descriptors are called inside."""
        ...

    def serve(self, folder: Path) -> str:
        """Return what the folder to write to is called inside."""
        ...

    def argv(self, files: Sequence[int], folder: Path | None, root: Path) -> list[str]:
        """Begin a command line; `root` is an empty folder."""
        ...

    def findings(self) -> tuple[Finding, ...]:
        """Return what a person should know of it."""
        ...


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """bwrap(1), for root without a user namespace, for others with one."""

    def names(self, files: Sequence[int]) -> tuple[str, ...]:
        """Count them."""
        return tuple(f"/image/{number}" for number in range(len(files)))

    def serve(self, folder: Path) -> str:
        """Name it as it is bound."""
        return _SERVE

    def argv(self, files: Sequence[int], folder: Path | None, root: Path) -> list[str]:
        """Build a root in memory; --ro-bind-fd compares what it binds with what was opened."""
        bound = [
            word
            for name, descriptor in zip(self.names(files), files, strict=True)
            for word in ("--ro-bind-fd", str(descriptor), name)
        ]
        served = ["--bind", str(folder), _SERVE] if folder else []
        return [
            "bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts",
            "--unshare-cgroup-try", *_own_user(), "--die-with-parent",
            "--ro-bind", "/usr", "/usr", *_system_folders(),
            "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache",
            "--dev-bind", "/dev/null", "/dev/null", "--dir", "/image", *bound, *served,
            "--remount-ro", "/", "--",
        ]  # fmt: skip

    def findings(self) -> tuple[Finding, ...]:
        """Nothing to be said."""
        return ()


@dataclass(frozen=True, slots=True)
class Namespaces:
    """The same with unshare(1) and a script of ours; only for root."""

    def names(self, files: Sequence[int]) -> tuple[str, ...]:
        """Count them."""
        return tuple(f"/image/{number}" for number in range(len(files)))

    def serve(self, folder: Path) -> str:
        """Name it as it is bound."""
        return _SERVE

    def argv(self, files: Sequence[int], folder: Path | None, root: Path) -> list[str]:
        """Have the script build a root in memory; it compares as bubblewrap does."""
        return [
            "unshare", "--mount", "--net", "--ipc", "--uts", "--pid", "--fork", "--kill-child",
            "--propagation=private", "sh", str(_SCRIPT), str(root), str(folder or ""),
            " ".join(str(descriptor) for descriptor in files),
        ]  # fmt: skip

    def findings(self) -> tuple[Finding, ...]:
        """Nothing to be said."""
        return ()


@dataclass(frozen=True, slots=True)
class Unconfined:
    """Limits, no new privileges, no environment; it sees what this account sees."""

    reason: str

    def names(self, files: Sequence[int]) -> tuple[str, ...]:
        """Open the very files again: such a name leads to the file, not to its folder."""
        return tuple(f"/proc/self/fd/{descriptor}" for descriptor in files)

    def serve(self, folder: Path) -> str:
        """Name it as it is."""
        return str(folder)

    def argv(self, files: Sequence[int], folder: Path | None, root: Path) -> list[str]:
        """Do what can be done without any right."""
        return ["setpriv", "--no-new-privs", "--pdeathsig=KILL", "--"]

    def findings(self) -> tuple[Finding, ...]:
        """Say that, and why."""
        return (
            warning(
                "qemu-img and qemu-nbd, which read the disk images, are not confined here",
                "install bubblewrap on the controller, and let its account make namespaces",
                self.reason,
            ),
        )


@cache
def find() -> Confinement:
    """Find what works on this machine, once for each process."""
    reasons = []
    ways: tuple[Confinement, ...] = (Bubblewrap(), Namespaces())
    for each in ways if os.geteuid() == 0 else ways[:1]:
        reason = failure(each)
        if not reason:
            return each
        reasons.append(reason)
    unconfined = Unconfined("; ".join(reasons))
    for finding in unconfined.findings():
        _log.warning("%s (%s): %s", finding.what, finding.evidence, finding.remedy)
    return unconfined


def failure(confinement: Confinement) -> str:
    """Try it with a descriptor; "" when qemu-img runs in it, else why it does not."""
    descriptor = os.open(_program("qemu-img"), os.O_RDONLY | os.O_CLOEXEC)
    limits = Limits(memory=1 * GiB, cpu_seconds=_PROBE_SECONDS)
    try:
        command = Command(("qemu-img", "--version"), (descriptor,), limits)
        done = run(confinement, command, _PROBE_SECONDS)
    except NotFoundError as error:
        return error.message
    finally:
        os.close(descriptor)
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or ["it does not say why"])[-1][:300]


def run(
    confinement: Confinement, command: Command, seconds: float, served: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; StreamError when that takes too long. What it says is bounded.

    `served` is the one folder that it may write to.
    """
    with private_folder() as folder, ExitStack() as stack:
        output, errors = (stack.enter_context(TemporaryFile(dir=folder)) for _ in range(2))
        process = _started(confinement, command, folder, served, output, errors)
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            words = " ".join(command.argv[:2])
            raise StreamError(f"{words} took more than {seconds} s") from None
        finally:
            _end(process)
        return subprocess.CompletedProcess(command.argv, status, _said(output), _said(errors))


@contextmanager
def running(
    confinement: Confinement, command: Command, folder: Path, log: IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    """Lend a program that puts a socket into `folder`; it ends with the thread that called, too."""
    process = _started(confinement, command, folder.parent, folder, log, log)
    try:
        yield process
    finally:
        _end(process)


def _started(
    confinement: Confinement,
    command: Command,
    private: Path,
    folder: Path | None,
    output: IO[bytes],
    errors: IO[bytes],
) -> subprocess.Popen[bytes]:
    """Start it in our session: as a group of its own it was scheduled later, and read slower.

    A terminal of ours is out of its reach all the same: there is no /dev/tty inside.
    """
    root = private / "root"
    root.mkdir(exist_ok=True)
    program, *arguments = command.argv
    first, *outer = confinement.argv(command.files, folder, root)
    return subprocess.Popen(
        [*command.limits.argv(), _program(first), *outer, _program(program), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        env=ENVIRONMENT,
        pass_fds=command.files,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill it, and with it all that is inside: it only reads, and has nothing to end well."""
    process.kill()
    process.wait()


def _program(name: str) -> str:
    """Find a program where the operator has it: inside, PATH is another."""
    found = shutil.which(name)
    if found is None:
        raise NotFoundError(f"{name} is not on this machine", _MISSING.get(name, ""))
    return found


def _said(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _own_user() -> list[str]:
    """Root needs no user namespace, and reads the files of other accounts as it always could."""
    if os.geteuid() == 0:
        return ["--cap-drop", "ALL", "--cap-add", "CAP_DAC_OVERRIDE"]
    return ["--unshare-user"]


def _system_folders() -> list[str]:
    """Have /lib and its like as they are outside: mostly links into /usr."""
    words: list[str] = []
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        folder = Path("/", name)
        if folder.is_symlink():
            words += ["--symlink", str(folder.readlink()), str(folder)]
        elif folder.is_dir():
            words += ["--ro-bind", str(folder), str(folder)]
    return words
