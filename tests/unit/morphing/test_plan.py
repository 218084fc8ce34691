# SPDX-License-Identifier: Apache-2.0
"""The whole plan on one guest: what changes, that it changes once, and what the report says."""

import os
from pathlib import Path

import pytest

from tests.fakes.debian import FakeDebian
from tests.fakes.guest_tree import difference
from tradewind.errors import MorphingError
from tradewind.model.guest import Family, GuestOS, MorphOptions, StepReport
from tradewind.morphing.plan import STEPS, name, perform, steps_for, warnings

# Tools of other platforms, of which this guest has none.
FOREIGN = {
    "vmware-tools", "virtualbox-additions", "xen-tools", "parallels-tools", "hyperv-daemons",
    "old-cloud-agents",
}  # fmt: skip
GOLDEN = Path(__file__).parents[2] / "golden" / "morphing"


def morph(guest: FakeDebian, found: GuestOS, options: MorphOptions) -> list[StepReport]:
    return [perform(step, guest, found, options) for step in steps_for(found, options)]


@pytest.mark.parametrize("case", ["default", "no-dhcp", "new-users"])
def test_the_tree_changes_as_recorded(debian: FakeDebian, found: GuestOS, case: str) -> None:
    options = {
        "default": MorphOptions(),
        "no-dhcp": MorphOptions(set_dhcp=False),
        "new-users": MorphOptions(retain_user_credentials=False),
    }[case]
    before = debian.photograph()
    morph(debian, found, options)
    changes = difference(before, debian.photograph())
    recorded = GOLDEN / f"debian12-{case}.diff"
    if os.environ.get("TRADEWIND_RECORD_GOLDEN"):
        recorded.write_text(changes)
    assert changes == recorded.read_text()


def test_a_second_time_changes_nothing(debian: FakeDebian, found: GuestOS) -> None:
    morph(debian, found, MorphOptions())
    before = debian.photograph()
    reports = morph(debian, found, MorphOptions())
    assert debian.photograph() == before
    assert [report.step for report in reports if report.outcome.changed] == []


def test_every_step_has_something_to_do_and_says_what(debian: FakeDebian, found: GuestOS) -> None:
    reports = {report.step: report for report in morph(debian, found, MorphOptions())}
    idle = {name for name, report in reports.items() if not report.outcome.changed}
    assert idle == {"default-kernel", "old-hardware", "selinux-labels"} | FOREIGN
    assert reports["initramfs"].purpose.startswith("Rebuild the initial RAM disk")
    assert "virtio_blk" in reports["initramfs"].outcome.summary
    assert "enp0s3 is 52:54:00:aa:00:01" in reports["interface-names"].outcome.summary
    assert reports["interface-names"].outcome.remedy.startswith("enp0s3: given out by the order")


def test_without_dhcp_addresses_stay(debian: FakeDebian, found: GuestOS) -> None:
    morph(debian, found, MorphOptions(set_dhcp=False))
    assert "198.18.0.50" in debian.read_text("/etc/network/interfaces")


def test_the_order_is_the_tuple(found: GuestOS) -> None:
    names = [name(step) for step in STEPS]
    assert names.index("interface-names") < names.index("persistent-net")
    assert names[-2:] == ["initramfs", "selinux-labels"]
    chosen = [name(step) for step in steps_for(found, MorphOptions())]
    assert chosen == [n for n in names if n in chosen]
    assert not {"efi-fallback", "early-volumes"} & set(chosen)


def test_an_unknown_family_is_refused_by_name_unless_allowed(found: GuestOS) -> None:
    other = found.model_copy(update={"family": Family.UNKNOWN, "pretty_name": "Some OS 9"})
    with pytest.raises(MorphingError, match="Some OS 9") as caught:
        steps_for(other, MorphOptions())
    assert "skip_os_morphing" in caught.value.hint
    chosen = [name(step) for step in steps_for(other, MorphOptions(allow_unknown_os=True))]
    assert {"device-names", "cloud-network", "initramfs"} <= set(chosen)
    assert not {"cloud-init", "qemu-guest-agent"} & set(chosen)
    assert "Some OS 9" in warnings(other)[0]
    assert warnings(found) == ()
