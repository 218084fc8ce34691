# SPDX-License-Identifier: Apache-2.0
"""Ask a libvirt that speaks another language; run with LANGUAGE set, as a process of its own.

Prints a line of JSON: what libvirt itself said, and what our functions made of it.
"""

import contextlib
import json
import locale
import tempfile
from pathlib import Path

import libvirt

from tests.fakes.libvirt_fakes import FakeDomain, open_fake
from tradewind.domainxml.backup import BackupDisk
from tradewind.errors import TradewindError
from tradewind.host import storage
from tradewind.host.connection import translate
from tradewind.host.domain import backup, checkpoints, domains
from tradewind.model.storage import Checkpoint

DOMAIN = """<domain type="test"><name>db</name><memory>1024</memory><os><type>hvm</type></os>
<devices><disk type="file" device="disk"><source file="/x"/><target dev="vda" bus="virtio"/></disk>
</devices></domain>"""


def main() -> None:
    locale.setlocale(locale.LC_ALL, "")
    host = open_fake(Path(tempfile.mkdtemp()))
    domains.start_transient(host, DOMAIN)
    (domain,) = host.listAllDomains()
    found: dict[str, object] = {"label": domains.read_label(domain)}
    with contextlib.suppress(libvirt.libvirtError):
        found["job of a driver without backups"] = backup.current_address(domain._real)
    try:
        host.lookupByName("missing")
    except libvirt.libvirtError as error:
        found["said"] = error.get_error_message()
        found["missing"] = type(translate(error, "old")).__name__
    with contextlib.suppress(libvirt.libvirtError, TradewindError):
        storage.find_volume(host, "asleep", "x")
    found["begun"] = begun(domain)
    print(json.dumps(found))


def begun(domain: FakeDomain) -> object:
    """Count from a checkpoint that the driver does not have: it is told so by the driver itself."""

    class Real(FakeDomain):
        def backupBegin(self, xml: str, checkpoint: str | None, flags: int) -> None:  # noqa: N802
            if "incremental=" in xml:
                self._real.checkpointLookupByName("old")
            super().backupBegin(xml, checkpoint, flags)

    checkpoints.redefine(domain, Checkpoint(name="other", machine_id="", created=1))
    disks = [BackupDisk(target="vda", scratch="/s", since="old", tracked=True)]
    job = backup.BackupRequest("/var/tmp/tradewind-0123456789ab/nbd", disks, checkpoint="new")
    (disk,) = backup.begin(Real(domain._real, domain.connect()), job).disks
    return [disk.since, disk.tracked, disk.why]


if __name__ == "__main__":
    main()
