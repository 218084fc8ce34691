# SPDX-License-Identifier: Apache-2.0
"""Run something in a guest's root with walls around it: sent to the worker (`guest_loader.py`).

    ROOT REACH CALLS program [NAME=VALUE…] PROGRAM [ARGUMENT…]
    ROOT REACH CALLS files WORK [ARGUMENT…]

`program` runs one of the guest's own; `files` is `guest_files.py`, which needs none of them.
REACH says what is lent beside the guest's files: "files" is nothing, "disks" the nodes that lie in
ROOT/dev, "network" these and the worker's network, "labels" the right to set security labels, which
no program of the guest gets. What the walls are is told in `confinement.py`.

It ends with the program's status, 128 and more when a signal ended it, 125 when the walls could not
be put up. Whatever the program started ends with it. Only the standard library of Python 3.6.
"""

# What `signal` wraps in enumerations: those take a quarter of the time that all of this takes.
import _signal as signal  # type: ignore[import-not-found]
import ctypes
import os
import select
import stat
import struct
import sys

CODES = globals().get("CODES", [])  # this text and `guest_files.py`, compiled
NOT_BEGUN = 125
WORDS = "the guest's walls cannot be put up: "
MOST_OUTPUT = 16 * 1024 * 1024  # bytes of each output
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C",
    "TERM": "dumb",
    "SYSTEMD_OFFLINE": "1",  # systemctl cannot tell by itself that it is in no running system
}

# mount(2), umount2(2), clone(2), prctl(2)
_READ_ONLY, _NO_SUID, _NO_DEV, _NO_EXEC = 1, 2, 4, 8
_BIND, _RECURSIVE, _PRIVATE, _DETACH = 4096, 16384, 1 << 18, 2
_NEW_MOUNT, _NEW_CGROUP, _NEW_UTS, _NEW_IPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
_NEW_PID, _NEW_NET = 0x20000000, 0x40000000
_DEATH_SIGNAL, _DUMPABLE, _SECCOMP, _DROP_BOUND, _NO_NEW_PRIVILEGES, _AMBIENT = 1, 4, 22, 24, 38, 47

# What package scripts need. CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID,
# LINUX_IMMUTABLE, SETFCAP: all else is dropped, what a later kernel invents included.
_KEPT = (0, 1, 3, 4, 5, 6, 7, 9, 31)
_SYS_ADMIN = 21

_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217}
# What tells of the worker's kernel and not of the guest's processes.
_HIDDEN = ("kcore", "kmsg", "keys", "key-users", "timer_list", "sched_debug", "kallsyms")
_NODES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9),
          ("tty", 5, 0))  # fmt: skip
_LINKS = (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
          ("stderr", "/proc/self/fd/2"), ("ptmx", "pts/ptmx"))  # fmt: skip

_LIBC = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: object) -> int:
    """Call the C library; OSError says what it refused."""
    answer = int(getattr(_LIBC, name)(*arguments))
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return answer


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """Mount something; the target is named when it cannot be."""
    words = [os.fsencode(word) for word in (source, target, kind)]
    try:
        call("mount", *words, ctypes.c_ulong(flags), options.encode())
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror} on {target}") from None


def separate(reach: str) -> None:
    """Leave the worker's name spaces."""
    flags = _NEW_MOUNT | _NEW_UTS | _NEW_IPC | _NEW_PID
    call("unshare", flags if reach == "network" else flags | _NEW_NET)
    try:
        call("unshare", _NEW_CGROUP)
    except OSError:
        pass  # a kernel without them has nothing to hide either
    mount("none", "/", "none", _RECURSIVE | _PRIVATE)


def enter(root: str) -> None:
    """Make the guest's root the root of this name space: there is no other root in it any more."""
    mount(root, root, "none", _BIND | _RECURSIVE)
    os.chdir(root)
    call("syscall", _PIVOT_ROOT[os.uname().machine], b".", b".")
    call("umount2", b".", _DETACH)
    os.chdir("/")


