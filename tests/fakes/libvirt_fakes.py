# SPDX-License-Identifier: Apache-2.0
"""Libvirt's own test driver, with what it lacks: contents of volumes, hot-plug, backups, agents.

The driver (https://libvirt.org/drvtest.html) keeps pools, volumes, networks and domains in memory,
and judges their XML as the real ones do. Everything that is not written here is its answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import libvirt
from lxml import etree

from tradewind.host.connection import _start_event_loop

DOCUMENTS = Path(__file__).parents[1] / "golden" / "domainxml" / "documents"

# Every pool of the driver holds 100 GiB.
NODE = """
<node>
  <network><name>lan</name><bridge name="lan0"/><forward/>
    <ip address="198.18.5.1" netmask="255.255.255.0"/></network>
  <network><name>stopped</name><bridge name="off0"/><forward/>
    <ip address="198.18.6.1" netmask="255.255.255.0"/></network>
  <pool type="dir"><name>images</name><target><path>/pools/images</path></target></pool>
  <pool type="dir"><name>fast</name><target><path>/pools/fast</path></target></pool>
  <pool type="logical"><name>vg</name><source><name>vg</name></source>
    <target><path>/dev/vg</path></target></pool>
  <pool type="dir"><name>asleep</name><target><path>/pools/asleep</path></target></pool>
</node>
"""

# The extents of the group "vg"; LVM allows every power of two: vgcreate(8), --physicalextentsize.
EXTENT = 1024 * 1024

ACTIVE = libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE
NO_AGENT = "Guest agent is not responding"


def libvirt_error(
    code: int, message: str = "refused", domain: int = libvirt.VIR_FROM_QEMU
) -> libvirt.libvirtError:
    """Make the error that libvirt raises with this code."""
    error = libvirt.libvirtError(message)
    error.err = (code, domain, message, libvirt.VIR_ERR_ERROR, None, None, None, -1, -1)
    return error


def open_fake(folder: Path) -> "FakeConnection":
    """Open a host of our own, with the pools and networks of NODE."""
    _start_event_loop()  # it also keeps libvirt from printing every error
    path = folder / "node.xml"
    path.write_text(NODE)
    real = libvirt.open(f"test://{path}")
    real.networkLookupByName("stopped").destroy()
    real.storagePoolLookupByName("asleep").destroy()
    return FakeConnection(real)


@dataclass
class Host:
    """What the driver does not keep: by path, or by the name of the domain."""

    contents: dict[str, bytearray] = field(default_factory=dict)
    # Files in folders that are no pools, until one is made of them.
    files: dict[str, bytes] = field(default_factory=dict)
    capacities: dict[str, int] = field(default_factory=dict)
    # What the XML of each volume set aside at once, in bytes.
    allocations: dict[str, int] = field(default_factory=dict)
    plugged: dict[str, list[str]] = field(default_factory=dict)
    # What lies below overlays, by path; and how merges of them end.
    backings: dict[str, str] = field(default_factory=dict)
    merge_fails: bool = False
    unplugging: dict[str, int] = field(default_factory=dict)
    backups: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, dict[str, Any]] = field(default_factory=dict)
    # What machines show, as PPM.
    screens: dict[str, bytes] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    # What a backup's XML must not contain, and what is said of it then.
    refusals: list[tuple[str, libvirt.libvirtError]] = field(default_factory=list)
    # How often a guest is looked at until it has let go of a disk.
    looks: int = 1
    # How the next stream behaves.
    breaks_after: int | None = None
    # A download never ends, whatever was asked for.
    floods: bool = False
    garbles: bool = False


class FakeConnection:
    """A virConnect."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.host = Host()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def listAllDomains(self, flags: int = 0) -> list["FakeDomain"]:  # noqa: N802
        return [FakeDomain(domain, self) for domain in self._real.listAllDomains(flags)]

    def createXML(self, xml: str, flags: int = 0) -> "FakeDomain":  # noqa: N802
        domain = self._real.createXML(xml, 0)
        if flags & libvirt.VIR_DOMAIN_START_PAUSED:
            domain.suspend()
        return FakeDomain(domain, self)

    def listAllStoragePools(self, flags: int = 0) -> list["FakePool"]:  # noqa: N802
        return [FakePool(pool, self.host) for pool in self._real.listAllStoragePools(flags)]

    def storagePoolLookupByName(self, name: str) -> "FakePool":  # noqa: N802
        return FakePool(self._real.storagePoolLookupByName(name), self.host)

    def storageVolLookupByPath(self, path: str) -> "FakeVolume":  # noqa: N802
        return FakeVolume(self._real.storageVolLookupByPath(path), self.host)

    def storagePoolCreateXML(self, xml: str, flags: int = 0) -> "FakePool":  # noqa: N802
        pool = self._real.storagePoolCreateXML(xml, flags)
        folder = etree.fromstring(xml).findtext("target/path")
        self.host.calls.append(f"pool {pool.name()} of {folder}")
        for path, content in self.host.files.items():
            if path.rpartition("/")[0] == folder:
                name = path.rpartition("/")[2]
                # A folder's images are probed (storage_util.c); qcow2 has its size at byte 24.
                qcow2 = content.startswith(b"QFI\xfb")
                size = int.from_bytes(content[24:32], "big") if qcow2 else len(content)
                volume = pool.createXML(
                    f"<volume><name>{name}</name><capacity>{size}</capacity><target>"
                    f"<format type='{'qcow2' if qcow2 else 'raw'}'/></target></volume>"
                )
                self.host.contents[volume.path()] = bytearray(content)
        return FakePool(pool, self.host)

    def newStream(self, _flags: int = 0) -> "FakeStream":  # noqa: N802
        return FakeStream(self.host)

    def getCapabilities(self) -> str:  # noqa: N802
        return (DOCUMENTS / "host-capabilities.xml").read_text()

    def getDomainCapabilities(  # noqa: N802
        self,
        _emulator: str | None,
        _arch: str | None,
        machine: str | None,
        virtualization: str | None,
        _flags: int,
    ) -> str:
        kind = "kvm" if virtualization == "kvm" else "tcg"
        if machine is not None and machine.startswith("pc") and "q35" not in machine:
            kind = "pc-tcg"
        return (DOCUMENTS / f"domain-capabilities-{kind}.xml").read_text()

    def baselineHypervisorCPU(self, *_arguments: object) -> str:  # noqa: N802
        return (DOCUMENTS / "expanded-cpu.xml").read_text()


