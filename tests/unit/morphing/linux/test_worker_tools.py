# SPDX-License-Identifier: Apache-2.0
"""Workers whose image lacks what a guest's disks need: our scripts run in a root of their own."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.fakes import small_root
from tests.fakes.local_remote import LocalRemote
from tradewind.errors import InspectionError, LateError
from tradewind.model.guest import FileSystem
from tradewind.morphing.linux import worker_tools
from tradewind.morphing.linux.worker_tools import Manager, Tool
from tradewind.ports import Completed

ALL = {tool.program for tool in worker_tools.TOOLS}
STACKED = {"LVM2_member", "linux_raid_member", "crypto_LUKS"}


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_root.build(tmp_path_factory.mktemp("worker") / "root")


class StockWorker(LocalRemote):
    """A worker in a root of its own; it has the programs that `put` puts there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "proc/filesystems").write_text("nodev\tsysfs\n\text4\n\txfs\n")
        self.put("modprobe", 'case "$*" in *btrfs) exit 0 ;; esac; exit 1')

    def put(self, name: str, script: str = "") -> None:
        path = self.root / "usr/sbin" / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>/calls\n{script}\n')
        path.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return (self.root / "calls").read_text().splitlines()

    def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60, check: bool = True
    ) -> Completed:
        inside = ["chroot", str(self.root), *argv]
        return super().run(inside, stdin=stdin, timeout=timeout, check=check)


@pytest.fixture
def worker(tmp_path: Path, template: Path) -> StockWorker:
    root = tmp_path / "root"
    small_root.copy(template, root)
    return StockWorker(root)


def install(*programs: str) -> str:
    """Write a package manager that installs empty programs."""
    return "".join(
        f"printf '#!/bin/sh\\n' >/usr/sbin/{name}; chmod 755 /usr/sbin/{name}\n"
        for name in programs
    )


def test_our_own_image_is_asked_once_and_left_alone(worker: StockWorker) -> None:
    for program in ALL:
        worker.put(program)
    workshop = worker_tools.open_workshop(worker)
    assert workshop.lack == worker_tools.MissingTools(frozenset(), frozenset(), None)
    assert not workshop.provide({*STACKED, "ext4", "xfs", "btrfs", "vfat"})
    assert (workshop.unreadable, workshop.notes) == ({}, [])


def test_kernel_that_lacks_a_file_system_is_found(worker: StockWorker) -> None:
    worker.put("modprobe", "exit 1")
    for program in ALL:
        worker.put(program)
    workshop = worker_tools.open_workshop(worker)
    assert not workshop.provide({"xfs", "btrfs"})
    assert workshop.unreadable == {"btrfs": "the kernel of the worker image cannot read btrfs"}


@pytest.mark.parametrize(
    ("manager", "call"),
    [
        ("apt-get", "-qq -y --no-install-recommends install mdadm"),
        ("dnf", "install_weak_deps=False install mdadm"),
        ("zypper", "--non-interactive --quiet install --no-recommends mdadm"),
    ],
)
def test_worker_installs_what_a_guest_needs(worker: StockWorker, manager: str, call: str) -> None:
    for program in ALL - {"mdadm"}:
        worker.put(program)
    worker.put(manager, 'case "$*" in *install*) ' + install("mdadm") + ";; esac")
    workshop = worker_tools.open_workshop(worker)
    assert not workshop.provide({"ext4"})
    assert workshop.provide({"ext4", "linux_raid_member"})
    asked = [line for line in worker.calls if line.startswith(manager)]
    assert asked[-1].endswith(call)
    assert workshop.unreadable == {}
    assert workshop.notes == ["the worker installed what its image lacks: mdadm"]
    assert not workshop.provide({"ext4", "linux_raid_member"})


def test_services_of_new_packages_do_not_start(worker: StockWorker) -> None:
    worker.put(
        "apt-get", 'case "$*" in *install*) sh /usr/sbin/policy-rc.d; echo $? >/asked ;; esac'
    )
    worker_tools.open_workshop(worker).provide({"LVM2_member"})
    assert (worker.root / "asked").read_text() == "101\n"


def test_worker_without_repositories_names_the_package(worker: StockWorker) -> None:
    worker.put("apt-get", "echo 'E: Unable to locate package lvm2'; exit 100")
    workshop = worker_tools.open_workshop(worker)
    assert workshop.provide({"LVM2_member"})
    said = workshop.unreadable["LVM2_member"]
    lacks = "the worker image lacks lvm (package lvm2) and dmsetup (package dmsetup)"
    assert said == f"{lacks}, which could not be installed: E: Unable to locate package lvm2"
    thin = "the worker image lacks thin_check (package thin-provisioning-tools)"
    assert any(thin in note for note in workshop.notes)


def test_one_unknown_package_does_not_keep_the_others_out(worker: StockWorker) -> None:
    for program in ALL - {"lvm", "thin_check"}:
        worker.put(program)
    unknown = "echo no package thin-provisioning-tools; exit 4"
    script = f'case "$*" in *thin*) {unknown} ;; *install*) {install("lvm")} ;; esac'
    worker.put("zypper", script)
    workshop = worker_tools.open_workshop(worker)
    assert workshop.provide({"LVM2_member"})
    assert workshop.unreadable == {}
    assert workshop.notes[0].endswith("could not be installed: no package thin-provisioning-tools")
    assert workshop.notes[1] == "the worker installed what its image lacks: lvm2"


def test_unknown_worker_names_the_package_of_each_family(worker: StockWorker) -> None:
    workshop = worker_tools.open_workshop(worker)
    assert workshop.provide({"crypto_LUKS"})
    assert (
        "dmsetup (Debian: dmsetup, Red Hat: device-mapper, SUSE: device-mapper), and has no"
        in (workshop.unreadable["crypto_LUKS"])
    )


def test_package_manager_that_hangs_is_not_waited_for(
    worker: StockWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.put("dnf")
    workshop = worker_tools.open_workshop(worker)
    run = worker.run

    def hanging(argv: Sequence[str], **more: object) -> Completed:
        if Manager.DNF in argv and "install" not in argv and "--" not in argv:
            raise LateError("`sh` did not end")
        return run(argv)

    monkeypatch.setattr(worker, "run", hanging)
    workshop.provide({"linux_raid_member"})
    assert workshop.unreadable["linux_raid_member"].endswith("installing it took more than 600 s")


def test_less_is_looked_at_where_a_program_is_only_useful(worker: StockWorker) -> None:
    for program in ALL - {"dmsetup"}:
        worker.put(program)
    workshop = worker_tools.open_workshop(worker)
    assert workshop.provide({"ext4"})
    assert workshop.unreadable == {}
    assert workshop.notes[0].startswith("less of the disks is looked at: the worker image lacks")


def test_file_system_without_its_programs_is_refused_by_name() -> None:
    seen = [FileSystem(device="/dev/vdb2", disk=0, partition=2, fstype="xfs")]
    worker_tools.refuse_unreadable(seen, {"btrfs": "no"})
    with pytest.raises(
        InspectionError, match="xfs on partition 2 of disk 1: no xfsprogs"
    ) as caught:
        worker_tools.refuse_unreadable(seen, {"xfs": "no xfsprogs"})
    assert "docs/howto/worker-image.md" in caught.value.hint


@pytest.mark.parametrize("tool", worker_tools.TOOLS, ids=lambda tool: f"{tool.program}")
def test_each_tool_has_a_package_in_each_family(tool: Tool) -> None:
    assert all(tool.package(manager) for manager in Manager)
    assert tool.kinds
