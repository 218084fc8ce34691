# SPDX-License-Identifier: Apache-2.0
"""Nothing is done to a volume that something else uses: whoever it is, and however it says so."""

import ast
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libvirt
import pytest

from tests.fakes.libvirt_fakes import FakeConnection, FakeDomain, FakePool, libvirt_error
from tradewind.domainxml.locations import locations, normal_path
from tradewind.domainxml.pool import folder_pool
from tradewind.errors import BusyError
from tradewind.host import leftovers, storage
from tradewind.host.domain import disks, domains, overlays
from tradewind.host.storage import pools, volume_users
from tradewind.model.leftover import Leftover, LeftoverKind
from tradewind.model.run import Label, LabelState
from tradewind.model.storage import ReplicaVolume, Volume
from tradewind.units import GiB

RUN = "0123456789ab"
NAME = "web01-cafe0001-sda.qcow2"
REPLICA = Volume(pool="fast", name=NAME, capacity=GiB, format="qcow2")
PLAIN = """<domain type="test"><name>{name}</name><memory>1024</memory>
<os><type>hvm</type></os><devices>{disk}</devices></domain>"""
FILE = '<disk type="file" device="disk"><source file="{}"/><target dev="vda"/></disk>'
TWAIN = (
    '<disk type="volume" device="disk"><source pool="{}" volume="{}"/><target dev="vda"/></disk>'
)
OTHER_PATH = f"/srv/linked/{NAME}"


@pytest.fixture
def replica(host: FakeConnection) -> Volume:
    storage.create_volume(host, REPLICA)
    return REPLICA


def define(host: FakeConnection, disk: str, name: str = "byhand", *, start: bool = False) -> None:
    domains.define(host, PLAIN.format(name=name, disk=disk))
    if start:
        domains.start(host, name)


def redefine(host: FakeConnection, disk: str) -> None:
    known = domains.require_domain(host, "byhand").UUIDString()
    xml = PLAIN.format(name="byhand", disk=disk)
    domains.define(host, xml.replace("<memory>", f"<uuid>{known}</uuid><memory>"))


def put_above(host: FakeConnection, pool: str, name: str, below: tuple[str, str]) -> None:
    top = Volume(pool=pool, name=name, capacity=GiB, format="qcow2")
    storage.create_overlay(host, top, storage.require_volume(host, *below))


def refuse(host: FakeConnection, match: str = "byhand") -> None:
    with pytest.raises(BusyError, match=match):
        storage.require_unused(host, [REPLICA])


def test_unused_volume_is_free(host: FakeConnection, replica: Volume) -> None:
    define(host, FILE.format("/pools/fast/other.qcow2"))
    storage.require_unused(host, [replica])
    storage.require_unused(host, [replica.model_copy(update={"name": "gone"})])


@pytest.mark.parametrize("start", [True, False])
@pytest.mark.parametrize(
    "disk",
    [
        FILE.format(f"/pools/fast/{NAME}"),
        FILE.format(f"/pools/./images/..//fast/{NAME}"),
        TWAIN.format("fast", NAME),
        FILE.format(OTHER_PATH),
    ],
    ids=["path", "odd path", "pool and volume", "a path that may be a link to it"],
)
def test_disk_of_a_machine(host: FakeConnection, replica: Volume, disk: str, start: bool) -> None:
    define(host, disk, start=start)
    refuse(host, f"{NAME} by machine byhand")


@pytest.mark.parametrize(
    "disk", [FILE.format("/pools/images/two.snap"), TWAIN.format("images", "two.snap")]
)
def test_bottom_of_a_chain_through_two_pools(
    host: FakeConnection, replica: Volume, disk: str
) -> None:
    put_above(host, "fast", "one.snap", ("fast", NAME))
    put_above(host, "images", "two.snap", ("fast", "one.snap"))
    define(host, disk)
    refuse(host, r"machine byhand.*volume one\.snap, which lies on top")


def test_chain_that_only_the_running_machine_tells_of(
    host: FakeConnection, replica: Volume
) -> None:
    """The overlay lies in no pool: libvirt names what is below in the live XML."""
    below = f"""<backingStore type="file"><format type="qcow2"/>
        <source file="/pools/fast/{NAME}"/><backingStore/></backingStore>"""
    top = FILE.format("/elsewhere/top")
    define(host, top.replace("<target", f"{below}<target"))
    refuse(host)


