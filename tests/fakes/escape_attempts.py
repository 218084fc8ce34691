# SPDX-License-Identifier: Apache-2.0
"""Every way out of a guest's root that we know, tried from inside: run there as a program.

    python3 escape_attempts.py MARKER OUTSIDE_PID ABSTRACT_SOCKET PORT [WAY…]

Prints a line for each way: its name, a tab, and "closed: …" or "OPEN: …". MARKER is the path of a
file outside, OUTSIDE_PID a process there, ABSTRACT_SOCKET and PORT what listens there.
"""

import ctypes
import fcntl
import os
import resource
import signal
import socket
import stat
import struct
import sys
import time
from collections.abc import Callable

GIVEN = sys.argv[1:5] if __name__ == "__main__" else ["", "0", "", "0"]
MARKER, OUTSIDE, ABSTRACT, PORT = GIVEN[0], int(GIVEN[1]), GIVEN[2], int(GIVEN[3])
LIBC = ctypes.CDLL(None, use_errno=True)
SYSCALLS = {
    "pivot_root": 155, "keyctl": 250, "add_key": 248, "bpf": 321, "perf_event_open": 298,
    "userfaultfd": 323, "io_uring_setup": 425, "open_by_handle_at": 304, "open_tree": 428,
    "move_mount": 429, "fsopen": 430, "mount_setattr": 442, "pidfd_getfd": 438, "clone": 56,
    "clone3": 435, "kexec_load": 246, "init_module": 175, "process_vm_readv": 310, "syslog": 103,
    "kcmp": 312, "acct": 163, "fanotify_init": 300,
}  # fmt: skip
NEW_USER, NEW_MOUNT, NEW_NET = 0x10000000, 0x20000, 0x40000000
WAYS: "dict[str, Callable[[], object]]" = {}


class Closed(Exception):  # noqa: N818
    """The way is no way."""


def way(work: "Callable[[], object]") -> "Callable[[], object]":
    WAYS[work.__name__.replace("_", " ")] = work
    return work


def refused(answer: int) -> int:
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer


def call(name: str, *arguments: object) -> int:
    return refused(LIBC.syscall(SYSCALLS[name], *arguments))


def mount(source: bytes, target: str, kind: bytes, flags: int = 0) -> None:
    os.makedirs(target, exist_ok=True)
    refused(LIBC.mount(source, target.encode(), kind, ctypes.c_ulong(flags), b""))


def seen(path: str) -> None:
    """Whether the file outside is what lies there."""
    if os.path.lexists(path + MARKER) or os.path.lexists(path):
        return
    raise Closed("not seen")


@way
def double_chroot() -> None:
    os.makedirs("/tmp/x", exist_ok=True)
    os.chroot("/tmp/x")
    for _ in range(64):
        os.chdir("..")
    os.chroot(".")
    seen(MARKER)


@way
def parent_of_the_root() -> None:
    os.chdir("/")
    for _ in range(64):
        os.chdir("..")
    seen("." + MARKER)


@way
def roots_and_files_of_all_processes() -> None:
    for pid in (name for name in os.listdir("/proc") if name.isdigit()):
        for link in ("root", "cwd"):
            if os.path.exists(f"/proc/{pid}/{link}{MARKER}"):
                return
        try:
            program = os.readlink(f"/proc/{pid}/exe")
        except OSError:
            continue
        if not os.path.exists(program):
            raise AssertionError(f"{pid} is {program}, which is not the guest's")
    raise Closed("nothing leads out")


@way
def inherited_descriptors() -> None:
    for number in os.listdir("/proc/self/fd"):
        try:
            kind = os.fstat(int(number)).st_mode
        except OSError:
            continue
        if stat.S_ISDIR(kind) or stat.S_ISBLK(kind):
            path = os.readlink(f"/proc/self/fd/{number}")
            if not path.startswith("/proc/"):
                return
    raise Closed("none leads out")


@way
def environment_of_the_first_process() -> None:
    with open("/proc/1/environ", "rb") as file:
        if b"SECRET=" in file.read():
            return
    raise Closed("nothing in it")


