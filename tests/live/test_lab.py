# SPDX-License-Identifier: Apache-2.0
"""The lab itself, in a world of its own: the lab that other tests use is not touched."""

import os
import subprocess

import pytest

from lab import kvm
from tests.live.lab_life import LabLife, world_of_its_own

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> LabLife:
    folder = tmp_path_factory.mktemp("world")
    places = {"TRADEWIND_LAB_DIR": str(folder / "lab"), "TRADEWIND_CACHE": str(folder / "cache")}
    done = subprocess.run(
        world_of_its_own(),
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | places,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return LabLife.model_validate_json(done.stdout)


def test_it_comes_up_with_two_hosts(life: LabLife) -> None:
    print(f"lab up {life.building.seconds:.1f} s, down {life.ending.seconds:.1f} s")
    for address in ("198.18.0.11", "198.18.0.12"):
        assert address in str(life.building.lab)


def test_a_second_up_changes_nothing(life: LabLife) -> None:
    assert len(life.building.daemons) == 8
    assert life.building.daemons_again == life.building.daemons
    assert life.building.lab_again == life.building.lab


def test_up_repairs_what_died(life: LabLife) -> None:
    assert life.building.missing_after_kill == ["libvirtd on source"]
    assert life.building.missing_after_repair == []


def test_the_account_reaches_libvirt_with_two_groups_and_nothing_else(life: LabLife) -> None:
    assert sorted(life.using.account.split()) == ["kvm", "libvirt", "tradewind"]
    assert life.using.networks.split() == ["default", "lan"]


def test_the_account_exists_only_inside_the_hosts(life: LabLife) -> None:
    assert life.after.accounts == life.before.accounts


def test_the_mirror_serves_its_folder(life: LabLife) -> None:
    assert life.using.mirror_answer == "from the mirror"


def test_a_sparse_image_stays_sparse_in_a_pool(life: LabLife) -> None:
    facts = dict(line.split(":") for line in life.using.copied_volume.splitlines() if ":" in line)
    assert facts["Capacity"].split() == ["1073741824", "bytes"]
    assert facts["Allocation"].split() == ["0", "bytes"]


def test_wipe_leaves_no_domain_and_no_volume(life: LabLife) -> None:
    assert life.using.domains_after_wipe.strip() == ""
    assert life.using.volumes_after_wipe.strip() == ""


def test_status_says_what_runs_and_how_to_look(life: LabLife) -> None:
    for told in ("source", "198.18.0.11", "198.18.20.0/24", life.building.lab.mirror_url):
        assert told in life.using.status
    assert life.building.lab.destination.uri in life.using.status


def test_a_lab_of_another_checkout_is_refused(life: LabLife) -> None:
    assert "belongs to a lab whose state is in" in life.using.foreign_lab


def test_a_state_folder_with_other_files_is_refused(life: LabLife) -> None:
    assert "is no lab's state folder" in life.ending.foreign_folder


def test_nothing_is_left_after_down(life: LabLife) -> None:
    assert life.ending.leftovers == []
    assert life.after == life.before


def test_the_probe_sees_a_guest_that_runs_and_one_that_does_not() -> None:
    assert kvm.boots("tcg", "max")
    assert not kvm.boots("tcg", "no-such-cpu")