def mount_kernel_file_systems(reach: str) -> None:
    """Mount /proc, /sys and /dev; where the guest has links in their place, it fools itself."""
    for path in ("/proc", "/sys", "/dev"):
        os.makedirs(path, 0o755, exist_ok=True)
    closed = _NO_SUID | _NO_DEV | _NO_EXEC
    mount("proc", "/proc", "proc", _READ_ONLY | closed)
    mount("sysfs", "/sys", "sysfs", _READ_ONLY | closed)
    os.chdir("/dev")  # what lies there is reached from here when it is covered
    populate_dev()
    if reach in {"disks", "network"}:
        lend_nodes("")
    os.chdir("/")
    for name in _HIDDEN:
        if os.path.exists("/proc/" + name):
            mount("/dev/null", "/proc/" + name, "none", _BIND)


def populate_dev() -> None:
    """Make a /dev with what every program may use."""
    mount("tmpfs", "/dev", "tmpfs", _NO_SUID | _NO_EXEC, "mode=755,size=1m")
    for name, major, minor in _NODES:
        os.mknod("/dev/" + name, 0o666 | stat.S_IFCHR, os.makedev(major, minor))
    for name, target in _LINKS:
        os.symlink(target, "/dev/" + name)
    os.mkdir("/dev/pts", 0o755)
    mount("devpts", "/dev/pts", "devpts", _NO_SUID | _NO_EXEC, "newinstance,ptmxmode=666,mode=620")
    os.mkdir("/dev/shm")
    mount("tmpfs", "/dev/shm", "tmpfs", _NO_SUID | _NO_DEV | _NO_EXEC, "mode=1777")


def lend_nodes(folder: str) -> None:
    """Put the guest's disks into /dev, and the names that lead to them."""
    for entry in sorted(os.scandir(folder or "."), key=lambda entry: entry.name):
        name = folder + entry.name
        if entry.is_symlink():
            if not os.path.lexists("/dev/" + name):
                os.symlink(os.readlink(name), "/dev/" + name)
        elif entry.is_dir():
            os.makedirs("/dev/" + name, 0o755, exist_ok=True)
            lend_nodes(name + "/")
        elif not os.path.lexists("/dev/" + name):
            os.close(os.open("/dev/" + name, os.O_CREAT | os.O_EXCL))
            mount(name, "/dev/" + name, "none", _BIND)


def raise_loopback() -> None:
    """Set the only interface of a new network up (netdevice(7)): AF_INET, SIOCSIFFLAGS, IFF_UP."""
    end = call("socket", 2, 2, 0)
    call("ioctl", end, ctypes.c_ulong(0x8914), struct.pack("16sH22x", b"lo", 1))
    os.close(end)


