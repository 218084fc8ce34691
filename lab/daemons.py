# SPDX-License-Identifier: Apache-2.0
"""What runs on a host: virtlogd, virtlockd, libvirtd and sshd."""

from typing import Final, NamedTuple

from lab import namespaces
from lab.commands import call
from lab.records import HostPlan


class Daemon(NamedTuple):
    """A program that goes to the background when it is ready, and leaves its pid in /run."""

    name: str
    argv: tuple[str, ...]


# libvirtd asks virtlogd for a guest's console file, so that one is first.
DAEMONS: Final = (
    Daemon("virtlogd", ("virtlogd", "--daemon", "--pid-file", "/run/virtlogd.pid")),
    Daemon("virtlockd", ("virtlockd", "--daemon", "--pid-file", "/run/virtlockd.pid")),
    Daemon("libvirtd", ("libvirtd", "--daemon", "--pid-file", "/run/libvirtd.pid")),
    Daemon("sshd", ("/usr/sbin/sshd", "-E", "/var/log/sshd.log")),
)


def start(plan: HostPlan) -> None:
    """Start the daemons that are not running."""
    for daemon in DAEMONS:
        if not is_running(plan, daemon):
            call(namespaces.enter(plan, daemon.argv))


def is_running(plan: HostPlan, daemon: Daemon) -> bool:
    """Return whether the daemon lives in this host."""
    return namespaces.daemon(plan, daemon.name, daemon.name) is not None
