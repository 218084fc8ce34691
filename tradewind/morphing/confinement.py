# SPDX-License-Identifier: Apache-2.0
"""Run a guest's programs in the worker, inside the guest's root and out of everybody's sight.

A chroot alone is no wall: /proc/1/root leads out of it, and what is written to
/proc/sys/kernel/core_pattern starts a program outside. So each command gets process IDs of its own,
where it is number 1 and /proc shows nothing but its children, which end with it; /proc/sys is
read-only. Programs in it cannot load kernel modules, set the clock or restart the worker.
"""

from collections.abc import Sequence
from typing import Final

# SYSTEMD_OFFLINE: systemctl cannot tell by itself any more that it is in a chroot.
ENVIRONMENT: Final = (
    "/usr/bin/env",
    "-i",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "LC_ALL=C",
    "TERM=dumb",
    "SYSTEMD_OFFLINE=1",
)
_ENTER: Final = """
root=$1; shift
mount -o bind,ro "$root/proc/sys" "$root/proc/sys" || exit 125
if command -v setpriv >/dev/null; then
    set -- setpriv --bounding-set -sys_module,-sys_time,-sys_boot,-sys_rawio "$@"
fi
exec "$@"
"""
_NAMESPACES: Final = ("unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child")


def confined(root: str, argv: Sequence[str]) -> list[str]:
    """Say how a command of the guest mounted at `root` is run."""
    inside = ["chroot", root, *ENVIRONMENT, *argv]
    return [*_NAMESPACES, f"--mount-proc={root}/proc", "sh", "-c", _ENTER, "sh", root, *inside]
