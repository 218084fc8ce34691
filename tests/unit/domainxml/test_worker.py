# SPDX-License-Identifier: Apache-2.0
import pytest

from tests.unit.domainxml.conftest import Compare, read
from tradewind.domainxml.worker import (
    WorkerDomain,
    attached_disk,
    find_disk,
    free_target,
    worker_domain,
)
from tradewind.model.host import WorkerAddressSource, WorkerSpec
from tradewind.model.run import Label, Purpose
from tradewind.units import GiB, MiB

SPEC = WorkerSpec(
    image_pool="default",
    image_volume="worker.qcow2",
    network="default",
    vcpus=2,
    memory=1024 * MiB,
    volume_size=25 * GiB,
    address_source=WorkerAddressSource.AGENT,
    disk_slots=2,
)


MODES = ("host-model", "maximum", "custom")


def worker(
    label: Label,
    *,
    kvm: bool,
    console_log: str | None = None,
    modes: tuple[str, ...] = MODES,
) -> WorkerDomain:
    return WorkerDomain(
        name="tradewind-e5f6a7b8-transfer",
        spec=SPEC,
        overlay_path="/pool/tradewind-e5f6a7b8-transfer.qcow2",
        seed_path="/pool/tradewind-e5f6a7b8-transfer-seed.iso",
        mac="52:54:00:12:34:56",
        machine_type="pc-q35-7.2",
        kvm=kvm,
        cpu_modes=modes,
        label=label,
        console_log=console_log,
    )


def test_worker_under_emulation(label: Label, same_as_golden: Compare) -> None:
    log = "/var/log/libvirt/qemu/tradewind-e5f6a7b8-transfer-console.log"
    same_as_golden("worker-tcg", worker_domain(worker(label, kvm=False, console_log=log)))


def test_worker_with_kvm(label: Label, same_as_golden: Compare) -> None:
    same_as_golden("worker-kvm", worker_domain(worker(label, kvm=True)))


def test_worker_that_adapts_guests_has_all_that_can_be_emulated(label: Label) -> None:
    morphing = label.model_copy(update={"purpose": Purpose.MORPHING})
    xml = worker_domain(worker(morphing, kvm=False))
    assert 'mode="maximum"' in xml
    assert "avx" not in xml


def test_host_that_knows_no_maximum_chooses_the_cpu_itself(label: Label) -> None:
    """Debian 11, libvirt 7.0 without KVM: `Invalid mode attribute 'maximum'`."""
    old = worker(label, kvm=False, modes=("host-model", "custom"))
    assert "<cpu" not in worker_domain(old)


def test_every_disk_slot_has_its_root_port(label: Label) -> None:
    xml = worker_domain(worker(label, kvm=False))
    own_devices = 5
    assert xml.count("pcie-root-port") == own_devices + SPEC.disk_slots + 4


def test_attached_file(same_as_golden: Compare) -> None:
    same_as_golden(
        "attached-file", attached_disk("/pool/ledger01-sda.qcow2", "qcow2", "tw-a1b2c3d4-0", "vdb")
    )


def test_attached_block_device(same_as_golden: Compare) -> None:
    same_as_golden(
        "attached-block", attached_disk("/dev/vg0/ledger01-sda", "raw", "tw-a1b2c3d4-0", "vdb")
    )


def test_attached_with_large_sectors(same_as_golden: Compare) -> None:
    same_as_golden(
        "attached-4k", attached_disk("/pool/a-sda.qcow2", "qcow2", "tw-a1b2c3d4-0", "vdb", 4096)
    )


@pytest.mark.parametrize("serial", ["", "123456789012345678901"])
def test_serial_that_the_guest_would_not_see_whole(serial: str) -> None:
    with pytest.raises(ValueError, match="1 to 20"):
        attached_disk("/pool/a.qcow2", "qcow2", serial, "vdb")


def test_disk_is_found_by_its_serial() -> None:
    domain = read("worker-tcg").replace("</devices>", read("attached-file") + "</devices>")
    found = find_disk(domain, "tw-a1b2c3d4-0")
    assert found == read("attached-file")
    assert find_disk(domain, "tw-a1b2c3d4-1") is None


def test_next_free_target() -> None:
    domain = read("worker-tcg")
    assert free_target(domain) == "vdb"
    assert free_target(domain.replace("</devices>", read("attached-file") + "</devices>")) == "vdc"
