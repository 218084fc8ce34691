# SPDX-License-Identifier: Apache-2.0
"""Libvirt's QEMU driver inside the test's own process: no daemon, no machine is started.

https://libvirt.org/drvqemu.html#embedded-driver. It judges a domain as a host's libvirtd does,
holds it against the QEMU of this machine, and keeps all its files in a folder of its own. A process
can open it once, in one folder.
"""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

import libvirt

from tradewind.host.connection import _start_event_loop


@functools.cache
def embedded() -> "EmbeddedConnection":
    """Open it; what it needs is in deployments/install-system-packages."""
    _start_event_loop()
    # Not below pytest's folders: the paths of QEMU's sockets would be too long.
    root = tempfile.mkdtemp(prefix="embedded-libvirt-")
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return EmbeddedConnection(libvirt.open(f"qemu:///embed?root={root}"), Path(root))


class EmbeddedConnection:
    """A virConnect without storage and networks, which other drivers keep, and without KVM."""

    def __init__(self, real: Any, root: Path) -> None:
        self._real = real
        self.root = root

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def defineXMLFlags(self, xml: str, flags: int) -> libvirt.virDomain:  # noqa: N802
        return self._real.defineXMLFlags(_emulated(xml), flags)

    def domainXMLToNative(self, form: str, xml: str, flags: int) -> str:  # noqa: N802
        return str(self._real.domainXMLToNative(form, _emulated(xml), flags))

    def listAllStoragePools(self, _flags: int = 0) -> list[object]:  # noqa: N802
        return []

    def listAllNetworks(self, _flags: int = 0) -> list[object]:  # noqa: N802
        return []

    def listAllDevices(self, _flags: int = 0) -> list[object]:  # noqa: N802
        return []

    def files(self) -> set[str]:
        """Name what it keeps of domains."""
        kept = ("etc", "lib", "log")
        found = (path for part in kept for path in (self.root / part).rglob("*") if path.is_file())
        return {str(path.relative_to(self.root)) for path in found}


def _emulated(xml: str) -> str:
    """Ask for what every machine has, whether or not this one has KVM."""
    return xml.replace('<domain type="kvm"', '<domain type="qemu"')
