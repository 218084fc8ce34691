# SPDX-License-Identifier: Apache-2.0
"""cloud-init: what it is told, what is taken away, and when it would not start."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.fakes.debian import FakeDebian
from tests.fakes.guest_tree import completed
from tests.fakes.rpm_guest import FakeRpmGuest
from tradewind.errors import MorphingError
from tradewind.model.guest import Family, GuestOS, MorphOptions
from tradewind.morphing.linux.cloudinit import dropin
from tradewind.morphing.linux.steps import cloud_init
from tradewind.ports import Completed

OPTIONS = MorphOptions()
FOLDER = "/etc/cloud/cloud.cfg.d"


@pytest.fixture
def moved(debian: FakeDebian) -> FakeDebian:
    """A guest that had cloud-init before."""
    debian.installed.add("cloud-init")
    debian.unit_states |= {"cloud-init-local.service": "enabled", "cloud-init.service": "enabled"}

    def forget(argv: Sequence[str]) -> Completed:
        shutil.rmtree(debian.root / "var/lib/cloud/instance", ignore_errors=True)
        return completed(argv)

    def set_seed_aside(argv: Sequence[str]) -> Completed:
        seed, kept = (debian.root / path.lstrip("/") for path in argv[-2:])
        kept.parent.mkdir(parents=True)
        seed.rename(kept)
        return completed(argv)

    debian.on("rm -f /var/lib/cloud/instance", forget)
    debian.on('rm -rf "$1"', set_seed_aside)
    return debian


def read(guest: FakeDebian | FakeRpmGuest) -> dict[str, object]:
    loaded: dict[str, object] = YAML(typ="safe").load(guest.read_text(dropin.FILE))
    return loaded


def test_one_that_was_there_is_only_configured(moved: FakeDebian, found: GuestOS) -> None:
    moved.write_text("/etc/cloud/cloud-init.disabled", "")
    moved.write_text("/etc/cloud/ds-identify.cfg", "policy: disabled\n")
    outcome = cloud_init.apply(moved, found, OPTIONS)
    assert (outcome.changed, outcome.done) == (True, True)
    assert "removed /etc/cloud/cloud-init.disabled, /etc/cloud/ds-identify.cfg" in outcome.summary
    assert not moved.exists("/etc/cloud/cloud-init.disabled")
    assert moved.read_text("/var/backups/tradewind/etc/cloud/ds-identify.cfg").startswith("policy")
    assert not any("apt-get" in command for command in moved.commands)
    assert not cloud_init.apply(moved, found, OPTIONS).changed


def test_masked_and_disabled_units_are_enabled(moved: FakeDebian, found: GuestOS) -> None:
    moved.unit_states |= {"cloud-init.service": "masked", "cloud-config.service": "disabled"}
    assert cloud_init.apply(moved, found, OPTIONS).changed
    assert any("unmask cloud-init.service" in command for command in moved.commands)
    assert set(moved.unit_states.values()) == {"enabled"}


def test_one_that_would_not_start_is_no_success(moved: FakeDebian, found: GuestOS) -> None:
    moved.unit_states["cloud-init.service"] = "masked"
    moved.on("systemctl enable", "")
    with pytest.raises(MorphingError, match=r"cloud-init\.service is masked"):
        cloud_init.apply(moved, found, OPTIONS)


def test_the_drop_in_is_what_cloud_init_reads(debian: FakeDebian, found: GuestOS) -> None:
    cloud_init.apply(debian, found, OPTIONS)
    told = read(debian)
    assert told["datasource_list"] == ["NoCloud", "None"]
    assert told["network"] == {"config": "disabled"}
    assert told["ssh_genkeytypes"] == ["ed25519"]  # host keys that are not there are not made
    assert (told["users"], told["ssh_pwauth"], told["preserve_hostname"]) == ([], "unchanged", True)
    cloud_init.apply(debian, found, MorphOptions(retain_user_credentials=False))
    assert "users" not in read(debian)


def test_a_config_drive_is_asked_alone(debian: FakeDebian, found: GuestOS) -> None:
    cloud_init.apply(debian, found, MorphOptions(use_config_drive=True))
    assert read(debian)["datasource_list"] == ["ConfigDrive", "None"]


def test_another_file_is_not_believed_instead(moved: FakeDebian, found: GuestOS) -> None:
    moved.write_text(f"{FOLDER}/zzz-azure.cfg", "datasource_list: [ Azure ]\n")
    moved.write_text(f"{FOLDER}/zzz-motd.cfg", "manage_etc_hosts: true\n")
    moved.write_text(f"{FOLDER}/99-aws.cfg", "datasource_list: [ Ec2 ]\n")
    cloud_init.apply(moved, found, OPTIONS)
    assert moved.list(FOLDER) == ("99-aws.cfg", "zz-99-tradewind.cfg", "zzz-motd.cfg")
    assert moved.exists(f"/var/backups/tradewind{FOLDER}/zzz-azure.cfg")


def test_what_an_image_left_to_be_done_once_is_not_done_again(
    moved: FakeDebian, found: GuestOS
) -> None:
    moved.write_text("/etc/cloud/cloud.cfg", "users:\n - default\nmounts:\n - [a, b]\n")
    moved.write_text(f"{FOLDER}/50-image.cfg", "runcmd:\n  - reboot\nchpasswd:\n  expire: true\n")
    cloud_init.apply(moved, found, OPTIONS)
    told = read(moved)
    assert (told["runcmd"], told["chpasswd"], told["mounts"]) == ([], {}, [])
    assert "write_files" not in told
    assert not cloud_init.apply(moved, found, OPTIONS).changed


@pytest.mark.parametrize(
    ("source", "retain", "stays"),
    [
        ("DataSourceEc2Local: DataSourceEc2Local", True, False),
        ("DataSourceVMware: DataSourceVMware [seed=guestinfo]", True, False),
        ("DataSourceNone: DataSourceNone", True, True),
        ("DataSourceNoCloud: DataSourceNoCloud [seed=/dev/sr0]", True, True),
        ("DataSourceNoCloud: DataSourceNoCloud [seed=/dev/sr0]", False, False),
    ],
)
def test_the_old_platforms_instance_is_forgotten(
    moved: FakeDebian, found: GuestOS, source: str, *, retain: bool, stays: bool
) -> None:
    moved.write_text("/var/lib/cloud/instance/datasource", f"{source}\n")
    moved.write_text("/var/lib/cloud/instance/manual-clean", "")
    moved.write_text("/var/lib/cloud/seed/nocloud-net/meta-data", "seedfrom: http://old/\n")
    options = MorphOptions(retain_user_credentials=retain)
    outcome = cloud_init.apply(moved, found, options)
    assert moved.exists("/var/lib/cloud/instance") is stays
    assert not moved.exists("/var/lib/cloud/instance/manual-clean")
    assert moved.exists("/var/lib/cloud/seed/nocloud-net") is ("NoCloud" in source)
    if not stays:
        assert f"the instance of {source.partition(':')[0]}" in outcome.summary
    assert not cloud_init.apply(moved, found, options).changed


def test_scripts_that_run_once_more_are_told(moved: FakeDebian, found: GuestOS) -> None:
    moved.write_text("/var/lib/cloud/scripts/per-instance/grow.sh", "")
    assert "per-instance/grow.sh" in cloud_init.apply(moved, found, OPTIONS).remedy


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("/etc/default/grub", 'GRUB_CMDLINE_LINUX="quiet cloud-init=disabled"', 'LINUX="quiet"'),
        ("/etc/default/grub", "GRUB_CMDLINE_LINUX_DEFAULT='ci.ds=Ec2 quiet'", "T='quiet'"),
        ("/boot/loader/entries/a.conf", "options root=/dev/a ci.ds=Ec2 ro", "root=/dev/a ro"),
        ("/boot/grub2/grub.cfg", "linux /vmlinuz root=/a cloud-init=disabled ro", "root=/a ro"),
    ],
)
def test_a_command_line_no_longer_switches_it_off(
    moved: FakeDebian, found: GuestOS, path: str, before: str, after: str
) -> None:
    moved.write_text(path, before + "\n")
    outcome = cloud_init.apply(moved, found, OPTIONS)
    assert f"no longer switched off in {path}" in outcome.summary
    assert moved.read_text(path).rstrip("\n").endswith(after)
    assert moved.read_text(f"/var/backups/tradewind{path}") == before + "\n"
    assert not cloud_init.apply(moved, found, OPTIONS).changed


@pytest.mark.parametrize(("program", "family"), [("dnf", Family.RED_HAT), ("zypper", Family.SUSE)])
def test_the_other_families_get_it_too(
    tmp_path: Path, found: GuestOS, program: str, family: Family
) -> None:
    guest = FakeRpmGuest(tmp_path / "guest", program, {})
    os = found.model_copy(update={"family": family})
    outcome = cloud_init.apply(guest, os, OPTIONS)
    assert (outcome.changed, outcome.summary) == (True, "installed; users and keys are kept")
    assert read(guest)["datasource_list"] == ["NoCloud", "None"]
    assert not cloud_init.apply(guest, os, OPTIONS).changed