@way
def foreign_devices() -> None:
    harmless = {(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)}
    for folder, _, names in os.walk("/dev"):
        for name in names:
            found = os.lstat(os.path.join(folder, name))
            device = (os.major(found.st_rdev), os.minor(found.st_rdev))
            if stat.S_ISBLK(found.st_mode) or (
                stat.S_ISCHR(found.st_mode) and device not in harmless and device[0] != 136
            ):
                return
    raise Closed("only harmless ones")


def written(path: str) -> None:
    with open(path, "wb"):
        return


@way
def all_of_proc_sys() -> None:
    opened = []
    for folder, _, names in os.walk("/proc/sys"):
        for name in names:
            try:
                os.close(os.open(os.path.join(folder, name), os.O_WRONLY))
                opened.append(name)
            except OSError:
                pass
    if opened:
        return
    raise Closed("none can be written")


@way
def kernel_memory() -> None:
    with open("/proc/kcore", "rb") as file:
        if file.read(4) == b"\x7fELF":
            return
    raise Closed("empty")


@way
def foreign_process_by_number() -> None:
    os.kill(OUTSIDE, 0)
    with open(f"/proc/{OUTSIDE}/status") as file:
        if f"Pid:\t{OUTSIDE}\n" in file.read():
            return
    raise Closed("it is one of ours")


@way
def number_of_processes_seen() -> None:
    pids = [name for name in os.listdir("/proc") if name.isdigit()]
    if len(pids) > 4:
        return
    raise Closed(f"{len(pids)} of our own")


@way
def kill_of_all() -> None:
    child = os.fork()
    if child == 0:
        signal.pause()
    os.kill(-1, signal.SIGCONT)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise Closed("reaches our own only")


@way
def memory_of_the_first_process() -> None:
    with open("/proc/1/mem", "rb"):
        return


@way
def user_name_space_by_clone() -> None:
    child = call("clone", NEW_USER | signal.SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)


@way
def user_name_space_by_clone3() -> None:
    arguments = struct.pack("11Q", NEW_USER, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0)
    child = call("clone3", arguments, 88)
    if child == 0:
        os._exit(0)


@way
def name_space_of_the_first_process() -> None:
    end = os.open("/proc/1/ns/mnt", os.O_RDONLY)
    refused(LIBC.setns(end, 0))


@way
def file_by_handle() -> None:
    end = os.open("/", os.O_RDONLY)
    handle = struct.pack("Ii8s", 8, 1, struct.pack("II", 2, 0))
    call("open_by_handle_at", end, handle, 0)


@way
def network_settings() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        fcntl.ioctl(end, 0x8914, struct.pack("16sH22x", b"lo", 0))


@way
def network() -> None:
    names = sorted(name for _, name in socket.if_nameindex())
    if names != ["lo"]:
        return
    raise Closed("loopback only")


@way
def abstract_socket() -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.connect("\0" + ABSTRACT)


@way
def kernel_programs() -> None:
    attributes = ctypes.create_string_buffer(128)
    call("bpf", 0, attributes, 128)


@way
def frozen_file_system() -> None:
    end = os.open("/", os.O_RDONLY)
    fcntl.ioctl(end, 0xC0045877, 0)
    fcntl.ioctl(end, 0xC0045878, 0)


@way
def rights_of_a_program() -> None:
    """A set-user-ID program, or capabilities of a file, give none back."""
    with open("/proc/self/status") as file:
        lines = dict(line.rstrip().split(":\t", 1) for line in file if ":\t" in line)
    allowed = {0, 1, 3, 4, 5, 6, 7, 9, 31}
    bounding = int(lines["CapBnd"], 16)
    more = [number for number in range(64) if bounding >> number & 1 and number not in allowed]
    if more or lines["NoNewPrivs"] != "1" or lines["Seccomp"] != "2":
        return
    raise Closed("none come back")


@way
def core_dump_program() -> None:
    if resource.getrlimit(resource.RLIMIT_CORE) != (1, 1):
        return
    raise Closed("none is started")


