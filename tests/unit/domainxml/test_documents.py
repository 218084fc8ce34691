# SPDX-License-Identifier: Apache-2.0
"""The small documents: volumes, pools, networks, backups, labels, capabilities."""

from collections.abc import Callable

import pytest

from tests.unit.domainxml.conftest import Compare, read
from tradewind.domainxml import labels
from tradewind.domainxml.backup import BackupDisk, BackupJobFacts, backup_xml, job_of
from tradewind.domainxml.capabilities import (
    HostCapabilities,
    cpu_features,
    parse_domain_capabilities,
    parse_host_capabilities,
)
from tradewind.domainxml.network import NetworkFacts, parse_network
from tradewind.domainxml.pool import PoolFacts, parse_pool
from tradewind.domainxml.volume import VolumeFacts, parse_volume, volume_xml
from tradewind.errors import HypervisorError
from tradewind.model.run import Label, LabelState
from tradewind.model.storage import Volume
from tradewind.units import GiB

Document = Callable[[str], str]

# As virDomainBackupGetXMLDesc answers.
PULL_JOB = (
    "<domainbackup mode='pull'><server transport='unix' socket='/run/nbd.sock'/></domainbackup>"
)


def test_empty_qcow2_volume(same_as_golden: Compare) -> None:
    volume = Volume(pool="default", name="ledger01-sda.qcow2", capacity=20 * GiB, format="qcow2")
    same_as_golden("volume-qcow2", volume_xml(volume))


def test_overlay(same_as_golden: Compare) -> None:
    volume = Volume(pool="default", name="overlay.qcow2", capacity=25 * GiB, format="qcow2")
    backing = ("/pool/worker.qcow2", "qcow2")
    same_as_golden("volume-overlay", volume_xml(volume, backing=backing))


def test_raw_volume_of_exactly_the_size_of_the_disk(same_as_golden: Compare) -> None:
    volume = Volume(pool="lvm", name="ledger01-sda", capacity=GiB + 512, format="raw")
    same_as_golden("volume-raw", volume_xml(volume, allocation=GiB + 512))


def test_volume_is_read(document: Document) -> None:
    assert parse_volume(document("volume-overlay")) == VolumeFacts(
        name="worker.qcow2",
        path="/var/lib/libvirt/images/worker.qcow2",
        format="qcow2",
        capacity=25 * GiB,
        allocation=200704,
        backing="/var/lib/libvirt/images/image.qcow2",
        version=3,
    )


@pytest.mark.parametrize(
    ("compat", "version"), [("<compat>1.1</compat>", 3), ("<compat>0.10</compat>", 2), ("", 2)]
)
def test_version_of_a_qcow2_image(document: Document, compat: str, version: int) -> None:
    text = document("volume-overlay").replace("<compat>1.1</compat>", compat)
    assert parse_volume(text).version == version
    raw = text.replace("<format type='qcow2'/>", "<format type='raw'/>")
    assert parse_volume(raw).version is None


def test_pool_is_read(document: Document) -> None:
    facts = PoolFacts(name="default", type="dir", path="/var/lib/libvirt/images")
    assert parse_pool(document("pool-dir")) == facts


def test_networks_are_read(document: Document) -> None:
    assert parse_network(document("network-nat")) == NetworkFacts(
        name="default", forward="nat", bridge="virbr0", hands_out_addresses=True
    )
    assert parse_network(document("network-isolated")) == NetworkFacts(
        name="rehearsal", forward=None, bridge="virbr7", hands_out_addresses=False
    )


def test_backup_of_some_disks(same_as_golden: Compare) -> None:
    disks = [
        BackupDisk(target="sda", scratch="/pool/tradewind-e5f6a7b8-sda.scratch"),
        BackupDisk(target="sdb", scratch="/pool/tradewind-e5f6a7b8-sdb.scratch"),
    ]
    socket = "/var/lib/libvirt/qemu/tradewind-e5f6a7b8.sock"
    same_as_golden("backup", backup_xml(socket, disks, others=["vdz"]))


