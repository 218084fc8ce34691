# SPDX-License-Identifier: Apache-2.0
"""Where QEMU serves a backup on its host: at a unix socket, or at a port of the loopback.

The socket is in the run's folder, and only the account can open it. A port is open to every
account of the host while the machine is read: QEMU asks for no password, and lists its exports to
whoever asks. So it is for hosts only where a confined QEMU may make no socket.
"""

import secrets
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from tradewind.errors import CapacityError
from tradewind.ports import Remote

SOCKET: Final = "nbd.sock"

# virt_migration_port_t of fedora-selinux's policy (corenetwork.te.in), which QEMU may bind on any
# host; AppArmor's shipped rules (abstractions/libvirt-qemu: `network inet stream`) name no ports.
PORTS: Final = range(49152, 49217)
_LOOPBACK: Final = "127.0.0.1"
# Another program may take a port between our look and QEMU's bind.
_SPARE: Final = 3

# proc_pid_net(5): a line is "sl local_address rem_address st …", addresses are hexadecimal.
_TABLES: Final = "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null"
_COLUMNS: Final = 4


def socket_in(folder: PurePosixPath) -> tuple[str, ...]:
    """Name the only socket there can be in a run's folder."""
    return (str(folder / SOCKET),)


def free_ports(remote: Remote) -> tuple[str, ...]:
    """Choose ports of the host's loopback that nobody uses, to be tried one after the other.

    CapacityError: there is none.
    """
    used = set(_used(remote.run(["sh", "-c", _TABLES], check=False).stdout))
    free = [port for port in PORTS if port not in used]
    if not free:
        raise CapacityError(
            f"none of the ports {PORTS[0]} to {PORTS[-1]} of the host is free",
            "wait until migrations and other backups have ended, or set backup_transport to unix",
        )
    chosen = secrets.SystemRandom().sample(free, min(_SPARE, len(free)))
    return tuple(f"{_LOOPBACK}:{port}" for port in chosen)


def _used(tables: str) -> Iterator[int]:
    for line in tables.splitlines():
        columns = line.split()
        if len(columns) >= _COLUMNS and ":" in columns[1]:
            yield int(columns[1].rpartition(":")[2], 16)


def export_name(target: str, address: str) -> str:
    """Name a disk's export: over TCP so that nobody guesses it."""
    return target if address.startswith("/") else f"{target}-{secrets.token_hex(16)}"
