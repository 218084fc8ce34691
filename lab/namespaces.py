# SPDX-License-Identifier: Apache-2.0
"""A host's namespaces: held open by one sleeping process, entered with nsenter."""

import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from lab import files, processes, settings
from lab.commands import call, words
from lab.errors import LabError
from lab.records import EVERY_HOST, HostPlan, LabHost
from tradewind.shell_programs import program
from tradewind.waiting import wait_for

_HOLD: Final = program(__file__, "hold_namespaces.sh")


def open_namespaces(plan: HostPlan, *, kvm: bool) -> None:
    """Start the sleeping process that holds the host's mounts and host name, unless it runs."""
    if anchor(plan) is not None:
        return
    # Without its anchor the host cannot be entered any more: what still runs there is lost.
    end_processes(plan)
    files.make_kvm_node(plan, works=kvm)
    wait = ["sh", "-c", _HOLD, "sh", plan.name, str(files.system(plan)), *_mounts(plan)]
    shell = ["unshare", "--mount", "--uts", "--propagation", "private", *wait]
    # `ip netns exec` also shows the namespace's own devices in /sys: libvirt looks there.
    # Forking away from us keeps a caller that lives on from having a child that it never reaps.
    done = call(["setsid", "--fork", "ip", "netns", "exec", plan.namespace, *shell])
    if done.stderr:
        raise LabError(f"the namespaces of host {plan.name} could not be made: {done.stderr}")
    # The pipe is let go of an instant before the shell becomes `sleep`.
    wait_for(lambda: anchor(plan), f"the namespaces of host {plan.name}", 5, every=0.02)
    _make_account(plan)


def _mounts(plan: HostPlan) -> list[str]:
    """Return what is seen where: pairs of a source and a target."""
    kvm = Path("/dev/kvm")
    words = [str(plan.folder / "kvm"), str(kvm)] if kvm.exists() else []
    # An older system may lack one (swtpm's), and nothing can be made in a tree that is shared.
    has = files.system(plan)
    folders = [Path("/", name) for name in files.MOUNTED if (has / name).is_dir()]
    # A state folder below /tmp, say, is out of sight as soon as /tmp is mounted over: that last.
    for folder in sorted(folders, key=settings.state_folder.is_relative_to):
        words += [str(plan.folder / folder.relative_to("/")), str(folder)]
    return words


def anchor(plan: HostPlan) -> int | None:
    """Return the pid of the process that holds the host's namespaces, if it lives."""
    return daemon(plan, "anchor", "sleep")


def daemon(plan: HostPlan, pid_file: str, program: str) -> int | None:
    """Return the pid in /run/<pid_file>.pid if that process is this program in this host."""
    with suppress(OSError, ValueError):
        pid = int((plan.folder / "run" / f"{pid_file}.pid").read_text())
        proc = Path("/proc", str(pid))
        same_network = (proc / "ns/net").stat().st_ino == _namespace_number(plan)
        if same_network and (proc / "comm").read_text().strip() == program:
            return pid
    return None


def _namespace_number(plan: HostPlan) -> int:
    return Path("/run/netns", plan.namespace).stat().st_ino


def _make_account(plan: HostPlan) -> None:
    """Make the account that Tradewind uses: no rights but those of groups libvirt and kvm."""
    name = settings.ACCOUNT
    home = plan.folder / "home" / name
    if home.exists():
        return
    # "*" is a password that nobody has; useradd's own "!" would lock the account for SSH too.
    useradd = ["useradd", "--no-log-init", "--create-home", "--shell", "/bin/bash"]
    call(enter(plan, [*useradd, "--password", "*", "--groups", "libvirt,kvm", name]))
    public = settings.key_file.with_suffix(".pub").read_text()
    install = ["install", "-D", "--mode=600", f"--owner={name}", f"--group={name}", "/dev/stdin"]
    call(enter(plan, [*install, f"/home/{name}/.ssh/authorized_keys"]), stdin=public)
    call(enter(plan, ["chown", f"{name}:", f"/home/{name}/.ssh"]))


def enter(plan: HostPlan, argv: Sequence[str]) -> list[str]:
    """Return the command that runs `argv` as root inside the host."""
    pid = anchor(plan)
    if pid is None:
        raise LabError(f"host {plan.name} of the lab is not up", "python -m lab up")
    return ["nsenter", f"--target={pid}", "--mount", "--net", "--uts", "--", *argv]


def plan_of(host: LabHost) -> HostPlan:
    """Return the plan of a host that was handed out."""
    return next(plan for plan in EVERY_HOST if plan.name == host.name)


def run(
    host: LabHost, argv: Sequence[str], *, check: bool = True, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a command as root inside a host, to its end.

    `timeout` is in seconds. Raises LabError when it is over, when the host is not up, and, with
    `check`, when the command fails.
    """
    return call(enter(plan_of(host), argv), check=check, timeout=timeout)


def pids(plan: HostPlan) -> list[int]:
    """Return every process inside the host, its guests and sessions too."""
    if not Path("/run/netns", plan.namespace).exists():
        return []
    return [int(word) for word in words(["ip", "netns", "pids", plan.namespace])]


def end_processes(plan: HostPlan) -> None:
    """End every process inside the host; those that start while we look, as well."""
    for _ in range(3):
        if living := pids(plan):
            processes.end(living)