def test_chain_below_a_file_that_is_in_no_pool(host: FakeConnection, replica: Volume) -> None:
    host.host.files["/elsewhere/top"] = b""
    host.host.backings["/elsewhere/top"] = f"/pools/fast/{NAME}"
    define(host, FILE.format("/elsewhere/top"))
    refuse(host)
    assert not [pool for pool in host.listAllStoragePools() if "peek" in pool.name()]


def test_folder_that_libvirt_does_not_show_is_no_obstacle(
    host: FakeConnection, replica: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise libvirt.libvirtError("no such folder")

    monkeypatch.setattr(FakeConnection, "storagePoolCreateXML", refused)
    define(host, FILE.format("/elsewhere/top"))
    storage.require_unused(host, [replica])


@pytest.mark.parametrize("stops", [True, False])
def test_pool_that_cannot_be_read_any_more_counts_as_stopped(
    host: FakeConnection, replica: Volume, monkeypatch: pytest.MonkeyPatch, stops: bool
) -> None:
    real = FakePool.refresh

    def refresh(pool: FakePool) -> int:
        if pool.name() != "vg":
            return real(pool)
        if stops:
            pool.destroy()
        raise libvirt_error(libvirt.VIR_ERR_SYSTEM_ERROR, "the share is away")

    monkeypatch.setattr(FakePool, "refresh", refresh)
    if stops:
        storage.require_unused(host, [replica])
    else:
        with pytest.raises(libvirt.libvirtError, match="the share is away"):
            storage.require_unused(host, [replica])


def test_stale_look_into_a_folder_hides_and_offers_nothing(
    host: FakeConnection, replica: Volume
) -> None:
    """A process was killed while it looked: what it looked at is in no pool all the same."""
    leftover = f"/elsewhere/tradewind-{RUN}-web01-sda.qcow2"
    host.host.files |= {"/elsewhere/top": b"", leftover: b""}
    host.host.backings["/elsewhere/top"] = f"/pools/fast/{NAME}"
    digest = hashlib.blake2s(b"/elsewhere", digest_size=6).hexdigest()
    host.storagePoolCreateXML(folder_pool(f"{pools.TEMPORARY}{digest}", "/elsewhere"))
    define(host, FILE.format("/elsewhere/top"))
    refuse(host)
    assert leftovers.find(host) == ()


def test_domain_that_ends_at_this_moment_is_no_obstacle(
    host: FakeConnection, replica: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    define(host, FILE.format(f"/pools/fast/{NAME}"))

    def gone(*_: object) -> str:
        raise libvirt_error(libvirt.VIR_ERR_NO_DOMAIN)

    monkeypatch.setattr(FakeDomain, "XMLDesc", gone)
    storage.require_unused(host, [replica])


def test_disk_that_only_the_definition_has(host: FakeConnection, replica: Volume) -> None:
    define(host, FILE.format("/pools/fast/old.qcow2"), start=True)
    redefine(host, FILE.format(f"/pools/fast/{NAME}"))
    refuse(host)


def test_disk_of_a_snapshot(host: FakeConnection, replica: Volume) -> None:
    """As it is after `virsh snapshot-create-as --disk-only`: only the snapshot names it."""
    define(host, FILE.format(f"/pools/fast/{NAME}"))
    before = "<domainsnapshot><name>before</name></domainsnapshot>"
    domains.require_domain(host, "byhand").snapshotCreateXML(before, 0)
    redefine(host, FILE.format("/elsewhere/before.snap"))
    refuse(host)


def test_places_in_a_document_are_all_found() -> None:
    xml = """<domain><os><nvram type="file"><source file="/n/../vars.fd"/></nvram>
    <loader>/usr/share/code.fd</loader></os><devices>
    <disk><source file="/a//b"/><backingStore><source file="/c"/>
      <backingStore><source dev="/dev/vg/d"/></backingStore></backingStore>
      <mirror type="file"><source file="/mirror"/></mirror></disk>
    <disk><source pool="p" volume="v"/></disk>
    <disk><source protocol="rbd" name="pool/image"/></disk>
    <disk device="cdrom"/></devices></domain>"""
    assert locations(xml) == {
        "/vars.fd",
        "/usr/share/code.fd",
        "/a/b",
        "/c",
        "/dev/vg/d",
        "/mirror",
        "p/v",
        "pool/image",
    }


@pytest.mark.parametrize(
    ("path", "plainly"),
    [
        ("//a/./b/../c", "/a/c"),
        ("/dev/mapper/vg-web01--cafe0001--sda.raw", "/dev/vg/web01-cafe0001-sda.raw"),
        ("/dev/mapper/my--vg-root", "/dev/my-vg/root"),
        ("/dev/mapper/mpatha", "/dev/mapper/mpatha"),
        ("rbd/image", "rbd/image"),
    ],
)
def test_paths_are_spelled_in_one_way(path: str, plainly: str) -> None:
    assert normal_path(path) == plainly


def test_own_run_may_use_it_and_only_while_it_is_temporary(
    host: FakeConnection, replica: Volume, label: Label
) -> None:
    define(host, FILE.format(f"/pools/fast/{NAME}"), "worker", start=True)
    put_above(host, "images", f"tradewind-{RUN}-overlay.qcow2", ("fast", NAME))
    domains.write_label(host, "worker", label)
    storage.require_unused(host, [replica], own=RUN)
    for own in ("", "ba9876543210"):
        with pytest.raises(BusyError, match=r"machine worker.*overlay"):
            storage.require_unused(host, [replica], own=own)
    finished = label.model_copy(update={"state": LabelState.FINISHED})
    domains.write_label(host, "worker", finished)
    with pytest.raises(BusyError, match="machine worker"):
        storage.require_unused(host, [replica], own=RUN)


Touch = Callable[[FakeConnection], Any]
NEW = Volume(pool="fast", name="new.qcow2", capacity=GiB, format="qcow2")
ATTACHED = ReplicaVolume(disk_id="sda", volume=REPLICA, serial="tw0", blank=False)


@pytest.mark.parametrize(
    "touch",
    [
        lambda host: storage.delete_volume(host, "fast", NAME),
        lambda host: storage.grow_volume(host, REPLICA),
        lambda host: storage.clone_volume(host, REPLICA, NEW),
        lambda host: storage.upload_bytes(host, REPLICA, b"x"),
        lambda host: storage.upload(host, REPLICA, Path(__file__)),
        lambda host: disks.attach_volume(host, "worker", ATTACHED),
        lambda host: overlays.make(host, REPLICA, NEW),
        lambda host: leftovers.remove(
            host, Leftover(kind=LeftoverKind.VOLUME, run=RUN, name=NAME, place="fast")
        ),
    ],
    ids=["delete", "grow", "clone", "send", "send a file", "attach", "overlay", "leftover"],
)
def test_nothing_is_done_to_a_volume_that_is_used(
    host: FakeConnection, replica: Volume, touch: Touch
) -> None:
    define(host, "", "worker", start=True)
    define(host, FILE.format(f"/pools/fast/{NAME}"))
    with pytest.raises(BusyError, match=f"{NAME} by machine byhand"):
        touch(host)
    assert storage.find_volume(host, "fast", NAME) is not None
    assert storage.find_volume(host, "fast", NEW.name) is None
    assert host.host.plugged == {}


# What changes a volume, in libvirt's words.
CHANGING = frozenset(
    {"resize", "upload", "wipe", "wipePattern", "createXMLFrom", "blockCommit", "blockCopy"}
    | {"blockPull", "blockRebase", "attachDeviceFlags", "attachDevice", "updateDeviceFlags"}
)


def test_whoever_changes_a_volume_asks_first() -> None:
    """A function that calls libvirt to change a volume asks `require_unused` before, itself."""
    sinners, asked = [], set()
    root = Path(volume_users.__file__).parents[2]
    for file in root.rglob("*.py"):
        if "morphing" in file.parts:
            continue  # it knows no libvirt
        for function in ast.walk(ast.parse(file.read_text())):
            if not isinstance(function, ast.FunctionDef):
                continue
            calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
            named = [
                (node.lineno, node.func.attr, "" if node.args else ast.unparse(node.func.value))
                for node in calls
                if isinstance(node.func, ast.Attribute)
            ]
            touching = [
                line
                for line, name, of in named
                if name in CHANGING or (name == "delete" and of and "checkpoint" not in of)
            ]
            asking = [line for line, name, _ in named if name == "require_unused"]
            if touching and not (asking and min(asking) < min(touching)):
                sinners.append(f"{file.name}: {function.name}")
            elif touching:
                asked.add(function.name)
    assert asked >= {"delete_volume", "grow_volume", "clone_volume", "attach_volume", "commit"}
    # A note of 512 bytes is nobody's disk; it is written too often to look at a whole host for it.
    assert sinners == ["contents.py: overwrite_note"]
