# SPDX-License-Identifier: Apache-2.0
"""Libvirt itself takes every domain that the golden files show, and UEFI variables survive."""

import time
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest
from lxml import etree

import lab
from lab import guests, namespaces, site
from lab.records import Lab, LabHost
from tests.unit.domainxml.conftest import GOLDEN
from tradewind.domainxml.final import final_domain
from tradewind.host import facts, leftovers, storage
from tradewind.host.connection import connect
from tradewind.host.domain import domains
from tradewind.host.storage import pools
from tradewind.host.target import attachments, domain_plan
from tradewind.model.machine import FirmwareKind
from tradewind.model.options import ProviderOptions
from tradewind.model.requests import DeployRequest
from tradewind.model.run import Label, Purpose
from tradewind.model.storage import ReplicaVolume, Volume
from tradewind.sources.images import conversion
from tradewind.sources.libvirt.source import LibvirtSource
from tradewind.units import MiB

pytestmark = pytest.mark.live

FILES = sorted(GOLDEN.glob("final-*.xml"))
RUN = "0123456789ab"
STAMP = b"seen by Tradewind's test"
POOL = "/var/lib/libvirt/images"
NVRAM = "/var/lib/libvirt/qemu/nvram"

UEFI = """
<domain type='qemu'>
  <name>starry</name>
  <memory unit='MiB'>256</memory>
  <vcpu>1</vcpu>
  <os firmware='efi'>
    <type arch='x86_64' machine='q35'>hvm</type>
    <firmware>
      <feature enabled='no' name='enrolled-keys'/><feature enabled='no' name='secure-boot'/>
    </firmware>
  </os>
  <features><acpi/></features>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/var/lib/libvirt/images/starry.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
  </devices>
</domain>
"""


@pytest.fixture(scope="module")
def the_hosts() -> Lab:
    """The two hosts; no worker is wanted here, nor Prefect."""
    return lab.up()


@pytest.fixture
def destination(the_hosts: Lab) -> Iterator[libvirt.virConnect]:
    with connect(site.access(the_hosts.destination)) as connection:
        yield connection


def emulated(xml: str) -> str:
    """Ask for what an emulating host has: it cannot take a domain that wants KVM."""
    return (
        xml.replace('<domain type="kvm">', '<domain type="qemu">')
        .replace('<cpu mode="host-passthrough"', '<cpu mode="maximum"')
        .replace('<timer name="hypervclock" present="yes"/>', "")
    )


def test_libvirt_takes_every_golden_file(
    the_hosts: Lab, destination: libvirt.virConnect, capsys: pytest.CaptureFixture[str]
) -> None:
    begun, refused = time.monotonic(), {}
    assert len(FILES) > 25
    for file in FILES:
        xml = file.read_text() if the_hosts.kvm else emulated(file.read_text())
        try:
            domains.define(destination, xml)
        except libvirt.libvirtError as error:
            refused[file.stem] = str(error)
        domains.destroy(destination, etree.fromstring(xml).findtext("name") or "")
    assert refused == {}
    with capsys.disabled():
        print(f"\n{len(FILES)} domains defined in {time.monotonic() - begun:.1f} s")


def inside(host: LabHost, path: str) -> Path:
    return guests.inside(namespaces.plan_of(host), path)


@pytest.fixture
def starry(the_hosts: Lab) -> Iterator[LabHost]:
    """A machine with UEFI that was started once, with something in its variables to tell."""
    source = the_hosts.source
    lab.run(source, ["qemu-img", "create", "-q", "-f", "qcow2", POOL + "/starry.qcow2", "64M"])
    with connect(site.access(source)) as connection:
        domains.destroy(connection, "starry")
        domains.define(connection, UEFI)
        domains.start(connection, "starry", paused=True)
        domains.require_domain(connection, "starry").destroy()
    variables = inside(source, NVRAM + "/starry_VARS.fd")
    content = bytearray(variables.read_bytes())
    content[-len(STAMP) :] = STAMP
    variables.write_bytes(content)
    yield source
    with connect(site.access(source)) as connection:
        domains.destroy(connection, "starry")
    lab.run(source, ["rm", "-f", POOL + "/starry.qcow2"])


def test_uefi_variables_and_config_drive_go_with_the_machine(
    the_hosts: Lab, starry: LabHost, destination: libvirt.virConnect
) -> None:
    machine = LibvirtSource(site.access(starry)).inspect("starry")
    assert machine.firmware.kind is FirmwareKind.UEFI
    assert machine.variables is not None
    assert machine.variables.content().endswith(STAMP)
    label = Label.model_validate(
        {
            "transfer": "cafe0001",
            "run": RUN,
            "purpose": Purpose.MACHINE,
            "created": "2026-01-02T03:04:05Z",
            "controller": "live-test",
        }
    )
    volume = Volume(
        pool="default", name=f"tradewind-{RUN}-starry-vda.qcow2", capacity=64 * MiB, format="qcow2"
    )
    storage.create_volume(destination, volume)
    replica = ReplicaVolume(disk_id="vda", volume=volume, serial="tw0", blank=True)
    request = DeployRequest(machine="starry", source="a", destination="b")
    options = ProviderOptions.model_validate({"cpu_features": ""})
    offered = facts.survey(destination)
    suits = domain_plan.check(destination, machine, request, options, offered)
    spec = domain_plan.DeploySpec(request, machine, (replica,), label, suits)
    try:
        final = domain_plan.compose(destination, spec, options, offered)
        offer = attachments.HostOffer(
            offered, "worker-images", conversion.to_qcow2, with_config_drive=True
        )
        final = attachments.with_attachments(destination, spec, final, offer)
        assert final.notes == ()
        assert final.nvram is not None
        domains.define(destination, final_domain(machine, final))
        domains.start(destination, "starry", paused=True)
        running = domains.require_domain(destination, "starry").XMLDesc()
        assert final.nvram in running
        assert f"{POOL}/tradewind-{RUN}-starry-config.iso" in running
        held = inside(the_hosts.destination, final.nvram).read_bytes()
        assert held == machine.variables.content()
    finally:
        leftovers.remove_run(destination, RUN)
    assert leftovers.find(destination) == ()


def test_host_is_known_by_machine_type(destination: libvirt.virConnect) -> None:
    offered = facts.survey(destination)
    # Where libvirt does not see its own networks' bridges, its list is not relied on.
    assert not offered.devices or {"virbr0", "virbr1"} <= set(offered.devices)
    assert {"pc", "q35"} <= set(offered.machine_types)
    old = facts.for_machine(destination, offered, "pc")
    assert old.machine_type.startswith("pc-i440fx")
    assert "ide" in old.disk_buses
    assert not old.secure_boot


def test_no_pool_stays_from_looking(the_hosts: Lab) -> None:
    with connect(site.access(the_hosts.source)) as connection:
        names = [pool.name() for pool in connection.listAllStoragePools()]
    assert not [name for name in names if name.startswith(pools.TEMPORARY)]
