# SPDX-License-Identifier: Apache-2.0
"""The folder of one run on a source host, in which QEMU makes the NBD socket of its backup.

Made by the account (set-group-ID, group kvm, nobody else), so that QEMU's user, a member of kvm on
Debian, SUSE and Red Hat, can create the socket and the account can connect to it. Where a security
module confines QEMU, it is where the shipped policy lets QEMU make one:

    none      /var/tmp/tradewind-<run>
    AppArmor  /tmp/pulse-tradewind-<run>, by libvirt's own rule `owner /tmp/pulse-*/* rw`
              (abstractions/libvirt-qemu, the only one for sockets of a path that we can choose)
    SELinux   /var/tmp/tradewind-<run> of type svirt_tmp_t: manage_sock_files_pattern(virt_domain,
              svirt_tmp_t, svirt_tmp_t) in fedora-selinux's policy
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

import libvirt

from tradewind.domainxml import capabilities
from tradewind.errors import HypervisorError
from tradewind.ports import Remote

GROUP: Final = "kvm"
SELINUX_TYPE: Final = "svirt_tmp_t"

_PLAIN: Final = "/var/tmp/tradewind-"  # noqa: S108 - on the source host, mode 2770
_BY_APPARMOR: Final = "/tmp/pulse-tradewind-"  # noqa: S108 - as above
# What libvirt calls an error of a command of QEMU's: qemuMonitorJSONCheckError in its
# src/qemu/qemu_monitor_json.c; SYSTEM_ERROR is of its own calls, such as making a scratch file.
_OF_QEMU: Final = frozenset({libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_ERR_SYSTEM_ERROR})
# Where the sweep looks for them.
PARENTS: Final = tuple(str(PurePosixPath(each).parent) for each in (_PLAIN, _BY_APPARMOR))
_NAMES: Final = re.compile(r"(?:pulse-)?tradewind-([0-9a-f]{12})")


def confined_by(connection: libvirt.virConnect) -> str:
    """Name the security module that confines QEMU on a host: apparmor, selinux or nothing."""
    models = capabilities.security_models(connection.getCapabilities())
    return next((model for model in ("apparmor", "selinux") if model in models), "")


def path_of(run_id: str, confinement: str) -> PurePosixPath:
    """Name a run's folder."""
    return PurePosixPath(f"{_BY_APPARMOR if confinement == 'apparmor' else _PLAIN}{run_id}")


def run_of(name: str) -> str | None:
    """Name the run of a folder of ours; None for any other."""
    found = _NAMES.fullmatch(name)
    return found.group(1) if found else None


def make(remote: Remote, folder: PurePosixPath, confinement: str) -> None:
    """Make a run's folder anew: a second attempt finds what the first could not remove."""
    name = str(folder)
    remote.run(["rm", "-rf", name])
    remote.run(["mkdir", "-m", "0700", name])
    if confinement == "selinux":
        # A confined account may not: then the host needs a rule (deployments/hosts/selinux.te).
        remote.run(["chcon", "-t", SELINUX_TYPE, name], check=False)
    remote.run(["chgrp", GROUP, name])
    remote.run(["chmod", "2770", name])


def remove(remote: Remote, folder: str) -> None:
    """Remove a run's folder; nothing happens when it is gone."""
    remote.run(["rm", "-rf", "--", folder])


@contextlib.contextmanager
def refusals_explained(host: str, confinement: str) -> Iterator[None]:
    """Say what helps when a confined QEMU could not serve a backup.

    HypervisorError takes the place of libvirt's, whose code is that of any command of QEMU's.
    """
    try:
        yield
    except libvirt.libvirtError as error:
        if not confinement or error.get_error_code() not in _OF_QEMU:
            raise
        raise HypervisorError(
            f"{host}: QEMU, which is confined by {confinement}, could not serve the backup:"
            f" {error.get_error_message() or error}",
            "if the host's log shows a denial (`journalctl -k | grep -i denied`), print the rule"
            " that allows it (tradewind endpoint host-rules ENDPOINT), or set backup_transport of"
            " the endpoint to tcp",
        ) from error
