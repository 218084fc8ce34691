# SPDX-License-Identifier: Apache-2.0
"""Tools of other platforms: removed where nothing else needs them, else switched off."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.fakes.debian import FakeDebian
from tests.fakes.guest_tree import completed
from tests.fakes.rpm_guest import FakeRpmGuest
from tradewind.errors import MorphingError
from tradewind.model.guest import Family, GuestOS, MorphOptions
from tradewind.morphing.linux.foreign import settings
from tradewind.morphing.linux.steps import (
    hyperv_daemons,
    old_cloud_agents,
    parallels_tools,
    virtualbox_additions,
    vmware_tools,
    xen_tools,
)
from tradewind.ports import Completed, MorphStep

OPTIONS = MorphOptions()
STEPS: tuple[MorphStep, ...] = (
    vmware_tools, virtualbox_additions, xen_tools, parallels_tools, hyperv_daemons,
    old_cloud_agents,
)  # fmt: skip


@pytest.fixture
def vmware(debian: FakeDebian) -> FakeDebian:
    """A guest with VMware's tools as its distribution has them."""
    debian.installed |= {"open-vm-tools", "open-vm-tools-desktop", "vim"}
    debian.unit_states |= {"vmtoolsd.service": "enabled", "ssh.service": "enabled"}
    debian.write_text("/usr/bin/systemctl", "")
    debian.write_text("/etc/vmware-tools", "the settings")
    with_state(debian)
    return debian


def with_state(guest: FakeDebian | FakeRpmGuest) -> None:
    def disable(argv: Sequence[str]) -> Completed:
        for unit in argv[2:]:
            if guest.unit_states.get(unit) != "static":
                guest.unit_states[unit] = "disabled"
        return completed(argv)

    def mask(argv: Sequence[str]) -> Completed:
        units = [argv[-1] + ".service"] if argv[0] == "sh" else argv[2:]
        guest.unit_states |= dict.fromkeys(units, "masked")
        return completed(argv)

    guest.on("systemctl mask", mask)
    guest.on("systemctl disable", disable)


def test_a_guest_without_any_is_left_alone(debian: FakeDebian, found: GuestOS) -> None:
    debian.write_text("/usr/bin/systemctl", "")
    before = debian.photograph()
    outcomes = [step.apply(debian, found, OPTIONS) for step in STEPS]
    assert not any(outcome.changed or outcome.remedy for outcome in outcomes)
    assert debian.photograph() == before


def test_packages_go_and_their_configuration_is_kept(vmware: FakeDebian, found: GuestOS) -> None:
    outcome = vmware_tools.apply(vmware, found, OPTIONS)
    assert "removed open-vm-tools, open-vm-tools-desktop" in outcome.summary
    assert vmware.installed == {"vim"}
    assert vmware.read_text("/var/backups/tradewind/etc/vmware-tools") == "the settings"
    assert not vmware_tools.apply(vmware, found, OPTIONS).changed


def test_what_others_need_is_only_switched_off(vmware: FakeDebian, found: GuestOS) -> None:
    vmware.installed.add("ubuntu-server")
    vmware.dragged_along["open-vm-tools"] = {"ubuntu-server", "linux-image-generic"}
    outcome = vmware_tools.apply(vmware, found, OPTIONS)
    assert "since linux-image-generic, ubuntu-server would go with it" in outcome.summary
    assert "switched off vmtoolsd.service" in outcome.summary
    assert {"open-vm-tools", "ubuntu-server"} <= vmware.installed
    assert vmware.unit_states == {"vmtoolsd.service": "disabled", "ssh.service": "enabled"}
    again = vmware_tools.apply(vmware, found, OPTIONS)
    assert (again.changed, again.done) == (False, True)


def test_an_apt_that_is_broken_removes_nothing(vmware: FakeDebian, found: GuestOS) -> None:
    vmware.on("--simulate", lambda argv: Completed(tuple(argv), 100, "", "unmet dependencies"))
    outcome = vmware_tools.apply(vmware, found, OPTIONS)
    assert "apt-get cannot say what would go with" in outcome.summary
    assert "open-vm-tools" in vmware.installed


def test_rpm_refuses_what_is_needed(tmp_path: Path, found: GuestOS) -> None:
    guest = FakeRpmGuest(tmp_path, "dnf", {"/usr/bin/systemctl": ""})
    with_state(guest)
    os = found.model_copy(update={"family": Family.RED_HAT})
    guest.enter("open-vm-tools")
    guest.enter("base")
    guest.dependents["open-vm-tools"] = "base"
    assert "base-1.0-1.noarch would go with it" in vmware_tools.apply(guest, os, OPTIONS).summary
    guest.dependents.clear()
    assert vmware_tools.apply(guest, os, OPTIONS).summary == "removed open-vm-tools"
    assert "base" in guest.names