def give_up_rights(reach: str, calls: bytes) -> None:
    """Drop capabilities for good, and refuse the system calls that would lead to new ones."""
    kept = {*_KEPT, _SYS_ADMIN} if reach == "labels" else set(_KEPT)
    for capability in range(64):
        if capability not in kept and _LIBC.prctl(_DROP_BOUND, capability, 0, 0, 0) < 0:
            break
    _LIBC.prctl(_AMBIENT, 4, 0, 0, 0)
    low = sum(1 << capability for capability in kept)
    call("capset", struct.pack("Ii", 0x20080522, 0), struct.pack("6I", low, low, 0, 0, 0, 0))
    call("setrlimit", 4, struct.pack("LL", 1, 1))  # RLIMIT_CORE: with 1, no program gets it either
    call("prctl", _NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    code = ctypes.create_string_buffer(calls)
    call("prctl", _SECCOMP, 2, struct.pack("HP", len(calls) // 8, ctypes.addressof(code)), 0, 0)
    call("prctl", _DUMPABLE, 0, 0, 0, 0)


def begin(root: str, reach: str, calls: bytes, argv: "list[str]") -> int:
    """Be the first process in there: put up the walls, run the work, end with its status."""
    call("prctl", _DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    os.setsid()
    os.umask(0)
    enter(root)
    mount_kernel_file_systems(reach)
    if reach != "network":
        raise_loopback()
    os.umask(0o022)
    os.setgroups([0])
    give_up_rights(reach, calls)
    work = os.fork()
    if work == 0:
        sys.path.clear()
        sys.meta_path.clear()  # nothing is imported from the guest
        os._exit(execute(argv[1:]) if argv[0] == "program" else perform(argv[1:]))
    signal.signal(signal.SIGTERM, lambda *_: os.kill(-1, signal.SIGTERM))
    while True:
        ended, status = os.wait()
        if ended == work:
            return told(status)


def perform(arguments: "list[str]") -> int:
    """Work on the guest's files; return the status."""
    sys.argv = ["tradewind", *arguments]
    try:
        exec(CODES[1], {"__name__": "__main__"})
    except SystemExit as end:
        return int(end.code or 0)
    except Exception as error:  # noqa: BLE001 - told, and ended with a status of its own
        sys.stderr.write(f"{error!r}\n")
        return NOT_BEGUN
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def execute(words: "list[str]") -> int:
    """Become a program of the guest; return the status of a shell that cannot."""
    environment = dict(ENVIRONMENT)
    while words and "=" in words[0]:
        name, _, environment[name] = words.pop(0).partition("=")
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them
        signal.signal(number, signal.SIG_DFL)
    os.closerange(3, 256)
    name = words[0]
    folders = [""] if "/" in name else environment["PATH"].split(":")
    refused: OSError = FileNotFoundError(2, os.strerror(2))
    for folder in folders:
        try:
            os.execve(os.path.join(folder, name), words, environment)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            refused = error
    sys.stderr.write(f"{name}: {refused.strerror}\n")
    sys.stderr.flush()
    return 127 if isinstance(refused, FileNotFoundError) else 126


def told(status: int) -> int:
    """Write a wait status as a shell does."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def pass_on(outputs: "dict[int, int]", child: int) -> None:
    """Pass on what is printed until nobody can print any more; end whoever prints without end."""
    left = dict.fromkeys(outputs, MOST_OUTPUT)
    poll = select.poll()
    for end in outputs:
        poll.register(end, select.POLLIN)
    while left:
        for end, _ in poll.poll():
            piece = os.read(end, 65536)
            if not piece:
                poll.unregister(end)
                del left[end]
            elif len(piece) > left[end]:
                os.kill(child, signal.SIGKILL)
                sys.stderr.write("it printed more than 16 MiB and was ended\n")
                return
            else:
                left[end] -= len(piece)
                while piece:
                    piece = piece[os.write(outputs[end], piece) :]


def piped() -> "dict[int, int]":
    """Put pipes in place of the outputs; two that are one stay one. Returns where each leads."""
    same = os.path.sameopenfile(1, 2)
    outputs = {}
    for number in (1,) if same else (1, 2):
        reading, writing = os.pipe()
        outputs[reading] = os.dup(number)
        os.dup2(writing, number)
        os.close(writing)
    if same:
        os.dup2(1, 2)
    return outputs


def main(root: str, reach: str, calls: str, *argv: str) -> int:
    """Run it in there, and hold what it prints within bounds."""
    try:
        separate(reach)
    except OSError as error:
        sys.stderr.write(f"{WORDS}{error}\n")
        return NOT_BEGUN
    outputs = piped()
    child = os.fork()
    if child == 0:
        status = NOT_BEGUN
        try:
            status = begin(os.path.realpath(root), reach, bytes.fromhex(calls), list(argv))
        except Exception as error:  # noqa: BLE001 - told, and ended with a status of its own
            sys.stderr.write(f"{WORDS}{error}\n")
        finally:
            sys.stderr.flush()
            os._exit(status)
    for number, end in zip((1, 2), [*outputs.values()] * 2):
        os.dup2(end, number)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    try:
        pass_on(outputs, child)
    except OSError:  # nobody listens any more
        os.kill(child, signal.SIGKILL)
    return told(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[2:]))
