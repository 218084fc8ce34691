# SPDX-License-Identifier: Apache-2.0
"""A worker image of a distribution, without anything of ours: it installs what a guest needs."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

import images
from lab import linux_guests, machines, segments, site
from lab.linux_guests import LinuxGuest
from lab.records import Lab
from tests.live.tradewind_command import Tradewind
from tradewind.model.options import OptionOverrides
from tradewind.model.proof import BootEvidence
from tradewind.model.report import DeployReport
from tradewind.model.requests import DeployRequest

# Two guests, each moved and booted: `make test-all`.
pytestmark = [pytest.mark.live, pytest.mark.slow]

IMAGE = "stock-worker.qcow2"
SECRETS = "lab-stock-guest"
# What each guest needs, and the image has not.
INSTALLED = {
    linux_guests.UEFI_LVM.machine.name: {"lvm2"},
    linux_guests.LUKS_RAID.machine.name: {"mdadm", "cryptsetup-bin"},
}


@pytest.fixture(scope="module")
def stock(the_lab: Lab) -> str:
    """Stage the image beside ours; a transfer with it is one with other options."""
    from flows.stage_worker_image import stage_worker_image  # noqa: PLC0415 - see conftest

    images.build_mirror()
    built = images.build("worker-stock")
    stage_worker_image(site.DESTINATION, site.WORKER_POOL, str(built.disks[0]), IMAGE)
    return f"linux:{IMAGE}"


@pytest.fixture(scope="module", params=[linux_guests.UEFI_LVM, linux_guests.LUKS_RAID],
                ids=lambda guest: guest.machine.name)  # fmt: skip
def guest(request: pytest.FixtureRequest, the_lab: Lab) -> Iterator[LinuxGuest]:
    """A guest on stacked disks, shut off on the source."""
    chosen: LinuxGuest = request.param
    machines.install(chosen.machine, the_lab.source, kvm=the_lab.kvm)
    yield chosen
    for host in (the_lab.source, the_lab.destination):
        machines.remove(chosen.machine, host)


@pytest.fixture(scope="module")
def deployed(guest: LinuxGuest, stock: str, the_lab: Lab, tradewind: Tradewind) -> DeployReport:
    """The guest on the destination, sent and adapted by the stock worker alone."""
    from blocks import GuestSecrets  # noqa: PLC0415 - Prefect reads its settings at import
    from flows.deploy import deploy  # noqa: PLC0415

    if guest.passphrase:
        GuestSecrets(passphrase=SecretStr(guest.passphrase)).save(SECRETS, overwrite=True)
    tradewind.transfer(guest.machine.name, "--set", f"migr_image_map={stock}")
    if guest.segment:
        segments.carry(the_lab.destination, guest.segment)
    return deploy(
        DeployRequest(
            machine=guest.machine.name,
            source=site.SOURCE,
            destination=site.DESTINATION,
            overrides=OptionOverrides.model_validate(
                {"set_dhcp": guest.set_dhcp, "migr_image_map": stock}
            ),
            guest_secrets=SECRETS if guest.passphrase else "",
            boot_timeout=600,
        )
    )


def test_what_the_image_lacked_was_installed_and_told(
    guest: LinuxGuest, deployed: DeployReport
) -> None:
    said = [line for line in deployed.shortfalls if "the worker installed" in line]
    packages = {word.strip(",") for line in said for word in line.partition(": ")[2].split()}
    assert INSTALLED[guest.machine.name] <= packages, deployed.shortfalls


def test_the_guest_boots_and_its_agent_answers(deployed: DeployReport) -> None:
    assert deployed.proof is not None
    assert deployed.proof.evidence is BootEvidence.AGENT