def test_where_a_backup_is_served_and_by_which_files_it_is_known() -> None:
    assert job_of(PULL_JOB).address == "/run/nbd.sock"
    socket = "/var/lib/libvirt/qemu/tradewind-e5f6a7b8.sock"
    scratch = tuple(f"/pool/tradewind-e5f6a7b8-{name}.scratch" for name in ("sda", "sdb"))
    assert job_of(read("backup")) == BackupJobFacts(socket, scratch)
    assert job_of("<domainbackup mode='push'/>") == BackupJobFacts(None, ())
    disk = BackupDisk("sda", scratch[0], export="secret")
    over_tcp = backup_xml("127.0.0.1:49152", [disk])
    assert job_of(over_tcp) == BackupJobFacts("127.0.0.1:49152", scratch[:1])
    assert "exportname='secret'" in over_tcp.replace('"', "'")


def test_label_survives_the_domain(label: Label) -> None:
    assert labels.from_text(labels.to_text(label)) == label
    assert labels.from_domain(read("worker-tcg")) == label


def test_label_as_libvirt_hands_it_out() -> None:
    # Without its namespace: seen with virDomainGetMetadata of libvirt 9.0.
    text = (
        '<label transfer="a" run="b" purpose="machine" created="2026-03-01T12:30:00Z"'
        ' controller="c" state="finished"/>'
    )
    assert labels.from_text(text).state is LabelState.FINISHED


def test_domain_of_somebody_else(debian: str) -> None:
    assert labels.from_domain(debian) is None


@pytest.mark.parametrize(
    "text",
    [
        '<label xmlns="urn:tradewind:label:1" run="b"/>',
        '<other xmlns="urn:tradewind:label:1"/>',
    ],
)
def test_label_that_cannot_be_read(text: str) -> None:
    with pytest.raises(HypervisorError, match="label"):
        labels.from_text(text)


def test_host_capabilities(document: Document) -> None:
    text = document("host-capabilities")
    assert parse_host_capabilities(text) == HostCapabilities(
        architecture="x86_64",
        kvm=True,
        machine_types=("pc", "q35", "isapc", "pc-i440fx-7.2", "pc-q35-7.2"),
    )
    emulating = text.replace("<domain type='kvm'/>", "")
    assert not parse_host_capabilities(emulating).kvm


def test_domain_capabilities_under_emulation(document: Document) -> None:
    found = parse_domain_capabilities(document("domain-capabilities-tcg"))
    assert not found.kvm
    assert found.emulator == "/usr/bin/qemu-system-x86_64"
    assert found.machine_type == "pc-q35-7.2"
    assert found.cpu_modes == ("maximum", "host-model", "custom")
    assert (found.uefi, found.secure_boot, found.tpm) == (True, True, True)


def test_domain_capabilities_with_kvm(document: Document) -> None:
    found = parse_domain_capabilities(document("domain-capabilities-kvm"))
    assert found.kvm
    assert found.cpu_modes == ("host-passthrough", "maximum", "host-model", "custom")


def test_host_without_firmware_and_tpm(document: Document) -> None:
    text = document("domain-capabilities-tcg")
    bare = text.replace("<value>efi</value>", "").replace("<value>emulator</value>", "")
    found = parse_domain_capabilities(bare.replace("<value>yes</value>", ""))
    assert (found.uefi, found.secure_boot, found.tpm) == (False, False, False)


def test_host_model_is_a_cpu_to_expand(document: Document, same_as_golden: Compare) -> None:
    found = parse_domain_capabilities(document("domain-capabilities-tcg"))
    assert found.host_model_cpu is not None
    same_as_golden("host-model-cpu", found.host_model_cpu)


def test_features_of_an_expanded_cpu(document: Document) -> None:
    assert cpu_features(document("expanded-cpu")) == ("rdtscp", "x2apic")
