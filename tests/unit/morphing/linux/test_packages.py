# SPDX-License-Identifier: Apache-2.0
"""Package systems: which is used, what they say when they fail, and what they leave behind."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.fakes.debian import FakeDebian
from tests.fakes.guest_tree import FakeGuestTree, completed
from tests.fakes.rpm_guest import FakeRpmGuest
from tradewind.errors import MorphingError, PackageError
from tradewind.model.guest import Family, GuestOS, MorphOptions
from tradewind.morphing.linux import packages
from tradewind.morphing.linux.packages import closure, folder
from tradewind.ports import Completed

OPTIONS = MorphOptions()
FAMILIES = {"dnf": Family.RED_HAT, "zypper": Family.SUSE}


@pytest.fixture(params=["dnf", "zypper"])
def guest(request: pytest.FixtureRequest, tmp_path: Path) -> FakeRpmGuest:
    return FakeRpmGuest(tmp_path / "guest", request.param, {})


@pytest.fixture
def system_os(guest: FakeRpmGuest, found: GuestOS) -> GuestOS:
    return found.model_copy(update={"family": FAMILIES[guest.program], "pretty_name": "Some 9"})


@pytest.mark.parametrize(
    ("family", "programs", "name"),
    [
        (Family.DEBIAN, (), "apt"),
        (Family.RED_HAT, ("dnf5", "dnf", "yum"), "dnf"),
        (Family.RED_HAT, ("dnf5", "microdnf"), "dnf5"),
        (Family.RED_HAT, ("yum",), "yum"),
        (Family.RED_HAT, ("microdnf",), "microdnf"),
        (Family.SUSE, ("zypper", "dnf"), "zypper"),
    ],
)
def test_family_and_programs_decide(
    tmp_path: Path, found: GuestOS, family: Family, programs: Sequence[str], name: str
) -> None:
    guest = FakeGuestTree(tmp_path, {f"/usr/bin/{program}": "" for program in programs})
    os = found.model_copy(update={"family": family})
    assert packages.system_of(guest, os).name == name


@pytest.mark.parametrize("family", [Family.UNKNOWN, Family.RED_HAT, Family.SUSE])
def test_no_known_program_is_said(tmp_path: Path, found: GuestOS, family: Family) -> None:
    with pytest.raises(PackageError, match=r"how Debian .* installs software is not known"):
        packages.system_of(FakeGuestTree(tmp_path, {}), found.model_copy(update={"family": family}))


def test_a_package_is_installed_once(guest: FakeRpmGuest, system_os: GuestOS) -> None:
    assert packages.install(guest, system_os, OPTIONS, "cloud-init") == "installed"
    assert {"cloud-init", "python3-configobj"} <= guest.names
    ran = len(guest.commands)
    assert packages.install(guest, system_os, OPTIONS, "cloud-init") == "was installed"
    assert not any(guest.program in command.split()[0] for command in guest.commands[ran:])


def test_subscriptions_and_questions_hold_nothing_up(
    guest: FakeRpmGuest, system_os: GuestOS
) -> None:
    packages.install(guest, system_os, OPTIONS, "cloud-init")
    asked = next(c for c in guest.commands if "install" in c and c.startswith(guest.program))
    quiet = {"dnf": ("-y", "--noplugins"), "zypper": ("--non-interactive", "--no-recommends")}
    assert all(word in asked.split() for word in quiet[guest.program])


def test_stale_locks_of_the_database_go_first(guest: FakeRpmGuest, system_os: GuestOS) -> None:
    packages.install(guest, system_os, OPTIONS, "cloud-init")
    unlocked = next(i for i, c in enumerate(guest.commands) if "/var/lib/rpm/__db.00?" in c)
    asked = next(i for i, c in enumerate(guest.commands) if c.startswith(guest.program))
    assert unlocked < asked


def test_what_is_unreachable_is_told_from_what_is_nowhere(
    guest: FakeRpmGuest, system_os: GuestOS
) -> None:
    with pytest.raises(PackageError, match="repositories do not have it"):
        packages.install(guest, system_os, OPTIONS, "nothing")
    guest.unreachable = True
    with pytest.raises(PackageError, match="cannot be reached from the worker") as caught:
        packages.install(guest, system_os, OPTIONS, "cloud-init")
    assert "repos.d" in caught.value.hint
    assert "packages prepare" in caught.value.hint


def test_what_failed_half_way_is_taken_back(guest: FakeRpmGuest, system_os: GuestOS) -> None:
    before = list(guest.table)
    guest.half = ("python3-configobj", "cloud-init")
    with pytest.raises(PackageError, match="the package system failed") as caught:
        packages.install(guest, system_os, OPTIONS, "failpre")
    assert "rpm --rebuilddb" in caught.value.hint
    assert guest.table == before
    guest.late = True
    with pytest.raises(PackageError, match="it took too long"):
        packages.install(guest, system_os, OPTIONS, "cloud-init")
    assert guest.table == before
    assert any("rpm -qlp" in command for command in guest.commands)


def test_the_old_half_of_an_update_goes(guest: FakeRpmGuest, system_os: GuestOS) -> None:
    guest.enter("python3-configobj", "0.9-1")
    guest.half = ("python3-configobj",)
    with pytest.raises(PackageError):
        packages.install(guest, system_os, OPTIONS, "cloud-init")
    assert ("python3-configobj", "python3-configobj-1.0-1.noarch") in guest.table
    assert ("python3-configobj", "python3-configobj-0.9-1.noarch") not in guest.table


def test_what_cannot_be_taken_back_is_no_mere_shortfall(
    guest: FakeRpmGuest, system_os: GuestOS
) -> None:
    guest.half = ("cloud-init",)
    guest.on("rpm -e", completed)
    with pytest.raises(MorphingError, match="cloud-init could not be installed and could") as e:
        packages.install(guest, system_os, OPTIONS, "cloud-init")
    assert not isinstance(e.value, PackageError)


def test_removing_takes_nothing_else_along(guest: FakeRpmGuest, system_os: GuestOS) -> None:
    system = packages.system_of(guest, system_os)
    guest.enter("open-vm-tools")
    guest.enter("base")
    guest.dependents["open-vm-tools"] = "base"
    assert system.leaving_with("open-vm-tools") == {"base-1.0-1.noarch"}
    with pytest.raises(PackageError, match="is needed by"):
        system.remove("open-vm-tools")
    assert system.matching("open-vm-*", "bas*") == ("base", "bash", "open-vm-tools")
    system.remove("base")
    system.remove("open-vm-tools")
    assert system.matching("*") == ("bash",)


def test_apt_is_asked_what_else_would_go(debian: FakeDebian, found: GuestOS) -> None:
    system = packages.system_of(debian, found)
    debian.installed |= {"open-vm-tools", "ubuntu-server", "vim"}
    debian.dragged_along["open-vm-tools"] = {"ubuntu-server"}
    assert system.leaving_with("open-vm-tools") == {"ubuntu-server"}
    with pytest.raises(PackageError, match="with open-vm-tools would go ubuntu-server"):
        system.remove("open-vm-tools")
    system.remove("vim")
    assert system.matching("*") == ("open-vm-tools", "ubuntu-server")


def test_the_folder_comes_after_the_repositories(
    guest: FakeRpmGuest, system_os: GuestOS, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = MorphOptions(packages_folder="/srv/packages")

    def brought(*_arguments: object) -> str:
        guest.write_text(folder.COMPLETE, "")
        guest.unreachable = False  # now the program reads the folder
        return folder.ROOM

    monkeypatch.setattr(folder, "bring", brought)
    monkeypatch.setattr(closure, "of", lambda *_arguments: ("cloud-init",))
    guest.unreachable = True
    assert packages.install(guest, system_os, options, "cloud-init") == (
        "installed from the prepared packages"
    )
    last = next(c for c in reversed(guest.commands) if "install" in c and guest.program in c)
    alone = {"dnf": "'--disablerepo=*'", "zypper": "--reposd-dir /run/tradewind-zypper/repos"}
    assert alone[guest.program] in last


def test_both_reasons_are_told(guest: FakeRpmGuest, system_os: GuestOS, tmp_path: Path) -> None:
    guest.unreachable = True
    guest.on("uname -m", "x86_64\n")
    options = MorphOptions(packages_folder=str(tmp_path))
    with pytest.raises(PackageError, match="cannot be reached from the worker") as caught:
        packages.install(guest, system_os, options, "cloud-init")
    assert "has nothing for Some 9" in caught.value.message


FACTS = """\
@ /run/p/cloud-init-23.4-1.noarch.rpm
N cloud-init
P cloud-init
P /usr/bin/cloud-init
R python3-configobj
R /bin/sh
R rpmlib(CompressedFileNames)
R (a or b)
@ /run/p/glibc-3-1.x86_64.rpm
N glibc
P libc.so.6
R /bin/sh
@ /run/p/python3-configobj-5.0-1.noarch.rpm
N python3-configobj
P python3-configobj
R libc.so.6
R /usr/bin/tool
@ /run/p/tool-1-1.noarch.rpm
N tool
P /usr/bin/tool
R python3-configobj
"""


def test_only_files_that_are_needed_are_chosen(tmp_path: Path) -> None:
    guest = FakeGuestTree(tmp_path, {})
    guest.on("rpm -qp", FACTS)

    def provides(argv: Sequence[str]) -> Completed:
        assert "(a or b)" not in argv
        words = "bash-5.2\nno package provides python3-configobj\nglibc-2-1.x86_64\n"
        return Completed(
            tuple(argv), 2, words, "error: file /usr/bin/tool: No such file or directory\n"
        )

    guest.on("--whatprovides", provides)
    assert closure.of(guest, "/run/p", ["cloud-init"]) == (
        "/run/p/cloud-init-23.4-1.noarch.rpm",
        "/run/p/python3-configobj-5.0-1.noarch.rpm",
        "/run/p/tool-1-1.noarch.rpm",
    )
    with pytest.raises(PackageError, match="the prepared folder has no nothing"):
        closure.of(guest, "/run/p", ["nothing"])