def test_an_installation_without_packages_is_switched_off_and_not_run(
    debian: FakeDebian, found: GuestOS
) -> None:
    debian.write_text("/usr/bin/systemctl", "")
    debian.write_text("/etc/init.d/vmware-tools", "")
    debian.write_text("/usr/bin/vmware-uninstall-tools.pl", "")
    with_state(debian)
    outcome = vmware_tools.apply(debian, found, OPTIONS)
    assert outcome.summary == "switched off vmware-tools"
    assert "/usr/bin/vmware-uninstall-tools.pl" in outcome.remedy
    assert debian.unit_states["vmware-tools.service"] == "masked"
    assert not any("uninstall-tools.pl" in c and "for path" not in c for c in debian.commands)
    assert not vmware_tools.apply(debian, found, OPTIONS).changed


def test_a_unit_that_something_else_starts_is_masked(debian: FakeDebian, found: GuestOS) -> None:
    debian.write_text("/usr/bin/systemctl", "")
    debian.unit_states["prltoolsd.service"] = "static"
    with_state(debian)
    assert parallels_tools.apply(debian, found, OPTIONS).changed
    assert debian.unit_states["prltoolsd.service"] == "masked"


def test_a_unit_that_cannot_be_switched_off_is_no_success(
    debian: FakeDebian, found: GuestOS
) -> None:
    debian.write_text("/usr/bin/systemctl", "")
    debian.unit_states["vboxadd.service"] = "enabled"
    debian.on("systemctl disable", "")
    debian.on("systemctl mask", "")
    with pytest.raises(MorphingError, match=r"vboxadd\.service cannot be switched off"):
        virtualbox_additions.apply(debian, found, OPTIONS)


def test_an_unknown_family_keeps_packages_and_loses_services(
    vmware: FakeDebian, found: GuestOS
) -> None:
    other = found.model_copy(update={"family": Family.UNKNOWN})
    assert vmware_tools.applies_to(other, OPTIONS)
    assert vmware_tools.apply(vmware, other, OPTIONS).summary == "switched off vmtoolsd.service"
    assert "open-vm-tools" in vmware.installed


def test_the_makers_repositories_and_folders_of_the_host_go(
    debian: FakeDebian, found: GuestOS
) -> None:
    folder = "/etc/apt/sources.list.d"
    debian.write_text(f"{folder}/vmware.list", "deb http://packages.vmware.com/tools x main\n")
    debian.write_text(f"{folder}/both.list", "deb http://packages.vmware.com/ x\ndeb http://d/ x\n")
    debian.write_text("/etc/fstab", "/dev/sda1 / ext4\n.host:/ /mnt/hgfs vmhgfs defaults 0 0\n")
    outcome = vmware_tools.apply(debian, found, OPTIONS)
    assert f"{folder}/vmware.list, /mnt/hgfs in /etc/fstab" in outcome.summary
    assert debian.list(folder) == ("both.list",)
    assert debian.read_text("/etc/fstab").splitlines()[1].startswith("# switched off by Tradewind")
    assert not vmware_tools.apply(debian, found, OPTIONS).changed


def test_other_lines_of_fstab_stay_as_they_are() -> None:
    text = "# vboxsf\nshare /mnt/a vboxsf rw\n\tLABEL=x /b  ext4\nvboxsf /c nfs ro"
    new, gone = settings.without(text, ["vboxsf"])
    assert gone == ["/mnt/a"]
    assert [line for line in new.splitlines() if "Tradewind" not in line] == [
        "# vboxsf", "\tLABEL=x /b  ext4", "vboxsf /c nfs ro",
    ]  # fmt: skip


def test_agents_of_the_old_cloud_are_named(debian: FakeDebian, found: GuestOS) -> None:
    debian.installed |= {"google-guest-agent", "walinuxagent"}
    debian.unit_states |= {
        "google-startup-scripts.service": "enabled",
        "walinuxagent.service": "enabled",
    }
    with_state(debian)
    outcome = old_cloud_agents.apply(debian, found, OPTIONS)
    assert outcome.summary.startswith("google-guest-agent, walinuxagent left as they are")
    assert debian.unit_states["google-startup-scripts.service"] == "disabled"
    assert debian.unit_states["walinuxagent.service"] == "enabled"
    assert debian.installed >= {"google-guest-agent", "walinuxagent"}
    assert not old_cloud_agents.apply(debian, found, OPTIONS).changed
