# SPDX-License-Identifier: Apache-2.0
"""Guests in stacks of all kinds, in one real worker: found, mounted, written to, and let go."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

import images
from images import boot, qemu, recipe
from images.commands import run
from tests.fakes import escape_attempts, walls
from tests.live import guest_stacks
from tests.live.guest_stacks import STACKS, Stack
from tradewind.errors import InspectionError, LateError
from tradewind.model.guest import ChrootAccess, GuestOS
from tradewind.model.guest_keys import GuestKey, GuestKeys
from tradewind.model.machine import FirmwareKind
from tradewind.morphing.confinement import on_files, run_inside
from tradewind.morphing.linux import stacks
from tradewind.morphing.linux.inspect import InspectionHints, inspect
from tradewind.morphing.mount import mounted
from tradewind.morphing.tree import RemoteGuestTree
from tradewind.ports import Remote
from tradewind.remote import shell

pytestmark = pytest.mark.live

# What stands on the disks of a stack, and what of them is mounted.
# A file system on a device that answers no more, and the way back.
HANGING = """
set -e
truncate -s 64M /var/tmp/slow
device=$(losetup --find --show /var/tmp/slow)
mkfs.ext4 -q "$device"
dmsetup create slow --table "0 131072 linear $device 0"
mkdir -p /mnt/slow
mount /dev/mapper/slow /mnt/slow
mkdir /mnt/slow/dev /mnt/slow/proc /mnt/slow/sys
echo text >/mnt/slow/file
sync
echo 3 >/proc/sys/vm/drop_caches
dmsetup suspend --noflush --nolockfs slow
"""
GOING_ON = """
dmsetup resume slow
tries=0
until umount /mnt/slow; do tries=$((tries + 1)); [ $tries -lt 60 ] || exit 1; sleep 1; done
dmsetup remove --retry slow
losetup --detach-all
rm -r /mnt/slow /var/tmp/slow
"""
LEFT = """
for serial; do
    lsblk -nro KNAME,TYPE "/dev/disk/by-id/virtio-$serial" | grep -vE ' (disk|part)$'
    lsblk -nro MOUNTPOINT "/dev/disk/by-id/virtio-$serial" | grep .
