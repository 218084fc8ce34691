# SPDX-License-Identifier: Apache-2.0
"""A host's private files: what its mount namespace shows in place of this machine's."""

import os
import shutil
import stat
from pathlib import Path
from typing import Final, NamedTuple

import images
from lab import settings
from lab.commands import call
from lab.records import EVERY_HOST, HostPlan


class _Folder(NamedTuple):
    path: str
    mode: int = 0o755
    owner: str = "root"
    group: str = "root"


# As Debian's packages make them; tests that look at permissions must see what a real host has.
_FOLDERS: Final = (
    _Folder("home"),
    _Folder("root", 0o700),
    _Folder("run"),
    _Folder("run/lock", 0o1777),
    _Folder("run/sshd"),
    _Folder("tmp", 0o1777),
    _Folder("var/cache/libvirt", 0o711),
    _Folder("var/cache/libvirt/qemu", 0o711),
    _Folder("var/lib/libvirt"),
    _Folder("var/lib/libvirt/boot", 0o711),
    _Folder("var/lib/libvirt/images", 0o711),
    _Folder("var/lib/libvirt/qemu", 0o750, "libvirt-qemu", "libvirt-qemu"),
    _Folder("var/lib/libvirt/tiny", 0o711),
    _Folder("var/lib/libvirt/worker-images", 0o711),
    _Folder("var/lib/swtpm-localca", 0o750, "tss"),
    _Folder("var/log"),
    _Folder("var/log/libvirt"),
    _Folder("var/log/libvirt/qemu"),
    _Folder("var/tmp", 0o1777),
)

# What the host's mount namespace shows from its own folder.
MOUNTED: Final = (
    "etc",
    "home",
    "root",
    "run",
    "tmp",
    "var/cache/libvirt",
    "var/lib/libvirt",
    "var/lib/swtpm-localca",
    "var/log",
    "var/tmp",
)

# polkitd does not run in the hosts. On a stock Debian host its rules let the members of group
# libvirt in without a password; here the socket's own permissions say the same.
_LIBVIRTD = """\
unix_sock_group = "libvirt"
unix_sock_rw_perms = "0770"
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
"""

# QEMU runs as Debian's stock user and group. What is switched off needs a kernel or an init system
# that a namespace on a borrowed machine cannot count on.
_QEMU = """\
security_driver = "none"
namespaces = []
cgroup_controllers = []
"""

_SSHD = """\
Port 22
ListenAddress {address}
HostKey /etc/ssh/ssh_host_ed25519_key
PidFile /run/sshd.pid
AuthorizedKeysFile .ssh/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
UsePAM no
Subsystem sftp /usr/lib/openssh/sftp-server
"""


def lay_out(plan: HostPlan) -> None:
    """Make the host's private files, unless they are there already."""
    if (plan.folder / "etc").exists():
        return
    root = system(plan)
    for folder in _FOLDERS:
        path = plan.folder / folder.path
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, *_owner(folder, root))
        path.chmod(folder.mode)
    unfinished = plan.folder / "etc.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    call(["cp", "--archive", str(root / "etc"), str(unfinished)])
    _configure(plan, unfinished)
    unfinished.rename(plan.folder / "etc")


def system(plan: HostPlan) -> Path:
    """Return the root folder whose programs the host runs, built now if it has to be."""
    return images.build_host(plan.system) if plan.system else Path("/")


def _owner(folder: _Folder, root: Path) -> tuple[int, int]:
    """Look the owner's numbers up as the host's system has them; root where it knows no such."""
    return _number(root / "etc/passwd", folder.owner), _number(root / "etc/group", folder.group)


def _number(table: Path, name: str) -> int:
    """Find a name's number in a file of the form of passwd(5) or group(5)."""
    rows = (line.split(":") for line in table.read_text().splitlines())
    return next((int(row[2]) for row in rows if row[0] == name), 0)


def make_kvm_node(plan: HostPlan, *, works: bool) -> None:
    """Give the host a /dev/kvm as udev makes it on a real one, or one that nobody can use.

    libvirt offers only emulation when QEMU's user cannot open the device. When it can, and QEMU
    then finds no KVM behind it (/dev/null with its usual mode), libvirt asks QEMU for its
    capabilities again on every call: two to five seconds each, also for `virsh dumpxml`.
    """
    device, node = Path("/dev/kvm"), plan.folder / "kvm"
    if device.exists():
        node.unlink(missing_ok=True)
        os.mknod(node, stat.S_IFCHR, (device if works else Path("/dev/null")).stat().st_rdev)
        shutil.chown(node, "root", "kvm" if works else "root")
        node.chmod(0o660 if works else 0o600)


def _configure(plan: HostPlan, etc: Path) -> None:
    # A copied resolv.conf is often a link that leads nowhere here. An empty one makes libvirt's
    # dnsmasq refuse a name at once, where an unreachable server would let guests wait.
    for name in ("hosts", "hostname", "resolv.conf"):
        (etc / name).unlink(missing_ok=True)
    names = [f"{each.address} {each.name}" for each in EVERY_HOST]
    controller = f"{settings.CONTROLLER} controller mirror"
    _write(etc / "hosts", "\n".join(["127.0.0.1 localhost", controller, *names, ""]))
    _write(etc / "hostname", f"{plan.name}\n")
    _write(etc / "resolv.conf", "# No name server: nothing outside can be reached.\n")
    _configure_libvirt(etc / "libvirt")
    _configure_sshd(plan, etc / "ssh")


def _configure_libvirt(folder: Path) -> None:
    """Keep what the package ships, drop the machine's own guests, networks and pools."""
    for name in ("qemu", "storage", "secrets", "hooks"):
        shutil.rmtree(folder / name, ignore_errors=True)
    _write(folder / "libvirtd.conf", _LIBVIRTD)
    _write(folder / "qemu.conf", _QEMU, 0o600)


def _configure_sshd(plan: HostPlan, folder: Path) -> None:
    for copied in folder.glob("ssh_host_*"):
        copied.unlink()  # the machine's own identity does not belong to its hosts
    _make_key(folder / "ssh_host_ed25519_key", plan.name)
    _write(folder / "sshd_config", _SSHD.format(address=plan.address))


def host_key(plan: HostPlan) -> str:
    """Return the host's line of a known_hosts file."""
    public = (plan.folder / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
    return " ".join([plan.address, *public.split()[:2]])


def make_account_key() -> None:
    """Make the SSH key with which the controller enters the hosts."""
    if not settings.key_file.exists():
        settings.key_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_key(settings.key_file, "tradewind-lab")


def _make_key(path: Path, comment: str) -> None:
    call(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.write_text(text)
    path.chmod(mode)