class FakePool:
    """A virStoragePool."""

    def __init__(self, real: Any, host: Host) -> None:
        self._real = real
        self._host = host

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def refresh(self) -> int:
        self._host.calls.append(f"refresh {self._real.name()}")
        return int(self._real.refresh())

    def listAllVolumes(self) -> list["FakeVolume"]:  # noqa: N802
        return [FakeVolume(volume, self._host) for volume in self._real.listAllVolumes()]

    def createXML(self, xml: str) -> "FakeVolume":  # noqa: N802
        volume = self._real.createXML(xml)
        asked = etree.fromstring(xml)
        backing = asked.findtext("backingStore/path")
        if backing:
            self._host.backings[volume.path()] = backing
        self._host.capacities[volume.path()] = self._made(asked, backing)
        self._host.allocations[volume.path()] = int(asked.findtext("allocation") or 0)
        return FakeVolume(volume, self._host)

    def _made(self, asked: Any, backing: str | None) -> int:
        """Say how large libvirt makes a volume: qcow2 in KiB, logical volumes in extents."""
        capacity = int(asked.findtext("capacity") or 0)
        if backing and not capacity:
            below = self._host.capacities.get(backing)
            return below if below else int(self._real_below(backing).info()[1])
        if etree.fromstring(self._real.XMLDesc()).get("type") == "logical":
            unit = EXTENT
        else:
            qcow2 = asked.find("target/format[@type='qcow2']") is not None
            unit = 1024 if qcow2 else 1
        return -(-capacity // unit) * unit

    def _real_below(self, path: str) -> Any:
        return self._real.connect().storageVolLookupByPath(path)

    def createXMLFrom(self, xml: str, original: "FakeVolume") -> "FakeVolume":  # noqa: N802
        clone = self._real.createXMLFrom(xml, original._real)
        asked = etree.fromstring(xml)
        self._host.allocations[clone.path()] = int(asked.findtext("allocation") or 0)
        self._host.contents[clone.path()] = bytearray(self._host.contents[original.path()])
        # qemu-img convert takes the size of what it reads.
        self._host.capacities[clone.path()] = FakeVolume(original._real, self._host).capacity()
        return FakeVolume(clone, self._host)


class FakeVolume:
    """A virStorageVol."""

    def __init__(self, real: Any, host: Host) -> None:
        self._real = real
        self._host = host
        host.contents.setdefault(real.path(), bytearray())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def XMLDesc(self) -> str:  # noqa: N802
        document = etree.fromstring(self._real.XMLDesc())
        capacity = document.find("capacity")
        assert capacity is not None
        capacity.text = str(self.capacity())
        below = self._host.backings.get(self._real.path())
        if below and document.find("backingStore") is None:
            etree.SubElement(etree.SubElement(document, "backingStore"), "path").text = below
        return etree.tostring(document, encoding="unicode")

    def capacity(self) -> int:
        return int(self._host.capacities.get(self._real.path(), self._real.info()[1]))

    def resize(self, capacity: int) -> None:
        if self._pool_type() == "logical":
            raise libvirt_error(
                libvirt.VIR_ERR_NO_SUPPORT, "storage pool does not support changing"
            )
        self._host.capacities[self._real.path()] = -(-capacity // 512) * 512

    def _pool_type(self) -> str:
        pool = self._real.storagePoolLookupByVolume()
        return str(etree.fromstring(pool.XMLDesc()).get("type"))

    def upload(self, stream: "FakeStream", offset: int, _length: int) -> None:
        assert offset == 0
        self._host.contents[self._real.path()].clear()
        stream.content = self._host.contents[self._real.path()]

    def download(self, stream: "FakeStream", offset: int, length: int) -> None:
        content = self._host.contents[self._real.path()]
        stream.content = bytearray(content[offset : offset + length if length else None])
        stream.floods = self._host.floods

    def delete(self) -> None:
        del self._host.contents[self._real.path()]
        self._real.delete()


class FakeStream:
    """A virStream that takes and gives 1000 bytes at a time at most."""

    STEP = 1000

    def __init__(self, host: Host) -> None:
        self._host = host
        self.content = bytearray()
        self.floods = False
        self._done = 0

    def send(self, chunk: bytes) -> int:
        limit = self._host.breaks_after
        if limit is not None and self._done >= limit:
            return -1
        taken = chunk[: self.STEP]
        self.content += bytes(len(taken)) if self._host.garbles else taken
        self._done += len(taken)
        return len(taken)

    def recv(self, size: int) -> bytes:
        if self.floods:
            return bytes(size)
        part = bytes(self.content[self._done : self._done + min(size, self.STEP)])
        self._done += len(part)
        return part

    def finish(self) -> None:
        self._host.calls.append("finish stream")

    def abort(self) -> None:
        self._host.calls.append("abort stream")


class FakeDomain:
    """A virDomain."""

    def __init__(self, real: Any, connection: FakeConnection) -> None:
        self._real = real
        self._connection = connection
        self._host = connection.host

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def connect(self) -> FakeConnection:
        return self._connection

    def createWithFlags(self, flags: int) -> None:  # noqa: N802
        self._real.create()
        if flags & libvirt.VIR_DOMAIN_START_PAUSED:
            self._real.suspend()

    def undefineFlags(self, flags: int) -> None:  # noqa: N802
        self._host.calls.append(f"undefine {self._real.name()} {flags}")
        self._real.undefine()

    def XMLDesc(self, flags: int = 0) -> str:  # noqa: N802
        document = etree.fromstring(self._real.XMLDesc(flags))
        devices = document.find("devices")
        assert devices is not None
        devices.extend(etree.fromstring(device) for device in self._plugged())
        sources = devices.findall("disk/source")
        for index, source in enumerate(reversed(sources), 1):  # as QEMU's nodes are numbered
            source.set("index", str(index))
        return etree.tostring(document, encoding="unicode")

    def attachDeviceFlags(self, device: str, flags: int) -> None:  # noqa: N802
        assert flags == libvirt.VIR_DOMAIN_AFFECT_LIVE
        self._host.plugged.setdefault(self._real.name(), []).append(device)

    def detachDeviceFlags(self, device: str, flags: int) -> None:  # noqa: N802
        """Ask the guest to let go; it does so when its disks have been looked at `looks` times."""
        assert flags == libvirt.VIR_DOMAIN_AFFECT_LIVE
        serial = etree.fromstring(device).findtext("serial")
        assert serial is not None
        self._host.unplugging[serial] = self._host.looks

    def blockCommit(  # noqa: N802
        self, target: str, base: None, top: None, bandwidth: int, flags: int
    ) -> None:
        assert (base, top, bandwidth) == (None, None, 0)
        assert flags == libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE
        self._host.calls.append(f"commit {target}")
        if not self._host.merge_fails:
            self._change_disk(target, "<target", "<mirror ready='yes'/><target")

    def blockJobInfo(self, _target: str, _flags: int) -> dict[str, int]:  # noqa: N802
        return {}

    def blockJobAbort(self, target: str, flags: int) -> None:  # noqa: N802
        """Pivot: what lies below has all that was written above, and takes its place."""
        assert flags == libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT
        above = next(
            path
            for device in self._plugged()
            if (path := self._path_of(device)) in self._host.backings and target in device
        )
        below = self._host.backings[above]
        if self._host.contents[above]:
            self._host.contents[below] = bytearray(self._host.contents[above])
        self._host.calls.append(f"pivot {target}")
        self._change_disk(target, above, below)
        self._change_disk(target, "<mirror ready='yes'/>", "")

    def _path_of(self, device: str) -> str:
        source = etree.fromstring(device).find("source")
        assert source is not None
        return source.get("file") or source.get("dev") or ""

    def _change_disk(self, target: str, old: str, new: str) -> None:
        there = self._host.plugged[self._real.name()]
        there[:] = [
            device.replace(old, new) if f'dev="{target}"' in device else device for device in there
        ]

    def _plugged(self) -> Sequence[str]:
        for serial in list(self._host.unplugging):
            self._host.unplugging[serial] -= 1
            if self._host.unplugging[serial] == 0:
                del self._host.unplugging[serial]
                there = self._host.plugged[self._real.name()]
                there[:] = [device for device in there if f"<serial>{serial}<" not in device]
        return self._host.plugged.get(self._real.name(), [])

    def screenshot(self, stream: FakeStream, screen: int) -> str:
        assert screen == 0
        picture = self._host.screens.get(self._real.name())
        if picture is None:
            raise libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR, "no screen to take a picture of")
        stream.content = bytearray(picture)
        return "image/x-portable-pixmap"

    def interfaceAddresses(self, source: int) -> dict[str, Any]:  # noqa: N802
        self._host.calls.append(f"addresses {source}")
        found = self._host.addresses.get(self._real.name())
        if found is None:
            raise libvirt_error(libvirt.VIR_ERR_AGENT_UNRESPONSIVE, NO_AGENT)
        return found

    def backupBegin(self, xml: str, checkpoint: str | None, flags: int) -> None:  # noqa: N802
        assert flags == 0
        for pattern, error in self._host.refusals:
            if pattern in f"{xml}{checkpoint}":
                raise error
        if checkpoint is not None:
            self._real.checkpointCreateXML(checkpoint)
        self._host.calls.append("begin backup")
        self._host.backups[self._real.name()] = xml

    def backupGetXMLDesc(self) -> str:  # noqa: N802
        try:
            return self._host.backups[self._real.name()]
        except KeyError:
            raise libvirt_error(libvirt.VIR_ERR_NO_DOMAIN_BACKUP, "no domain backup job") from None

    def abortJob(self) -> None:  # noqa: N802
        self._host.calls.append("abort job")
        del self._host.backups[self._real.name()]