done
ls /run | grep tradewind
exit 0
"""


def _number_disks() -> dict[str, int]:
    """Give each disk of each stack a serial, and return the size of their sectors."""
    sectors: dict[str, int] = {}
    for stack in STACKS:
        stack.serials[:] = [f"tw{len(sectors) + number}" for number in range(stack.disks)]
        sectors |= dict.fromkeys(stack.serials, stack.sector)
    return sectors | {"own": 512}


def _blank(folder: Path) -> list[str]:
    words: list[str] = []
    for serial, sector in _number_disks().items():
        disk = folder / f"{serial}.qcow2"
        run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "2G"])
        words += qemu.blank_drive(serial, disk, sector)
    return words


def _chosen(request: pytest.FixtureRequest) -> list[Stack]:
    """Name the stacks that this run looks at: building one takes up to half a minute."""
    here = (item for item in request.session.items if item.path == request.path)
    asked = [
        item.callspec.params
        for item in here
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
    ]
    return [stack for stack in STACKS if {"stack": stack} in asked]


@pytest.fixture(scope="module")
def worker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Remote]:
    """The worker, with the guests on its disks."""
    image, hardware = images.build("worker"), recipe.load("worker").hardware
    more = _blank(tmp_path_factory.mktemp("blank"))
    with boot.started(image, hardware, more) as running:
        running.wait_for_login(300)
        key = SecretStr((running.folder / "key").read_text())
        host_key = (running.folder / "known_hosts").read_text().partition(" ")[2].strip()
        with shell.connect("127.0.0.1", running.port, "root", key, host_key) as remote:
            for stack in _chosen(request):
                guest_stacks.build(remote, stack)
            yield remote


def look(worker: Remote, stack: Stack) -> GuestOS:
    keys = GuestKeys(secrets=tuple(GuestKey.of(key) for key in stack.keys), origin="vault")
    machine = InspectionHints(firmware=FirmwareKind.UEFI, root_device=stack.root_device, keys=keys)
    return inspect(worker, stack.serials, machine)


def left(worker: Remote, stack: Stack) -> str:
    return worker.run(["sh", "-c", LEFT, "sh", *stack.serials]).stdout


@pytest.mark.parametrize(
    "stack",
    [
        pytest.param(stack, id=stack.name, marks=[pytest.mark.slow] if stack.slow else [])
        for stack in STACKS
        if not stack.error
    ],
)
def test_it_is_found_written_to_and_let_go(worker: Remote, stack: Stack) -> None:
    os = look(worker, stack)
    print(f"\n{stack.name}: {os.pretty_name}; {', '.join(os.notes)}")
    assert tuple(mount.path for mount in os.mounts) == stack.mounts
    assert tuple(f"{layer.kind} {layer.name}" for layer in os.layers("/")) == stack.layers
    assert all(any(note in said for said in os.notes) for note in stack.notes), os.notes
    assert not any("without its journal" in said for said in os.notes), os.notes
    assert os.kernels == (guest_stacks.KERNEL,)
    with mounted(worker, os) as guest:
        tree = RemoteGuestTree(worker, guest.root)
        for path in stack.mounts:
            tree.write_text(f"{path}/written", stack.name)
        assert_nothing_of_the_worker(worker, tree, guest.root)
    stacks.close(worker, stack.serials)
    assert left(worker, stack) == ""
    again = look(worker, stack)
    with mounted(worker, again) as guest:
        tree = RemoteGuestTree(worker, guest.root)
        assert [tree.read_text(f"{path}/written") for path in stack.mounts] == [stack.name] * len(
            stack.mounts
        )
    stacks.close(worker, stack.serials)
    assert left(worker, stack) == ""


def assert_nothing_of_the_worker(worker: Remote, tree: RemoteGuestTree, root: str) -> None:
    of_worker = {"vda", "vda1", "ttyS0", "console", "mapper"}
    assert "null" in tree.list("/dev")
    assert not {"disk", *of_worker} & set(tree.list("/dev"))
    assert tree.list("/proc/1/root") in {(), tree.list("/")}
    lent = run_inside(worker, root, on_files("list", "/dev"), ChrootAccess.DISKS).stdout.split("\0")
    assert "disk" in lent
    assert not (of_worker - {"mapper"}) & set(lent)


@pytest.mark.parametrize("stack", [s for s in STACKS if s.error], ids=lambda s: s.name)
def test_it_is_refused_with_words(worker: Remote, stack: Stack) -> None:
    with pytest.raises(InspectionError, match=stack.error) as caught:
        look(worker, stack)
    print(f"\n{stack.name}: {caught.value}")
    assert caught.value.hint
    assert left(worker, stack) == ""


@pytest.mark.slow
def test_the_worker_keeps_its_own(worker: Remote) -> None:
    """Its volume group has the name of a guest's; nobody wrote there or took it away."""
    assert worker.run(["cat", "/mnt/own/mine"]).stdout == "mine\n"
    assert worker.run(["ls", "/mnt/own"]).stdout.split() == ["lost+found", "mine"]


def test_no_name_became_a_command_and_no_key_a_file(worker: Remote) -> None:
    for place in ("/pwn", "/tmp/pwned"):
        assert worker.run(["test", "-e", place], check=False).status == 1
    pattern = worker.run(["cat", "/proc/sys/kernel/core_pattern"]).stdout
    assert "written" not in pattern
    search = "grep -rlsF 'correct horse' /run /tmp /var/log /etc /root; journalctl | grep -c horse"
    assert worker.run(["sh", "-c", search], check=False).stdout.strip() == "0"


@pytest.mark.parametrize("reach", [ChrootAccess.FILES, ChrootAccess.DISKS])
def test_no_way_leads_out_of_a_guests_root(worker: Remote, reach: ChrootAccess) -> None:
    """Every one that `tests/unit/morphing/test_walls.py` tries, in the worker's own kernel."""
    with (
        walls.target_lent(worker, "/root") as target,
        walls.root_lent(worker, "/mnt/walls") as root,
    ):
        tried = walls.attempts(worker, root, target, reach)
    print("".join(f"\n{way}: {said}" for way, said in tried.items()))
    assert set(tried) == set(escape_attempts.WAYS)
    assert {way: said for way, said in tried.items() if not said.startswith("closed")} == {}


def test_a_file_system_that_hangs_is_given_up(worker: Remote) -> None:
    worker.run(["sh", "-c", HANGING], timeout=120)
    try:
        with pytest.raises(LateError):
            run_inside(worker, "/mnt/slow", on_files("text", "/file", "1000"), timeout=5)
    finally:
        worker.run(["sh", "-c", GOING_ON], timeout=120)