# Ways of one call each.
WAYS |= {
    "pivot root": lambda: call("pivot_root", b"/tmp", b"/tmp"),
    "root of the first process": lambda: seen("/proc/1/root" + MARKER),
    "mount of proc": lambda: mount(b"proc", "/tmp/p", b"proc"),
    "mount of sysfs": lambda: mount(b"sysfs", "/tmp/s", b"sysfs"),
    "mount of devtmpfs": lambda: mount(b"devtmpfs", "/tmp/d", b"devtmpfs"),
    "mount of cgroups": lambda: mount(b"cgroup2", "/tmp/c", b"cgroup2"),
    "mount of memory": lambda: mount(b"tmpfs", "/tmp/t", b"tmpfs"),
    "remount of proc": lambda: mount(b"none", "/proc", b"none", 32),
    "remount of sysfs": lambda: mount(b"none", "/sys", b"none", 32 | 4096),
    "unmount of proc": lambda: refused(LIBC.umount2(b"/proc", 2)),
    "new mount calls": lambda: call("fsopen", b"tmpfs", 0),
    "open tree": lambda: call("open_tree", -100, b"/", 1),
    "block device": lambda: os.mknod("/dev/evil", 0o600 | stat.S_IFBLK, os.makedev(7, 0)),
    "memory device": lambda: os.mknod("/dev/mem", 0o600 | stat.S_IFCHR, os.makedev(1, 1)),
    "device of the kernels log": lambda: os.mknod(
        "/tmp/kmsg", 0o600 | stat.S_IFCHR, os.makedev(1, 11)
    ),
    "core pattern": lambda: written("/proc/sys/kernel/core_pattern"),
    "modprobe path": lambda: written("/proc/sys/kernel/modprobe"),
    "sysrq": lambda: written("/proc/sysrq-trigger"),
    "uevent helper": lambda: written("/sys/kernel/uevent_helper"),
    "kernel log": lambda: refused(LIBC.klogctl(3, ctypes.create_string_buffer(4096), 4096)),
    "trace of the first process": lambda: refused(LIBC.ptrace(16, 1, 0, 0)),
    "read of another memory": lambda: call("process_vm_readv", 1, 0, 0, 0, 0, 0),
    "user name space": lambda: refused(LIBC.unshare(NEW_USER)),
    "mount name space": lambda: refused(LIBC.unshare(NEW_MOUNT)),
    "network of ones own again": lambda: refused(LIBC.unshare(NEW_NET)),
    "raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
    "packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3),
    "port outside": lambda: socket.create_connection(("127.0.0.1", PORT), 2).close(),
    "keys": lambda: call("keyctl", 0, -4, 0),
    "new key": lambda: call("add_key", b"user", b"x", b"y", 1, -4),
    "performance events": lambda: call(
        "perf_event_open", ctypes.create_string_buffer(128), 0, -1, -1, 0
    ),
    "page faults": lambda: call("userfaultfd", 0),
    "io uring": lambda: call("io_uring_setup", 1, ctypes.create_string_buffer(128)),
    "kernel modules": lambda: call("init_module", b"", 0, b""),
    "another kernel": lambda: call("kexec_load", 0, 0, 0, 0),
    "restart": lambda: refused(LIBC.reboot(0x89ABCDEF)),
    "clock": lambda: time.clock_settime(
        time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME)
    ),
    "host name": lambda: socket.sethostname("evil"),
    "swap": lambda: refused(LIBC.swapon(b"/tmp/none", 0)),
}


def attempt(name: str, work: "Callable[[], object]") -> None:
    """Try it in a process of its own: some change what the next would find."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        work()
        print(f"{name}\tOPEN: it succeeded")
    except (OSError, Closed) as error:
        print(f"{name}\tclosed: {error}")
    except BaseException as error:  # noqa: BLE001
        print(f"{name}\tOPEN: {error!r}")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    for each in sys.argv[5:] or WAYS:
        attempt(each, WAYS[each])
